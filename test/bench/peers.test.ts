/** The peers of `bench:select` give the answer that ours gives: else a comparison would be worthless. */
import { describe, expect, it } from 'vitest';
import { relayRows } from '../../bench/harness/population.ts';
import {
  byRejection,
  bySampleSize,
  byShuffle,
  networkOf,
  type PlainNode,
  plainPools,
} from '../../bench/select/peers.ts';

const pools = plainPools(relayRows(5_000));

function expectAnswer(picks: readonly PlainNode[]): void {
  expect(picks).toHaveLength(110);
  expect(picks.filter(node => !node.vetted)).toHaveLength(5);
  expect(new Set(picks.map(node => node.network)).size).toBe(110);
}

describe('peers', () => {
  it.each([
    ['byRejection', byRejection],
    ['byShuffle', byShuffle],
    ['bySampleSize', bySampleSize],
  ] as const)('%s picks 110 nodes, 5 of them new, of distinct networks', (_, pick) => {
    for (let i = 0; i < 20; i++) expectAnswer(pick(pools, 110, 5));
  });

  it('byRejection leaves out blocked ids and networks', () => {
    const blocked = pools.vetted.slice(0, 200);
    const networks = new Set(blocked.map(node => networkOf(node.ip)));
    const picks = byRejection(pools, 110, 5, { ids: new Set(), networks });
    expectAnswer(picks);
    expect(picks.some(node => networks.has(node.network))).toBe(false);
  });
});

describe('relayRows', () => {
  it('repeats the population with fresh ids, in other networks', () => {
    const rows = [...relayRows(25_000)];
    expect(new Set(rows.map(row => row.id)).size).toBe(25_000);
    const networks = new Set(rows.map(row => networkOf(row.ip)));
    expect(networks.size).toBeGreaterThan(
      2.4 * new Set(rows.slice(0, 10_000).map(row => networkOf(row.ip))).size,
    );
  });

  it('gives the same rows every time', () => {
    expect([...relayRows(12_000)]).toEqual([...relayRows(12_000)]);
  });
});
