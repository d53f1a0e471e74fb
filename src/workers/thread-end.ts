/** Ends threads that may not let themselves be ended. Whoever started them. */
import type { Worker } from 'node:worker_threads';
import { inTime } from './in-time.ts';

export const THREAD_LEFT_WARNING = 'SORTITION_THREAD_LEFT';

/**
 * Node loses one order in ten to end a thread that throws at that moment where nobody catches it: the thread
 * goes on if it does not come back to its event loop. So the order is given again until the thread has ended.
 */
const ORDER_AGAIN_MS = 100;

/**
 * True when it has ended; false when it has not after `limitMs`, with a warning of that code. It can write
 * nothing that anybody reads any more then, and must not keep the program; but what it waits for may hold up
 * an ordinary exit of the process. `what`: `the loader thread`.
 */
export async function terminateOrLeave(worker: Worker, what: string, limitMs: number): Promise<boolean> {
  const ended = worker.terminate();
  const orders = setInterval(() => void worker.terminate(), ORDER_AGAIN_MS);
  const hasEnded = await inTime(ended, limitMs);
  clearInterval(orders);
  if (hasEnded) return true;
  worker.unref();
  process.emitWarning(`${what} could not be ended: it hangs in a call of the system`, {
    code: THREAD_LEFT_WARNING,
  });
  return false;
}
