/**
 * The machine's monotonic clock in milliseconds, the same on every thread: what snapshots are stamped with
 * and ages are counted from. `performance.now()` alone starts anew with each thread.
 */

/** Longest that a timer can wait. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

const NS_PER_MS = 1_000_000;

function machineMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / NS_PER_MS;
}

/** Looks at both clocks; the closest two looks count. */
const LOOKS = 16;

/**
 * What this thread's `performance.now()` lacks; both count the same clock, so it does not change. A thread
 * that has to wait between its looks at the two clocks would be off by as long for ever, and so would every
 * age that one thread stamps and another one tells.
 */
function offsetMs(): number {
  let closestMs = Number.POSITIVE_INFINITY;
  let offset = 0;
  for (let look = 0; look < LOOKS; look++) {
    const beforeMs = performance.now();
    const atMs = machineMs();
    const tookMs = performance.now() - beforeMs;
    if (tookMs >= closestMs) continue;
    closestMs = tookMs;
    offset = atMs - beforeMs - tookMs / 2;
  }
  return offset;
}

const OFFSET_MS = offsetMs();

export function monotonicMs(): number {
  return performance.now() + OFFSET_MS;
}
