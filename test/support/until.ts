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
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(LOOK_EVERY_MS);
  }
}
