/**
 * Entry of a thread that takes seats in a cache, and can start another such thread, end it, or end itself. It
 * answers every command with one message.
 */
import { once } from 'node:events';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { CacheError } from '../../src/engine/errors.ts';
import { attachCache } from '../../src/workers/cache.ts';
import type { CacheHandle, CacheReader } from '../../src/workers/cache-types.ts';
import type { SeatCommand } from './seat-messages.ts';

const port = parentPort!;
const handle = workerData as CacheHandle;
const readers: CacheReader[] = [];
let child: Worker | undefined;

const listeners = () => ({ exit: process.listenerCount('exit'), worker: process.listenerCount('worker') });
const listenersBefore = listeners();

const commands: Record<SeatCommand, () => unknown> = {
  attach() {
    readers.push(attachCache(handle));
    const now = listeners();
    return { exit: now.exit - listenersBefore.exit, worker: now.worker - listenersBefore.worker };
  },
  async startChild() {
    child = new Worker(new URL(import.meta.url), { workerData: handle });
    child.postMessage('attach');
    await once(child, 'message');
  },
  adoptChild: () => readers[0]!.adopt(child!),
  terminateChild: () => child!.terminate(),
  exitSelecting() {
    process.on('exit', () => port.postMessage({ selected: outcome(() => readers[0]!.select({ count: 1 })) }));
    // Nothing else keeps the thread.
    port.unref();
  },
};

function outcome(call: () => unknown): string {
  try {
    call();
    return 'nodes';
  } catch (error) {
    return error instanceof CacheError ? error.code : String(error);
  }
}

port.on('message', async (command: SeatCommand) => port.postMessage({ done: await commands[command]() }));
