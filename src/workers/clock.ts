/**
 * The machine's monotonic clock in milliseconds, the same on every thread: what snapshots are stamped with
 * and ages are counted from. `performance.now()` alone starts anew with each thread.
 */

const NS_PER_MS = 1_000_000;

function machineMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / NS_PER_MS;
}

/** What this thread's `performance.now()` lacks; both count the same clock, so it does not change. */
const OFFSET_MS = machineMs() - performance.now();

export function monotonicMs(): number {
  return performance.now() + OFFSET_MS;
}
