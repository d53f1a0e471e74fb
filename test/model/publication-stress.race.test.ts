/**
 * Publication under real threads: readers on bare slots, each read checked, while publisher and readers are
 * ended at any point and replaced after their `exit` events.
 *
 * A **self-checked read** is one `acquire` and then one row of 64 bytes: each of its 16 words is compared
 * with what the head of the slot, read after the same `acquire`, says that it must be; the head's generation
 * must not be below the newest one seen.
 *
 *   a reader                                            never
 *   the row of the generation that the head names       a word of another generation or place
 *   the same generation again, or a later one           an earlier one; one number for two generations
 *
 * By itself it runs as long as a test may, and prints what it reached; `PROOF=long` runs until every figure
 * that is promised is reached.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test } from 'vitest';
import { figure, LONG, seededBugFound } from '../support/figures.ts';
import { SEED } from '../support/property.ts';
import { MutantFiles, type MutantName } from '../support/publication-mutants.ts';
import { ROW_WORDS } from '../support/race-stress.ts';
import { type StressFigures, StressRun } from '../support/race-stress-run.ts';
import { until } from '../support/until.ts';

type Floors = Pick<StressFigures, 'reads' | 'publishes' | 'publisherKills' | 'readerKillsMidRead'>;

const PROMISED: Floors = {
  reads: 1_000_000_000,
  publishes: 10_000,
  publisherKills: 300,
  readerKillsMidRead: 200,
};
/** What the slowest machine reaches in a short run. */
const SHORT: Floors = { reads: 20_000_000, publishes: 2_000, publisherKills: 20, readerKillsMidRead: 10 };

const SHORT_MS = 40_000;
const LONG_MS = 1_800_000;
/** For what must come after the time is over. */
const GRACE_MS = 60_000;
const LOOK_EVERY_MS = 50;
/** Wrong protocols are found within seconds. */
const MUTANT_MS = 30_000;
const ENDED_THREADS = LONG ? 200 : 20;

const figures: string[] = [];
afterAll(() => console.log([...figures, `SEED=${SEED}`].join('\n')));

function reached(
  floors: Floors,
  { reads, publishes, publisherKills, readerKillsMidRead }: StressFigures,
): boolean {
  return (
    reads >= floors.reads &&
    publishes >= floors.publishes &&
    publisherKills >= floors.publisherKills &&
    readerKillsMidRead >= floors.readerKillsMidRead
  );
}

function described(of: StressFigures, problems: number): string {
  const million = (n: number) => (n / 1e6).toFixed(0);
  return [
    `${of.reads} self-checked reads, ${million(of.reads / of.seconds)} M a second`,
    `${ROW_WORDS * of.reads} words of rows compared`,
    `${of.moves} times a reader moved on`,
    `${of.publishes} publishes`,
    `${of.publisherKills} publishers killed, ${of.publisherKillsMidWrite} of them in the middle of a write`,
    `${of.readerKills} readers killed, ${of.readerKillsMidRead} of them in the middle of reads`,
    `${problems} torn or backward, in ${of.seconds.toFixed(0)} s`,
  ].join('; ');
}

describe('publication under threads that are killed', () => {
  test(
    'is never torn and never goes back',
    async () => {
      const floors = LONG ? PROMISED : SHORT;
      const timeMs = LONG ? LONG_MS : SHORT_MS;
      const run = new StressRun({ seed: SEED });
      await run.begin();
      const enough = () => run.failed || reached(PROMISED, run.figures());
      const over = () => run.figures().seconds * 1000 > timeMs && reached(floors, run.figures());
      while (!enough() && !over() && run.figures().seconds * 1000 < timeMs + GRACE_MS) {
        const { publisherKills, readerKillsMidRead } = run.figures();
        const killed =
          publisherKills >= PROMISED.publisherKills && readerKillsMidRead >= PROMISED.readerKillsMidRead;
        if (!killed) await run.killOne();
        else await delay(LOOK_EVERY_MS);
      }
      await run.end();
      const { reads, publishes, publisherKills, readerKillsMidRead } = run.figures();
      figures.push(described(run.figures(), run.problems.length));
      figure('G1', 'self-checked reads', reads);
      figure('G1', 'publishes', publishes);
      figure('G1', 'loaders killed', publisherKills);
      figure('G1', 'readers killed in the middle of reads', readerKillsMidRead);
      figure('G1', 'torn or backward', run.problems.length);
      expect(run.problems).toEqual([]);
      expect(reached(floors, run.figures())).toBe(true);
    },
    (LONG ? LONG_MS : SHORT_MS) + 2 * GRACE_MS,
  );
});

describe('the stress finds', () => {
  const MUTANTS: readonly MutantName[] = [
    'a reader that does not announce its lease',
    'a reader that does not confirm',
    'a reader that confirms before it announces',
    'a publisher that does not look at the leases',
    'a publisher that may write the current slot',
  ];

  test.each(MUTANTS)(
    '%s',
    async mutant => {
      using files = new MutantFiles();
      const run = new StressRun({ seed: SEED, publication: files.write(mutant) });
      try {
        await run.begin();
        await until('something wrong is read', () => run.failed, MUTANT_MS);
      } finally {
        await run.end();
      }
      const { reads, seconds } = run.figures();
      figures.push(`${mutant}: ${run.problems[0]}, after ${reads} reads and ${seconds.toFixed(1)} s`);
      expect(run.problems[0]).toMatch(/is not of generation|comes after|is of publishers/);
      seededBugFound('G1');
    },
    MUTANT_MS + GRACE_MS,
  );
});

test(
  'an ended thread touches shared memory no more after its exit event: reaping rests on it',
  async () => {
    const code = `const words = new Int32Array(require('node:worker_threads').workerData);
    for (;;) Atomics.add(words, 0, 1);`;
    for (let ended = 0; ended < ENDED_THREADS; ended++) {
      const words = new Int32Array(new SharedArrayBuffer(4));
      const worker = new Worker(code, { eval: true, workerData: words.buffer });
      await until('the thread works', () => Atomics.load(words, 0) !== 0);
      const exited = once(worker, 'exit');
      void worker.terminate();
      await exited;
      const last = Atomics.load(words, 0);
      await delay(LOOK_EVERY_MS);
      expect(Atomics.load(words, 0)).toBe(last);
    }
  },
  LONG_MS,
);
