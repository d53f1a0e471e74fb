/**
 * Confirmed content: its age counts from the confirmation, is never below the true one, and never of another
 * slot.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CORRECTION_MS_MAX, confirmContent } from '../../src/engine/live-column.ts';
import { LocalCache } from '../support/local-cache.ts';
import { networksOf, testRow } from '../support/population.ts';
import { checkProperty } from '../support/property.ts';

const ROWS = networksOf([1, 1, 1], 'vetted').map(testRow);

function open(clockMs: number) {
  const cache = new LocalCache({ capacity: 20 });
  cache.clockMs = clockMs;
  return { cache, reader: cache.reader(), publish: () => cache.publish(ROWS).snapshot };
}

describe('the age of a generation', () => {
  test('counts from its read, and from its last confirmation when there is one', () => {
    const { cache, reader, publish } = open(5_000);
    const { views } = publish();
    cache.clockMs = 9_000;
    expect(reader.ageMs()).toBe(4_000);
    confirmContent(views, 8_200.9);
    // To 16 ms, and never too young.
    expect(reader.ageMs()).toBe(808);
    expect(reader.select({ count: 1 }).ageMs).toBe(808);
    cache.clockMs = 10_000.5;
    expect(reader.ageMs()).toBe(1_809);
  });

  test('is corrected where the time of the read was too young, also to before the machine started', () => {
    const { cache, reader, publish } = open(5_000);
    const { views } = publish();
    cache.clockMs = 5_100;
    confirmContent(views, 1_600);
    expect(reader.ageMs()).toBe(3_500);
    confirmContent(views, -7_200_000);
    expect(reader.ageMs()).toBe(7_205_100);
    confirmContent(views, 5_088);
    expect(reader.ageMs()).toBe(12);
  });

  test('is never below the true one, whatever is confirmed when', () => {
    const atMs = fc.double({ min: -CORRECTION_MS_MAX, max: 2 ** 40, noNaN: true });
    const laterMs = fc.double({ min: 0, max: 2 ** 38, noNaN: true });
    const when = fc.record({ startMs: fc.double({ min: 0, max: 2 ** 38, noNaN: true }), atMs, laterMs });
    checkProperty(
      fc.property(when, ({ startMs, atMs: wantedMs, laterMs: goneMs }) => {
        const { cache, reader, publish } = open(startMs);
        const { views } = publish();
        cache.clockMs = startMs + goneMs;
        const earliestMs = startMs - CORRECTION_MS_MAX;
        const confirmedMs = Math.min(cache.clockMs, Math.max(earliestMs, wantedMs));
        confirmContent(views, confirmedMs);
        const trueMs = cache.clockMs - confirmedMs;
        expect(reader.ageMs()).toBeGreaterThanOrEqual(trueMs);
        // Half a year after the last generation at the latest there is another one.
        if (goneMs < CORRECTION_MS_MAX) expect(reader.ageMs()).toBeLessThanOrEqual(trueMs + 33);
      }),
    );
  });

  test('is not confirmed by what was said of the generation before it in the same slot', () => {
    const { cache, reader, publish } = open(1_000);
    for (let generation = 1; generation < 8; generation++) {
      const { views } = publish();
      cache.clockMs += 10_000;
      expect(reader.ageMs()).toBe(10_000);
      confirmContent(views, cache.clockMs);
      expect(reader.ageMs()).toBeLessThan(16);
    }
  });

  test.each([2 ** 36 - 100, 2 ** 36 - 1, 2 ** 36, 5 * 2 ** 36 - 50])(
    'is right where 32 bits of the clock turn over (%i)',
    startMs => {
      const { cache, reader, publish } = open(startMs - 1_000);
      const { views } = publish();
      for (let sinceMs = 0; sinceMs < 300; sinceMs += 7) {
        cache.clockMs = startMs + sinceMs;
        confirmContent(views, cache.clockMs);
        cache.clockMs += 40;
        const ageMs = reader.ageMs();
        expect(ageMs).toBeGreaterThanOrEqual(40);
        expect(ageMs).toBeLessThanOrEqual(40 + 33);
      }
    },
  );

  test('is not below that of the read where 32 bits are too few to tell', () => {
    const { cache, reader, publish } = open(1_000);
    const { views } = publish();
    confirmContent(views, 2_000);
    cache.clockMs = 2_000 + 2 ** 36;
    expect(reader.ageMs()).toBeGreaterThanOrEqual(2 ** 36);
  });
});
