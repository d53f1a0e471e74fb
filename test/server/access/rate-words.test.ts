/** Rates: exact within a second, over any number of threads, and each identity for itself. */
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NEWER_SECONDS_MAX, RateWords } from '../../../src/server/access/rate-words.ts';
import { checkProperty } from '../../support/property.ts';

const MODULE = new URL('../../../src/server/access/rate-words.ts', import.meta.url).href;

test('takes as many a second as the rate says, and anew in the next one', () => {
  const rates = new RateWords(RateWords.reserve(2));
  const take = (nowMs: number, requests = 1, index = 0) => rates.take(index, requests, 3, nowMs);
  expect([take(1_000), take(1_500), take(1_999), take(1_999)]).toEqual([true, true, true, false]);
  expect(take(1_999, 1, 1)).toBe(true);
  expect([take(2_000, 2), take(2_000, 2), take(2_000)]).toEqual([true, false, true]);
  // A thread that was held up finds the newer second, and leaves it as it is.
  expect([take(1_999), take(2_999)]).toEqual([false, false]);
  // The clock is set back by more than that: another second, so a count of its own.
  expect([take(100_000), take(2_000)]).toEqual([true, true]);
});

test('a second has its rate and no more, however late the clocks of the threads are read', () => {
  const call = fc.record({
    stepMs: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 3_000_000 })),
    lateMs: fc.integer({ min: 0, max: NEWER_SECONDS_MAX * 1_000 }),
    requests: fc.integer({ min: 1, max: 3 }),
  });
  checkProperty(
    fc.property(
      // Near where the seconds of a word begin anew, too.
      fc.oneof(fc.integer({ min: 10_000, max: 2 ** 40 }), fc.constant(4_095_900)),
      fc.array(call, { maxLength: 60 }),
      fc.integer({ min: 3, max: 6 }),
      (startMs, calls, rate) => {
        const rates = new RateWords(RateWords.reserve(1));
        let nowMs = startMs;
        let newest = -1;
        let taken = 0;
        for (const { stepMs, lateMs, requests } of calls) {
          nowMs += stepMs;
          const second = Math.floor((nowMs - lateMs) / 1_000);
          if (second > newest) [newest, taken] = [second, 0];
          const left = taken + requests <= rate;
          expect(rates.take(0, requests, rate, nowMs - lateMs)).toBe(left);
          if (left) taken += requests;
        }
      },
    ),
    { runs: 500 },
  );
});

test('a rate of a million a second is counted', () => {
  const rates = new RateWords(RateWords.reserve(1));
  expect(rates.take(0, 999_999, 1_000_000, 5)).toBe(true);
  expect(rates.take(0, 1, 1_000_000, 6)).toBe(true);
  expect(rates.take(0, 1, 1_000_000, 7)).toBe(false);
});

test('threads share a rate exactly', async () => {
  const rate = 20_000;
  const memory = RateWords.reserve(1);
  const code = `
    const { workerData, parentPort } = require('node:worker_threads');
    import(${JSON.stringify(MODULE)}).then(({ RateWords }) => {
      const rates = new RateWords(workerData);
      let taken = 0;
      for (let i = 0; i < ${rate}; i++) if (rates.take(0, 1, ${rate}, 1000)) taken++;
      parentPort.postMessage(taken);
    });`;
  const takenBy = await Promise.all(
    [0, 1].map(
      () =>
        new Promise<number>((resolve, reject) => {
          const worker = new Worker(code, { eval: true, workerData: memory });
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  // A thread that loses too often refuses one too many; it never lets one too many pass.
  const taken = takenBy.reduce((sum, each) => sum + each, 0);
  expect(taken).toBeLessThanOrEqual(rate);
  expect(taken).toBeGreaterThan(0.99 * rate);
});
