/** What the guard remembers between loads, and what it does not let changes do to that. */
import { describe, expect, test } from 'vitest';
import { DataGuard } from '../../../src/workers/guard/data-guard.ts';
import type { LoadFacts, Served } from '../../../src/workers/guard/validators.ts';
import { DEFAULT_GUARD } from '../../../src/workers/settings.ts';

const served = (vetted: number): Served => ({ eligible: vetted, vetted });

function facts(vetted: number): LoadFacts {
  const nodes = {
    total: vetted,
    vetted,
    new: 0,
    ineligible: 0,
    vettedNetworks: vetted,
    newNetworks: 0,
    networks: vetted,
  };
  return { refused: {}, nodes, networkShare: 0 };
}

/** A guard that has published a load of 1,000. */
function guardOf({ confirmations = 0 } = {}): DataGuard {
  const guard = new DataGuard({ ...DEFAULT_GUARD, dropPerHourRatioMax: 1, confirmations }, () => 0);
  guard.loaded(served(1_000), false);
  return guard;
}

const ORDINARY = { acceptDrop: false };
const FORCED = { acceptDrop: false, isForced: true };

describe('loads that are refused alike', () => {
  test('are confirmed though small changes come between them', () => {
    const guard = guardOf({ confirmations: 2 });
    for (let i = 0; i < 2; i++) {
      expect(() => guard.judge(facts(500), served(1_000), ORDINARY)).toThrow('guard.dropRatioMax');
      guard.judgeChange(facts(999), served(1_000));
      guard.published(served(999));
    }
    guard.judge(facts(500), served(1_000), ORDINARY);
    expect(guard.status().refusing).toBeNull();
  });
});

describe('a change', () => {
  test('that is refused confirms nothing, however often it comes', () => {
    const guard = guardOf({ confirmations: 2 });
    for (let i = 0; i < 10; i++) {
      expect(() => guard.judgeChange(facts(500), served(1_000))).toThrow('guard.dropRatioMax');
    }
    expect(guard.status().refusing).toBeNull();
  });

  test('uses no override, and is measured by the last load: many small ones are no way around', () => {
    const guard = guardOf();
    guard.override(['drop'], 60_000);
    let now = 1_000;
    const change = (to: number) => {
      guard.judgeChange(facts(to), served(now));
      guard.published(served(to));
      now = to;
    };
    for (const to of [950, 900, 850, 800]) change(to);
    expect(() => change(799)).toThrow('guard.dropRatioMax');
    expect(guard.status().override).toMatchObject({ validators: ['drop'] });
    expect(guard.mayFall(800)).toBe(true);
    expect(guard.mayFall(799)).toBe(false);
  });
});

describe('many small changes', () => {
  test('are no way around the limit of growth either', () => {
    const guard = guardOf();
    let now = 1_000;
    const change = (to: number) => {
      guard.judgeChange(facts(to), served(now));
      guard.published(served(to));
      now = to;
    };
    for (const to of [4_000, 8_000, 10_000]) change(to);
    expect(() => change(10_001)).toThrow('guard.growthFactorMax');
    // A load in its time is measured by what is served.
    guard.judge(facts(10_001), served(now), ORDINARY);
    guard.loaded(served(10_001), false);
    change(20_000);
  });
});

describe('loads that changes have forced', () => {
  test('are together held to the limit of one drop, until the next one in its time', () => {
    const guard = guardOf();
    const load = (to: number, from: number, waiver: typeof FORCED | typeof ORDINARY) => {
      guard.judge(facts(to), served(from), waiver);
      guard.loaded(served(to), waiver === FORCED);
    };
    load(850, 1_000, FORCED);
    load(810, 850, FORCED);
    expect(() => load(790, 810, FORCED)).toThrow('guard.dropRatioMax');
    load(790, 810, ORDINARY);
    load(640, 790, FORCED);
  });
});
