/**
 * Says when the event loop is too late: queues before a stalled loop only grow, and answers that come too
 * late are of no use. HTTP thread. Judged over whole seconds, and only when three in a row were bad: one
 * stall is no overload. What is shed then, `turn-budget.ts` says.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const WINDOW_MS = 1_000;
const RESOLUTION_MS = 10;
const BAD_WINDOWS = 3;
const NANOS_PER_MS = 1e6;

/** Calls `onChange` when shedding starts and ends; `limitMs` 0 never sheds. Returns how to stop watching. */
export function guardLoop(limitMs: number, onChange: (shedding: boolean) => void): () => void {
  if (limitMs === 0) return () => {};
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  let bad = 0;
  let shedding = false;
  const timer = setInterval(() => {
    // The histogram holds whole intervals of its own timer, its resolution included.
    const lateMs = delay.percentile(99) / NANOS_PER_MS - RESOLUTION_MS;
    delay.reset();
    bad = lateMs > limitMs ? bad + 1 : 0;
    const now = bad >= BAD_WINDOWS;
    if (now !== shedding) onChange(now);
    shedding = now;
  }, WINDOW_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    delay.disable();
  };
}
