/**
 * Frees the slots of prepared answers that ended threads have left behind. Runs on the thread that starts the
 * selection workers and the HTTP threads, because only it hears of their ends.
 */
import type { Worker } from 'node:worker_threads';
import { type RingMemory, reapSlots, sharedRingWords } from '../engine/prepared/ring.ts';

/** From now on, for every worker that this thread starts. Returns how to stop watching for new ones. */
export function reapSlotsOfWorkers(memory: RingMemory): () => void {
  const { words, shape } = sharedRingWords(memory);
  const watch = (worker: Worker) => {
    // Kept from now: a thread that has ended answers -1.
    const id = worker.threadId;
    worker.once('exit', () => void reapSlots(words, shape, id));
  };
  process.on('worker', watch);
  return () => void process.off('worker', watch);
}
