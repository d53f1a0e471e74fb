/** How the memory for prepared answers is cut: some rings for each HTTP thread, all of one size. */
import type { RingShape } from '../../engine/prepared/ring-layout.ts';

/**
 * Answers of a ring. A refill is ordered when half of them are gone; until it has come, at 60,000 requests a
 * second some 20 more are.
 */
const SLOTS = 128;
/**
 * Takes 110 nodes twice over as JSON; larger answers cost so much more to send that preparing saves little.
 */
const SLOT_BYTES = 32_768;
/** Rings that one thread can have use of: requests that are hot at once. */
const RINGS_A_THREAD_MAX = 16;

export const RING_BYTES = SLOTS * SLOT_BYTES;

/** Rings of each of `threads` HTTP threads, in `bytesMax` bytes altogether. */
export function ringsPerThread(bytesMax: number, threads: number): number {
  return Math.max(1, Math.min(RINGS_A_THREAD_MAX, Math.floor(bytesMax / (threads * RING_BYTES))));
}

export function ringShape(bytesMax: number, threads: number): RingShape {
  return { rings: threads * ringsPerThread(bytesMax, threads), slots: SLOTS, slotBytes: SLOT_BYTES };
}

/** HTTP threads that one worker prepares for. */
const THREADS_A_TASK = 4;

/** Workers that keep rings full at once: where there are several, one is left for other work. */
export function tendingTasks(poolThreads: number, httpThreads: number): number {
  return Math.max(1, Math.min(poolThreads - 1, Math.ceil(httpThreads / THREADS_A_TASK)));
}
