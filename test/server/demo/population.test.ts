import { describe, expect, test } from 'vitest';
import { formatAddress, parseAddress } from '../../../src/engine/address/address.ts';
import { specialUseTest } from '../../../src/engine/address/special-use.ts';
import { type DemoNode, POPULATION_COUNT, population } from '../../../src/server/demo/population.ts';

const NOW_MS = Date.UTC(2026, 0, 15);
const SEEDS = [1, 2, 3];
const MANY = 200_000;

function made(seed: number, count = POPULATION_COUNT): DemoNode[] {
  return [...population({ seed, nowMs: NOW_MS, count })];
}

function countBy<K>(nodes: readonly DemoNode[], key: (node: DemoNode) => K): Map<K, number> {
  const counts = new Map<K, number>();
  for (const node of nodes) counts.set(key(node), (counts.get(key(node)) ?? 0) + 1);
  return counts;
}

describe('the population', () => {
  test('is the same for the same seed and moment, and another for another seed', () => {
    expect(made(1, 1_000)).toEqual(made(1, 1_000));
    expect(made(1, 1_000)).not.toEqual(made(2, 1_000));
  });

  test('starts with the same nodes whatever its size, but for the last network', () => {
    const [few, many] = [made(1, 500), made(1, 5_000)];
    expect(many.slice(0, 100)).toEqual(few.slice(0, 100));
  });

  test.each([0, 1, 2, POPULATION_COUNT])('has exactly %d nodes when so many are asked for', count => {
    expect(made(9, count)).toHaveLength(count);
  });

  test('is made as it is read, not before', () => {
    const endless = population({ seed: 1, nowMs: NOW_MS, count: Number.MAX_SAFE_INTEGER });
    expect(endless.next().done).toBe(false);
  });

  test.each(SEEDS)('of seed %d is about 80 %% eligible and has every state', seed => {
    const states = countBy(made(seed), node => node.state);
    expect(states.get('eligible')! / POPULATION_COUNT).toBeCloseTo(0.8, 1);
    expect(states.get('eligible')! / POPULATION_COUNT).toBeGreaterThan(0.78);
    expect([...states.keys()].sort()).toEqual([
      'audit-suspended',
      'disqualified',
      'eligible',
      'exited',
      'exiting',
      'full',
      'gone',
      'offline',
      'offline-suspended',
      'wrong-type',
    ]);
  });

  test.each(SEEDS)('of seed %d has many networks with one node and few with hundreds', seed => {
    const sizes = [...countBy(made(seed), node => node.network).values()].sort((a, b) => b - a);
    expect(sizes.length).toBeGreaterThan(3_500);
    expect(sizes.length).toBeLessThan(6_000);
    expect(sizes.filter(size => size === 1).length / sizes.length).toBeGreaterThan(0.7);
    expect(sizes[0]).toBeGreaterThan(150);
    expect(sizes[0]).toBeLessThanOrEqual(320);
  });

  test.each(SEEDS)('of seed %d has both pools, both kinds of address and many countries', seed => {
    const nodes = made(seed);
    const share = (of: (node: DemoNode) => boolean) => nodes.filter(of).length / nodes.length;
    expect(share(node => node.vettedAtMs !== undefined)).toBeGreaterThan(0.8);
    expect(share(node => node.vettedAtMs === undefined)).toBeGreaterThan(0.1);
    expect(share(node => node.ip.includes(':'))).toBeGreaterThan(0.01);
    expect(countBy(nodes, node => node.country).size).toBeGreaterThan(35);
    expect(share(node => node.country === 'DE')).toBeGreaterThan(0.1);
  });

  test(`holds no special-use address, no bad port and no id twice in ${MANY} nodes`, () => {
    const specialUse = specialUseTest([]);
    const ids = new Set<string>();
    const bytes = new Uint8Array(16);
    let refused = 0;
    for (const node of population({ seed: 4, nowMs: NOW_MS, count: MANY })) {
      // The canonical text, too: what goes in is what every answer shows.
      if (!parseAddress(node.ip, bytes) || formatAddress(bytes) !== node.ip) refused++;
      if (specialUse(bytes) !== undefined) refused++;
      if (node.port < 1 || node.port > 65_535) refused++;
      ids.add(node.id);
    }
    expect(refused).toBe(0);
    expect(ids.size).toBe(MANY);
  });

  test('gives every network another name, and keeps the hosts of one inside it', () => {
    const owners = new Map<string, string>();
    for (const node of made(6, 50_000)) {
      expect(owners.get(node.network) ?? node.wallet).toBe(node.wallet);
      owners.set(node.network, node.wallet);
      const prefix = node.network.replace(/\.0$/, '.').replace(/::$/, '::');
      expect(node.ip.startsWith(prefix)).toBe(true);
    }
  });

  test('has no time after its moment, and none before the node existed', () => {
    for (const node of made(8)) {
      expect(node.createdAtMs).toBeLessThan(NOW_MS);
      expect(node.lastContactMs).toBeLessThanOrEqual(NOW_MS);
      for (const timeMs of [node.lastContactMs, node.vettedAtMs ?? NOW_MS, node.sinceMs ?? NOW_MS]) {
        expect(timeMs).toBeGreaterThanOrEqual(node.createdAtMs);
      }
    }
  });
});
