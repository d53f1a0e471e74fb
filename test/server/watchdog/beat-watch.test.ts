/** How long a thread has stood still, as its watchdog reckons it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BeatWatch } from '../../../src/server/watchdog/beat-watch.ts';
import { checkProperty } from '../../support/property.ts';

const EVERY_MS = 100;

test('is the time since the last beat', () => {
  const watch = new BeatWatch(EVERY_MS, 1_000);
  for (let ms = 1_100; ms <= 3_000; ms += EVERY_MS) expect(watch.look(ms)).toBe(ms - 1_000);
  expect(watch.beat(3_050)).toBe(2_050);
  expect(watch.look(3_150)).toBe(100);
});

test('does not count the time in which the watchdog did not run either', () => {
  const watch = new BeatWatch(EVERY_MS, 0);
  expect(watch.look(EVERY_MS)).toBe(EVERY_MS);
  // The process was stopped for an hour, and the beat comes before the next look or after it.
  expect(watch.beat(3_600_000)).toBeLessThanOrEqual(2 * EVERY_MS);
  const other = new BeatWatch(EVERY_MS, 0);
  other.look(EVERY_MS);
  expect(other.look(3_600_000)).toBeLessThanOrEqual(2 * EVERY_MS);
  expect(other.beat(3_600_050)).toBeLessThanOrEqual(3 * EVERY_MS);
});

test('is never more than the time since the last beat, and never less than looks have seen of it', () => {
  const gaps = fc.array(fc.record({ ms: fc.integer({ min: 1, max: 5_000 }), isBeat: fc.boolean() }));
  checkProperty(
    fc.property(gaps, steps => {
      const watch = new BeatWatch(EVERY_MS, 0);
      let nowMs = 0;
      let beatAtMs = 0;
      let seenMs = 0;
      for (const { ms, isBeat } of steps) {
        nowMs += ms;
        seenMs += ms > 2 * EVERY_MS ? EVERY_MS : ms;
        const stillMs = isBeat ? watch.beat(nowMs) : watch.look(nowMs);
        expect(stillMs).toBeLessThanOrEqual(nowMs - beatAtMs);
        expect(stillMs).toBe(seenMs);
        if (!isBeat) continue;
        beatAtMs = nowMs;
        seenMs = 0;
      }
    }),
  );
});
