/**
 * The real `Publisher`, `Lease` and `reapSeats` in small programs, in every order that their accesses can
 * take: every state that can be reached. What is right stands in support/publication-programs.ts.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { CacheError } from '../../src/engine/errors.ts';
import * as publication from '../../src/engine/publication.ts';
import { figure } from '../support/figures.ts';
import { countSchedules, explore, type Program, type Thread } from '../support/interleavings.ts';
import { PublicationPrograms, publicationPrograms, sharedWords } from '../support/publication-programs.ts';

const PROGRAMS: Readonly<Record<string, Program>> = publicationPrograms(publication);
const STATES_MIN = 1_000;

const figures: string[] = [];
afterAll(() => console.log(figures.join('\n')));

function expectSound(program: Program): number {
  const { failure, states } = explore(program);
  if (failure !== undefined) {
    expect.fail(`${String(failure.error)} after\n  ${failure.schedule.join('\n  ')}`);
  }
  return states;
}

describe('every interleaving is sound', () => {
  test.each(Object.keys(PROGRAMS))('of %s', name => {
    const program = PROGRAMS[name]!;
    const states = expectSound(program);
    const schedules = countSchedules(program, { preemptionsMax: Number.POSITIVE_INFINITY });
    figure('G2', 'states of the code, merged', states);
    figures.push(`${name}: all ${schedules.toPrecision(3)} schedules, by ${states} states`);
    expect(states).toBeGreaterThan(STATES_MIN);
  });

  test('of a reader that dies anywhere and is never reaped: publisher and other reader go on', () => {
    const two = new PublicationPrograms(publication, 2);
    const threads = [two.publisher(3), two.reader(1, 1, { mortal: true }), two.reader(2, 1)];
    const { atEnd: _, ...program } = two.program(threads, 1);
    expect(expectSound(program)).toBeGreaterThan(STATES_MIN);
  });

  test('of two readers that want one seat: one of them gets it', () => {
    const claimant = (id: number): Thread => ({
      name: `claimant ${id}`,
      run: access => {
        try {
          publication.Lease.claim(access, 1, id);
        } catch (error) {
          if (error instanceof CacheError) return;
          throw error;
        }
        access.store(sharedWords(1) + id, 1);
      },
    });
    const ends: number[] = [];
    const atEnd: Program['atEnd'] = load => {
      ends.push(load(sharedWords(1) + 1));
      const holders = load(sharedWords(1) + 1) + load(sharedWords(1) + 2);
      if (holders !== 1) throw new Error(`${holders} hold the seat`);
    };
    expectSound({ words: sharedWords(1) + 3, threads: [claimant(1), claimant(2)], atEnd });
    expect(ends.toSorted()).toEqual([0, 1]);
  });
});

test('a seat that is reaped while its reader lives is found', () => {
  const one = new PublicationPrograms(publication, 1);
  const reaper: Thread = { name: 'reaper', run: access => void publication.reapSeats(access, 1, 1) };
  const { failure } = explore(one.program([one.publisher(4), one.reader(1, 3), reaper]));
  expect(String(failure?.error)).toMatch(/holds generations/);
});
