/**
 * The data guard against 10,000 generated sequences of loads, good and hostile: what it publishes is exactly
 * what a plain reading of the rules allows.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CacheError } from '../../../src/engine/errors.ts';
import { DataGuard } from '../../../src/workers/guard/data-guard.ts';
import { type LoadFacts, type Served, servedOf } from '../../../src/workers/guard/validators.ts';
import { DEFAULT_GUARD } from '../../../src/workers/settings.ts';
import { figure } from '../../support/figures.ts';
import { checkProperty } from '../../support/property.ts';

const SETTINGS = { ...DEFAULT_GUARD, nodesMin: 20, vettedMin: 5, networkShareMax: 0.5, confirmations: 2 };
const MINUTE_MS = 60_000;

function facts(vetted: number, fresh: number, more: Partial<LoadFacts> = {}): LoadFacts {
  const nodes = {
    total: vetted + fresh,
    vetted,
    new: fresh,
    ineligible: 0,
    vettedNetworks: vetted,
    newNetworks: fresh,
    networks: vetted + fresh,
  };
  return { refused: {}, nodes, networkShare: 0.1, ...more };
}

/** What a source may deliver after `before`: as it should be, or broken in one of the ways that happen. */
function loadAfter({ vetted, eligible }: Served, kind: number, part: number): LoadFacts {
  const fresh = eligible - vetted;
  const scaled = (factor: number) => facts(Math.round(vetted * factor), Math.round(fresh * factor));
  const good = facts(vetted, fresh);
  const kinds: (() => LoadFacts)[] = [
    () => good,
    () => scaled(1 + part * 0.1),
    () => scaled(0.8),
    () => scaled(0.79),
    () => facts(0, 0),
    () => facts(Math.round(vetted * 0.7), fresh + Math.round(vetted * 0.3)),
    () => scaled(10),
    () => scaled(10.5),
    () => ({ ...good, refused: { 'id-duplicate': Math.ceil(eligible * 0.02) } }),
    () => ({ ...good, refused: { 'address-invalid': Math.ceil(eligible * (0.04 + part * 0.03)) } }),
    () => ({ ...good, networkShare: 0.4 + part * 0.2 }),
    () => scaled(0.95 - part * 0.05),
    () => scaled(0.5 + part * 0.2),
  ];
  return kinds[kind % kinds.length]!();
}

/** The rules once more, as one would say them: over everything that was ever served. */
class PlainGuard {
  readonly #served: { readonly atMs: number; readonly nodes: Served }[] = [];
  #refused: { names: string; nodes: Served; times: number } | undefined;
  current: Served;

  constructor(first: Served) {
    this.current = first;
  }

  published(nodes: Served, atMs: number): void {
    this.current = nodes;
    this.#served.push({ atMs, nodes });
  }

  /** Names of what is wrong; empty when the load may be published. */
  judge({ nodes, refused, networkShare }: LoadFacts, nowMs: number): string {
    const now = servedOf(nodes);
    const rows = Object.values(refused).reduce((sum, count) => sum + count, nodes.total);
    const hour = [
      this.current,
      ...this.#served.filter(({ atMs }) => nowMs - atMs <= 60 * MINUTE_MS).map(one => one.nodes),
    ];
    const most = (pick: (served: Served) => number) => Math.max(...hour.map(pick));
    const fell = (to: number, from: number, ratio: number) => to < from * (1 - ratio);
    const wrong = {
      'rejected-rows': rows - nodes.total > 0.05 * rows,
      'duplicate-ids': (refused['id-duplicate'] ?? 0) > 0.01 * rows,
      'fewest-nodes': now.eligible < 20,
      'fewest-vetted': now.vetted < 5,
      drop: fell(now.eligible, this.current.eligible, 0.2) || fell(now.vetted, this.current.vetted, 0.2),
      'drop-in-an-hour':
        fell(
          now.eligible,
          most(one => one.eligible),
          0.5,
        ) ||
        fell(
          now.vetted,
          most(one => one.vetted),
          0.5,
        ),
      growth: this.current.eligible >= 100 && now.eligible > 10 * this.current.eligible,
      'network-concentration': networkShare > 0.5,
    };
    const names = Object.entries(wrong).flatMap(([name, is]) => (is ? [name] : []));
    if (names.length === 0) {
      this.#refused = undefined;
      return '';
    }
    const near = (a: number, b: number) => Math.abs(a - b) <= 0.02 * Math.max(a, b);
    const before = this.#refused;
    const again =
      before?.names === names.join() &&
      near(before.nodes.vetted, now.vetted) &&
      near(before.nodes.eligible, now.eligible);
    this.#refused = { names: names.join(), nodes: now, times: again ? before.times + 1 : 1 };
    const waivable = names.every(name =>
      ['drop', 'drop-in-an-hour', 'growth', 'network-concentration'].includes(name),
    );
    if (!waivable || this.#refused.times <= 2) return names.join();
    this.#refused = undefined;
    this.#served.length = 0;
    return '';
  }
}

const verdict = (judge: () => void): string => {
  try {
    judge();
    return '';
  } catch (error) {
    expect(error).toBeInstanceOf(CacheError);
    expect(error).toMatchObject({ code: 'SNAPSHOT_REJECTED' });
    return (error as CacheError).field!;
  }
};

describe('the data guard', () => {
  test('publishes exactly what the rules allow, load after load', () => {
    let refusedCount = 0;
    let loadCount = 0;
    const steps = fc.array(fc.tuple(fc.nat(12), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(30)), {
      minLength: 1,
      maxLength: 12,
    });
    const property = fc.property(
      fc.integer({ min: 30, max: 5_000 }),
      fc.integer({ min: 0, max: 500 }),
      steps,
      (v, n, loads) => {
        let nowMs = 1_000_000;
        const guard = new DataGuard(SETTINGS, () => nowMs);
        const plain = new PlainGuard({ eligible: v + n, vetted: v });
        guard.published(plain.current);
        plain.published(plain.current, nowMs);
        for (const [kind, part, minutes] of loads) {
          nowMs += minutes * MINUTE_MS;
          loadCount++;
          const load = loadAfter(plain.current, kind, part);
          const expected = plain.judge(load, nowMs);
          const field = verdict(() => guard.judge(load, plain.current, { acceptDrop: false }));
          expect(field === '').toBe(expected === '');
          expect(guard.status().refusing?.validators.join() ?? '').toBe(expected);
          if (expected !== '') refusedCount++;
          else {
            guard.published(servedOf(load.nodes));
            plain.published(servedOf(load.nodes), nowMs);
          }
        }
      },
    );
    checkProperty(property, { runs: 10_000 });
    figure('G14', 'loads judged, each as the plain rules do', loadCount);
    figure('G14', 'refused', refusedCount);
    expect(refusedCount).toBeGreaterThan(10_000);
  });

  test('sees a decline that is slow enough for every single step', () => {
    let nowMs = 0;
    const guard = new DataGuard(DEFAULT_GUARD, () => nowMs);
    let current = { eligible: 10_000, vetted: 10_000 };
    guard.published(current);
    const steps: number[] = [];
    for (let step = 0; step < 20; step++) {
      nowMs += MINUTE_MS;
      const load = facts(Math.floor(current.vetted * 0.9), 0);
      if (verdict(() => guard.judge(load, current, { acceptDrop: false })) !== '') break;
      current = servedOf(load.nodes);
      guard.published(current);
      steps.push(current.eligible);
    }
    expect(steps).toHaveLength(6);
    expect(guard.status().refusing).toEqual({ validators: ['drop-in-an-hour'], times: 1 });
    // An hour later the same number is no decline any more.
    nowMs += 61 * MINUTE_MS;
    expect(
      verdict(() => guard.judge(facts(Math.floor(current.vetted * 0.9), 0), current, { acceptDrop: false })),
    ).toBe('');
  });
});

describe('an override', () => {
  const current = { eligible: 1_000, vetted: 1_000 };
  const dropped = facts(500, 0);
  let nowMs = 0;
  const open = () => {
    nowMs = 0;
    return new DataGuard({ ...DEFAULT_GUARD, dropPerHourRatioMax: 1 }, () => nowMs);
  };

  test('lets one load pass, and not the next', () => {
    const guard = open();
    guard.override(['drop'], 1_000);
    expect(guard.status().override).toEqual({ validators: ['drop'], leftMs: 1_000 });
    expect(verdict(() => guard.judge(dropped, current, { acceptDrop: false }))).toBe('');
    expect(guard.status().override).toBeNull();
    expect(verdict(() => guard.judge(dropped, current, { acceptDrop: false }))).toBe('guard.dropRatioMax');
  });

  test('is not used up by a load that is good', () => {
    const guard = open();
    guard.override(['drop'], 1_000);
    expect(verdict(() => guard.judge(facts(1_000, 0), current, { acceptDrop: false }))).toBe('');
    expect(guard.status().override).not.toBeNull();
  });

  test('is over when its time is', () => {
    const guard = open();
    guard.override(['drop'], 1_000);
    nowMs = 1_000;
    expect(verdict(() => guard.judge(dropped, current, { acceptDrop: false }))).toBe('guard.dropRatioMax');
    expect(guard.status().override).toBeNull();
  });

  test('for one validator does not help against another', () => {
    const guard = open();
    guard.override(['growth'], 1_000);
    expect(verdict(() => guard.judge(dropped, current, { acceptDrop: false }))).toBe('guard.dropRatioMax');
  });

  test('is refused for what is wrong whatever anybody says', () => {
    expect(() => open().override(['fewest-nodes'], 1_000)).toThrow(/cannot be overridden/);
    const none = facts(0, 0);
    expect(verdict(() => open().judge(none, current, { acceptDrop: true }))).toBe('guard.nodesMin');
  });
});
