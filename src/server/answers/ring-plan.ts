/** How the memory for prepared answers is cut: some rings for each HTTP thread, all of one size. */
import type { RingShape } from '../../engine/prepared/ring-layout.ts';

/**
 * Answers of a ring, where there is memory for so many. Workers look every few hundred microseconds, so at
 * 60,000 requests a second some 20 are gone between two looks.
 */
const SLOTS = 128;
/**
 * Takes 110 nodes twice over as JSON; larger answers cost so much more to send that preparing saves little.
 */
const SLOT_BYTES = 32_768;
/** Rings that one thread can have use of: requests that are hot at once. */
const RINGS_A_THREAD_MAX = 16;

const RING_BYTES = SLOTS * SLOT_BYTES;

/** Rings of each of `threads` HTTP threads, in `bytesMax` bytes altogether. */
export function ringsPerThread(bytesMax: number, threads: number): number {
  return Math.max(1, Math.min(RINGS_A_THREAD_MAX, Math.floor(bytesMax / (threads * RING_BYTES))));
}

/** Where there is no whole ring for each thread, each has a shorter one: `bytesMax` is never exceeded. */
export function ringShape(bytesMax: number, threads: number): RingShape {
  const rings = threads * ringsPerThread(bytesMax, threads);
  const slots = Math.min(SLOTS, Math.floor(bytesMax / (rings * SLOT_BYTES)));
  return { rings, slots, slotBytes: SLOT_BYTES };
}

/** HTTP threads that one worker prepares for. */
const THREADS_A_TASK = 4;

/** Workers that keep rings full at once: where there are several, one is left for other work. */
export function tendingTasks(poolThreads: number, httpThreads: number): number {
  return Math.max(1, Math.min(poolThreads - 1, Math.ceil(httpThreads / THREADS_A_TASK)));
}
