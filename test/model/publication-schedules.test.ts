/**
 * The real code of publication.ts in every schedule of so many preemptions, each run by itself from its first
 * step to its last; and mutants of its text, each of which a schedule must catch. `PROOF=long` runs more
 * preemptions.
 */
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import * as publication from '../../src/engine/publication.ts';
import { figure, LONG, seededBugFound } from '../support/figures.ts';
import { countSchedules, runSchedules } from '../support/interleavings.ts';
import { CODE_MUTANTS, MutantFiles, type MutantName } from '../support/publication-mutants.ts';
import { type ProgramName, publicationPrograms } from '../support/publication-programs.ts';

const TIMEOUT_MS = LONG ? 3_600_000 : 300_000;

/** Preemptions up to which every schedule is run: in CI, and in the long run. */
const BOUNDS: Readonly<Record<ProgramName, readonly [short: number, long: number]>> = {
  'a reader and four publishes': [5, 7],
  'two readers and three publishes': [5, 6],
  'a reader that dies anywhere and is reaped, a reader, and three publishes': [4, 5],
  'a reader that dies anywhere, is reaped and replaced, a reader, and three publishes': [3, 4],
  'a publisher that dies anywhere, the next one, two readers, and three publishes': [4, 5],
  'a publisher and a reader that die anywhere, the next publisher, and a reader': [3, 4],
};
/** Mutants are caught within so many. */
const MUTANT_PREEMPTIONS_MAX = 7;

const REAPED = 'a reader that dies anywhere and is reaped, a reader, and three publishes';
const REPLACED_PUBLISHER = 'a publisher that dies anywhere, the next one, two readers, and three publishes';
const SMALL = 'a reader and four publishes';
const PLAIN = 'two readers and three publishes';

/** Mutant → the program that catches it, and what it then says. */
const CAUGHT: Readonly<Record<MutantName, readonly [program: ProgramName, error: RegExp]>> = {
  'a reader that does not announce its lease': [SMALL, /holds generations/],
  'a reader that does not confirm': [SMALL, /holds generations|after/],
  'a reader that confirms once, and takes what it then finds': [SMALL, /without a move/],
  'a reader that confirms before it announces': [SMALL, /holds generations|after/],
  'a reader that does not count its moves': [SMALL, /without a move/],
  'a publisher that does not look at the leases': [SMALL, /holds generations/],
  'a publisher that does not look at the last lease': [SMALL, /holds generations/],
  'a publisher that may write the current slot': [SMALL, /holds generations/],
  'a publisher that looks at the leases anew for every slot': [SMALL, /one is free/],
  'a publisher that never forgets what was busy': [SMALL, /one is free/],
  'a slot too few': [SMALL, /one is free/],
  'a publisher that gives the number out last': [REPLACED_PUBLISHER, /is given out after/],
  'a seat that is claimed in two steps': [PLAIN, /holds generations/],
  'a seat that is given up before its lease': [PLAIN, /holds generations/],
  'a seat that is given up with its lease': [SMALL, /at the end/],
  'a seat that is reaped before its lease': [REAPED, /holds generations/],
  'a seat that is reaped with its lease': [REAPED, /at the end/],
  'seats that are reaped whoever has them': [REAPED, /holds generations/],
};

const figures: string[] = [];
let schedulesInAll = 0;
afterAll(() => console.log([...figures, `${schedulesInAll} schedules run in all`].join('\n')));

describe('every schedule is sound', () => {
  const programs = publicationPrograms(publication);

  test.each(Object.keys(BOUNDS) as ProgramName[])(
    'of %s',
    name => {
      const preemptionsMax = BOUNDS[name][LONG ? 1 : 0];
      const start = performance.now();
      const { schedules, steps, failure } = runSchedules(programs[name], { preemptionsMax });
      const seconds = (performance.now() - start) / 1000;
      schedulesInAll += schedules;
      figure('G2', 'schedules of the code', schedules);
      figures.push(
        `${name}: ${schedules} schedules of ${preemptionsMax} preemptions at the most, ` +
          `${steps} steps, ${seconds.toFixed(1)} s`,
      );
      if (failure !== undefined) {
        expect.fail(`${String(failure.error)} after\n  ${failure.schedule.join('\n  ')}`);
      }
      // Counted over merged states: if merging lost a schedule, or running did, the two would differ.
      expect(schedules).toBe(countSchedules(programs[name], { preemptionsMax }));
    },
    TIMEOUT_MS,
  );
});

describe('a mutant of the code is caught:', () => {
  let files: MutantFiles | undefined;
  afterEach(() => files?.[Symbol.dispose]());

  test.each(Object.keys(CODE_MUTANTS) as MutantName[])('%s', async mutant => {
    files = new MutantFiles();
    const [name, error] = CAUGHT[mutant];
    const program = publicationPrograms(await files.load(mutant))[name];
    let run = 0;
    for (let preemptionsMax = 0; preemptionsMax <= MUTANT_PREEMPTIONS_MAX; preemptionsMax++) {
      const { schedules, failure } = runSchedules(program, { preemptionsMax });
      run += schedules;
      if (failure === undefined) continue;
      figures.push(`${mutant}: caught after ${run} schedules, with ${preemptionsMax} preemptions`);
      expect(String(failure.error)).toMatch(error);
      seededBugFound('G2');
      return;
    }
    expect.fail(`${run} schedules of ${name} are all sound`);
  });
});
