/**
 * Who gives a seat back when its thread does not: this thread's readers are closed when the thread ends, and
 * the seats of the workers that this thread starts are freed when those have ended, however they ended. One
 * 'exit' and one 'worker' hook a thread, however many readers it has. Runs on every thread that has a reader.
 */
import { isMainThread, type Worker } from 'node:worker_threads';
import { type ControlWords, reapSeats } from '../engine/publication.ts';

/** The seats of one cache, as one reader of this thread knows them. */
export interface KeptSeats {
  readonly words: ControlWords;
  readonly seats: number;
  /** Gives the reader's own seat back. */
  release(): void;
}

/** The readers of this thread. */
const readers = new Set<KeptSeats>();
/** Living workers that are watched, and the caches in which their seats are freed. */
const watched = new WeakMap<Worker, Set<KeptSeats>>();

/** From now on: until `leave`, the thread's end releases the reader, and new workers are watched. */
export function keepSeats(reader: KeptSeats): void {
  readers.add(reader);
  if (readers.size > 1) return;
  process.on('worker', watchNew);
  // Nothing is left to be freed when the process itself ends.
  if (!isMainThread) process.on('exit', releaseAll);
}

/** The reader has been closed. Workers that are watched already stay watched. */
export function leaveSeats(reader: KeptSeats): void {
  readers.delete(reader);
  if (readers.size > 0) return;
  process.off('worker', watchNew);
  process.off('exit', releaseAll);
}

/** Frees the seats that `worker` has in the cache of `reader`, when it has ended. */
export function watchWorker(worker: Worker, reader: KeptSeats): void {
  const known = watched.get(worker);
  if (known !== undefined) {
    known.add(reader);
    return;
  }
  const caches = new Set([reader]);
  watched.set(worker, caches);
  // Kept from now: a thread that has ended answers -1.
  const id = worker.threadId;
  worker.once('exit', () => {
    // Also in caches to which this thread has attached since: the worker may have been given them. Freeing is
    // this thread's alone, because only the thread that started a worker has its 'exit' event.
    for (const { words, seats } of new Set([...caches, ...readers])) reapSeats(words, seats, id);
  });
}

function watchNew(worker: Worker): void {
  for (const reader of readers) watchWorker(worker, reader);
}

function releaseAll(): void {
  for (const reader of [...readers]) reader.release();
}
