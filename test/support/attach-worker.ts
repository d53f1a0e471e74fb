/**
 * Entry of a thread that attaches to a cache: says what it found, then does what it is told. With `depth` it
 * starts a thread of its own and lets that one attach.
 */
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { errorData } from '../../src/engine/errors.ts';
import { attachCache } from '../../src/workers/cache.ts';
import type { CacheHandle, CacheReader } from '../../src/workers/cache-types.ts';
import type { AttachCommand, AttachData } from './attach-messages.ts';

const port = parentPort!;
let cache: CacheReader | undefined;

function attach(handle: CacheHandle): void {
  try {
    cache = attachCache(handle);
    port.postMessage({ attached: cache.generation() });
  } catch (error) {
    port.postMessage({ error: errorData(error, 'SOURCE_FAILED') });
  }
}

function obey(command: AttachCommand): void {
  if (typeof command === 'object') attach(command.attach);
  else if (command === 'select') port.postMessage({ selected: cache!.select({ count: 3 }).nodes });
  else if (command === 'close') {
    void cache!.close();
    port.postMessage({ closed: true });
  } else if (command === 'spin') {
    port.postMessage({ spinning: true });
    for (;;) cache!.select({ count: 3 });
  } else {
    port.close();
  }
}

const { handle, depth = 0 } = workerData as AttachData;
if (depth > 0) {
  const inner = new Worker(new URL(import.meta.url), { workerData: { handle, depth: depth - 1 } });
  inner.on('message', message => port.postMessage(message));
  inner.on('exit', () => port.close());
  port.on('message', command => inner.postMessage(command));
} else {
  port.on('message', obey);
  if (handle !== undefined) attach(handle);
}
