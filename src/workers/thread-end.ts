/** Ends threads that may not let themselves be ended. Whoever started them. */
import type { Worker } from 'node:worker_threads';
import { inTime } from './in-time.ts';

export const THREAD_LEFT_WARNING = 'SORTITION_THREAD_LEFT';

/**
 * True when it has ended; false when it has not after `limitMs`, with a warning of that code. It can write
 * nothing that anybody reads any more then, and must not keep the program; but what it waits for may hold up
 * an ordinary exit of the process. `what`: `the loader thread`.
 */
export async function terminateOrLeave(worker: Worker, what: string, limitMs: number): Promise<boolean> {
  if (await inTime(worker.terminate(), limitMs)) return true;
  worker.unref();
  process.emitWarning(`${what} could not be ended: it hangs in a call of the system`, {
    code: THREAD_LEFT_WARNING,
  });
  return false;
}
