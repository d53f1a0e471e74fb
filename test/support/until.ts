/**
 * Waits for states that no event announces: looks again and again, and says what did not come about in time.
 */
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_EVERY_MS = 5;

export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (let isLate = false; !(await condition()); ) {
    if (isLate) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    // One look more: a thread that has stood still learns of the time before it hears what came meanwhile.
    isLate = performance.now() > deadline;
    await delay(LOOK_EVERY_MS);
  }
}
