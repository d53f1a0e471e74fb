/** The long run in its short form: everything but the slope of memory, which is shown. */
import { expect, test } from 'vitest';
import { demoRandom } from '../../src/server/demo/random.ts';
import { figure, LONG } from '../support/figures.ts';
import { SEED } from '../support/property.ts';
import { grownRatio, soakProblems, soakTable } from './report.ts';
import { lineThrough } from './slope.ts';
import { runSoak } from './soak.ts';

const SECONDS = LONG ? 3_600 : 20;
const TIMEOUT_MS = SECONDS * 1_000 + 120_000;

test(
  `${SECONDS} s of loads, load and terminated threads fail no request and tear no read (SEED=${SEED})`,
  async () => {
    const result = await runSoak({ seconds: SECONDS, random: demoRandom(SEED) });
    console.log(soakTable(result));
    expect(result.reasons).toEqual({});
    expect(soakProblems(result, LONG)).toEqual([]);
    figure('G12', 'loads in the long run', result.loads.succeeded);
    figure('G12', 'requests in it', result.requests);
    figure('G12', 'requests failed in it', result.failed);
    figure('G12', 'threads terminated in it', result.loaderKills + result.workerKills);
    if (LONG)
      figure('G12', 'growth over its second half', `${(grownRatio(result, 'rss') * 100).toFixed(1)}%`);
    expect(result.loaderRestarts).toBeGreaterThan(0);
    expect(result.loads.succeeded).toBeGreaterThan(SECONDS);
  },
  TIMEOUT_MS,
);

test('the slope is that of the line that the samples are on', () => {
  const samples = Array.from({ length: 50 }, (_, i) => ({ atMs: i * 1_000, value: 7 + i * 3 }));
  const { perMs, spanMs } = lineThrough(samples);
  expect(perMs * 1_000).toBeCloseTo(3);
  expect(spanMs).toBe(49_000);
});
