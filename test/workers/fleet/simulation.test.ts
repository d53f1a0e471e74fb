/**
 * Fleets in simulated time: the real machines, a bus in memory, a table that changes, and everything that can
 * go wrong. What is checked stands in `test/support/simulation/checks.ts` and `toy-store.ts`:
 *
 *   always                                             5 s after the last fault
 *   nobody goes back in the log                        every replica holds the table, and is in step
 *   nobody holds what the table never had              one replica leads
 *   a delta goes only onto what it was made from       every replica knows of every revocation, and all agree
 *   no more own loads at once than there are permits   who is out, whatever was asked for where
 *   a proven age is never below the true one
 *   nobody writes without holding the office
 *
 * FLEET_SEEDS=10000 runs so many seeds; FLEET_SEED=123 runs one and prints what happened.
 */
import { describe, expect, test } from 'vitest';
import { figure, LONG } from '../../support/figures.ts';
import { FAULTS } from '../../support/simulation/faults.ts';
import { loadFleet, ROOT } from '../../support/simulation/fleet-modules.ts';
import { runSeeds, type SeedsSum } from '../../support/simulation/run-seeds.ts';
import { SETTLE_MS, simulate } from '../../support/simulation/simulate.ts';

const SEEDS_DEFAULT = LONG ? 100_000 : 600;
const SEED_COUNT = Number(process.env.FLEET_SEEDS ?? SEEDS_DEFAULT);
const FIRST_SEED = 1;
/** Wherever it runs, and whatever else does. */
const MS_PER_SEED = 300;
const TIMEOUT_MS = 120_000 + MS_PER_SEED * SEED_COUNT;
const TRACE_LINES = 400;
/** Of fleets without faults. */
const ORDERED_COUNT = LONG ? 10_000 : 200;

/** The failures, each with how to see it again. */
function failuresOf({ failures }: SeedsSum): string[] {
  return failures.map(
    ({ seed, failure, faults }) =>
      `FLEET_SEED=${seed} vitest run test/workers/fleet/simulation.test.ts\n` +
      `  ${failure}\n  ${faults.join(', ')}`,
  );
}

describe.runIf(process.env.FLEET_SEED !== undefined)('one seed', () => {
  test('is shown', { timeout: TIMEOUT_MS }, async () => {
    const seed = Number(process.env.FLEET_SEED);
    const { trace, failure } = await simulate({ seed, modules: await loadFleet(ROOT), keepsTrace: true });
    process.stdout.write(`${trace.slice(-TRACE_LINES).join('\n')}\n`);
    expect(failure).toBeUndefined();
  });
});

describe.runIf(process.env.FLEET_SEED === undefined)('fleets', () => {
  let all: SeedsSum;

  test(`survive ${SEED_COUNT} seeds of random faults`, { timeout: TIMEOUT_MS }, async () => {
    all = await runSeeds({ root: ROOT, first: FIRST_SEED, count: SEED_COUNT });
    expect(failuresOf(all)).toEqual([]);
    expect(all.runCount).toBe(SEED_COUNT);
    figure('G3', 'fleets simulated', all.runCount);
    figure('G3', 'ms until the last agreed', all.settledMostMs);
    figure('G3', 'kinds of faults', all.faults.size);
    expect(all.settledMostMs).toBeLessThanOrEqual(SETTLE_MS);
  });

  test('have met every fault, and everything that it brings about', () => {
    const missing = Object.keys(FAULTS).filter(fault => !all.faults.has(fault));
    expect(missing).toEqual([]);
    // No replica is given settings of its own, and no blob is too large for it.
    const never = ['refused settings', 'refused too-large', 'refused digest'];
    const without = [...all.counts].filter(([name, count]) => count === 0 && !never.includes(name));
    expect(without).toEqual([]);
  });

  test('do the same again from the same seed, in any process', { timeout: TIMEOUT_MS }, async () => {
    const again = await runSeeds({ root: ROOT, first: FIRST_SEED + 7, count: 20 });
    for (const [seed, hash] of again.hashes) expect([seed, hash]).toEqual([seed, all.hashes.get(seed)]);
    expect(new Set(again.hashes.values()).size).toBe(20);
  });

  test('do as was asked last, without faults', { timeout: TIMEOUT_MS }, async () => {
    const sum = await runSeeds({ root: ROOT, first: 1, count: ORDERED_COUNT, faults: [] });
    expect(failuresOf(sum)).toEqual([]);
  });

  test.each(Object.keys(FAULTS))('survive: %s', { timeout: TIMEOUT_MS }, async fault => {
    const sum = await runSeeds({ root: ROOT, first: 1, count: 6, faults: [fault] });
    expect(failuresOf(sum)).toEqual([]);
  });

  test('of 1,000 replicas survive the loss of bus, leader and network', { timeout: TIMEOUT_MS }, async () => {
    const faults = ['the bus loses everything', 'a process is killed', 'replicas are cut off from the bus'];
    const sum = await runSeeds({ root: ROOT, first: 1, count: 1, faults, replicaCount: 1_000 });
    expect(failuresOf(sum)).toEqual([]);
    expect(sum.replicaMost).toBe(1_000);
  });
});
