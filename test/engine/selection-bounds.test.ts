/**
 * Rule 9: no request can loop, and none finds less than there is, at the borders between rejection and walk.
 */
import { describe, expect, test } from 'vitest';
import { LocalCache } from '../support/local-cache.ts';
import {
  networksOf,
  TEST_SETTINGS,
  type TestNode,
  testId,
  testNode,
  testRow,
} from '../support/population.ts';

/** A hundred times what the largest request here takes; a loop without end takes longer. */
const BOUND_MS = 2000;

function readerOf(nodes: readonly TestNode[]) {
  const cache = new LocalCache({ capacity: nodes.length, settings: TEST_SETTINGS, seed: 9 });
  cache.publish(nodes.map(testRow));
  return cache.reader();
}

function bounded<T>(work: () => T): T {
  const start = performance.now();
  const result = work();
  expect(performance.now() - start).toBeLessThan(BOUND_MS);
  return result;
}

describe('a request for about as many nodes as there are networks', () => {
  const SIZES = [1, 2, 30, 4, 5, 100, 1, 1, 9, 10];

  test.each([
    [9, 9],
    [10, 10],
    [11, 10],
    [1000, 10],
  ])('for %i of ten networks finds %i', (count, found) => {
    const nodes = networksOf(SIZES, 'vetted');
    const reader = readerOf(nodes);
    for (let i = 0; i < 300; i++) {
      const selection = bounded(() => reader.select({ count }));
      expect(selection.length).toBe(found);
      expect(selection.shortage === undefined).toBe(found === count);
      const networks = selection.nodes.map(({ id }) => nodes.find(node => node.id === id)!.network);
      expect(new Set(networks).size).toBe(found);
    }
  });

  test('around half of the networks, where rejection gives way to the walk, always finds them all', () => {
    const reader = readerOf(networksOf(Array(64).fill(2), 'vetted'));
    for (let count = 28; count <= 36; count++) {
      for (let i = 0; i < 100; i++) expect(reader.select({ count }).length).toBe(count);
    }
  });

  test('takes vetted nodes of the networks that new ones would share, rather than run short', () => {
    // Every network has vetted and new nodes: ten picks always exist, however many are new.
    const nodes = [
      ...networksOf(Array(10).fill(3), 'vetted'),
      ...networksOf(Array(10).fill(3), 'new', { number: 100 }),
    ];
    const reader = readerOf(nodes);
    for (const newFraction of [0, 0.1, 0.5, 0.9, 1]) {
      for (let i = 0; i < 100; i++) {
        const selection = reader.select({ count: 10, newFraction, placement: 'uncapped' });
        expect(selection.length).toBe(10);
        expect(selection.nodes.filter(node => node.pool === 'new').length).toBe(newFraction * 10);
      }
    }
  });
});

describe('a request that excludes nearly everything', () => {
  const NODES = networksOf(
    Array.from({ length: 2500 }, (_, i) => 1 + (i % 7)),
    'vetted',
  );
  const IDS = NODES.map(node => node.id);

  test.each(['network', 'none', 'country'])('finds the one node that is left, distinct by %s', distinct => {
    const reader = readerOf(NODES);
    for (const left of [0, 4999, NODES.length - 1]) {
      const exclude = IDS.filter((_, i) => i !== left);
      const selection = bounded(() => reader.select({ count: 1, exclude, distinct }));
      expect(selection.nodes.map(({ id }) => id)).toEqual([IDS[left]]);
    }
  });

  test('finds nothing, and says so, when all are excluded', () => {
    const reader = readerOf(NODES);
    const { shortage } = bounded(() => reader.select({ count: 100, exclude: IDS }));
    expect(shortage).toMatchObject({
      requested: 100,
      found: 0,
      excludedKnown: IDS.length,
      vettedNodes: IDS.length,
      vettedGroups: 2500,
    });
  });

  test('of ten thousand ids, known and unknown, answers in bounded time', () => {
    const reader = readerOf(NODES);
    const exclude = Array.from({ length: 10_000 }, (_, i) =>
      i % 2 === 0 ? testId(100_000 + i) : IDS[i % IDS.length]!,
    );
    for (let i = 0; i < 20; i++) {
      const selection = bounded(() => reader.select({ count: 110, exclude }));
      expect(selection.length).toBe(110);
      const excluded = new Set(exclude);
      expect(selection.nodes.filter(({ id }) => excluded.has(id))).toEqual([]);
    }
  });

  test('finds the last network that is not held', () => {
    const reader = readerOf(NODES);
    const held = NODES.filter(({ network }) => network !== 1234).map(node => node.id);
    const selection = bounded(() => reader.select({ count: 2, held }));
    expect(selection.nodes.map(({ id }) => NODES.find(node => node.id === id)!.network)).toEqual([1234]);
    expect(selection.shortage).toMatchObject({ requested: 2, found: 1, heldKnown: held.length });
  });

  test('finds the only allowed member of a network of ten thousand', () => {
    const crowd = [...networksOf([9999], 'vetted'), testNode(9999, 1, 'ineligible')];
    const reader = readerOf(crowd);
    const exclude = crowd.slice(0, 9998).map(node => node.id);
    const selection = bounded(() => reader.select({ count: 1, exclude }));
    expect(selection.nodes.map(({ id }) => id)).toEqual([crowd[9998]!.id]);
  });
});

test('an empty population gives an empty answer, whatever is asked', () => {
  const reader = readerOf([testNode(0, 0, 'ineligible')]);
  for (const request of [
    {},
    { distinct: 'none' },
    { distinct: 'country' },
    { newFraction: 1 },
    { fillWithNew: true },
    { placement: 'european' },
  ]) {
    expect(bounded(() => reader.select(request)).length).toBe(0);
  }
});

test('one node is found by every request that allows it', () => {
  for (const pool of ['vetted', 'new'] as const) {
    const reader = readerOf([testNode(0, 0, pool, 'DE')]);
    for (const placement of ['default', 'uncapped', 'european', 'anywhere']) {
      expect(reader.select({ count: 1, newFraction: pool === 'new' ? 1 : 0, placement }).length).toBe(1);
    }
  }
});
