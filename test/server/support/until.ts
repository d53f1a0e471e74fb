/** Waits for a state by asking for it; there is no sleeping and hoping. */
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 10;
const DEADLINE_MS = 20_000;

export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs: number = DEADLINE_MS,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await sleep(POLL_MS);
  }
}
