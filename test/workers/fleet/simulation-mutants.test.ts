/** The simulation finds what is wrong: each mutant of the machines breaks a promise within a few seeds. */
import { describe, expect, test } from 'vitest';
import { seededBugFound } from '../../support/figures.ts';
import { loadFleet, ROOT, removeMutant, writeMutant } from '../../support/simulation/fleet-modules.ts';
import { MUTANTS } from '../../support/simulation/mutants.ts';
import { runSeeds } from '../../support/simulation/run-seeds.ts';

const FIRST_SEED = 1;
const TIMEOUT_MS = 180_000;

describe('the simulation finds a replica that', () => {
  test.each(Object.entries(MUTANTS))('%s', { timeout: TIMEOUT_MS }, async (_, { edits, faults, count }) => {
    const root = await writeMutant(edits);
    try {
      const order = { root, first: FIRST_SEED, count, failuresMax: 1 };
      const { failures } = await runSeeds(faults === undefined ? order : { ...order, faults });
      expect(failures.length).toBeGreaterThan(0);
      seededBugFound('G3');
    } finally {
      await removeMutant(root);
    }
  });

  test('nothing of the kind where nothing is changed', { timeout: TIMEOUT_MS }, async () => {
    const root = await writeMutant([]);
    try {
      expect((await loadFleet(root)).FleetMember).not.toBe((await loadFleet(ROOT)).FleetMember);
      expect((await runSeeds({ root, first: FIRST_SEED, count: 40 })).failures).toEqual([]);
    } finally {
      await removeMutant(root);
    }
  });
});
