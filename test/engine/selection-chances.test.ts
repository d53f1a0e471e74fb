/**
 * The chances of picks: chi-square with fixed seeds, for rules 1, 3, 4, 7 and 8 of selection.md. Each
 * population takes a known way through the selector: rejection while few groups are taken, a walk when many
 * are, the repair of shared groups.
 */
import { describe, expect, test } from 'vitest';
import { RECORD_TAIL_WORD, RECORD_WORDS } from '../../native-layout/node-record.ts';
import type { Reader } from '../../src/engine/reader.ts';
import type { SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import { LocalCache } from '../support/local-cache.ts';
import {
  networksOf,
  TEST_SETTINGS,
  type TestNode,
  testNode,
  testPort,
  testRow,
} from '../support/population.ts';
import { expectFit, expectUniform, withoutReplacement } from '../support/statistics.ts';

const SEED = 20_260_224;

function readerOf(nodes: readonly TestNode[], seed = SEED): Reader {
  const cache = new LocalCache({ capacity: nodes.length, settings: TEST_SETTINGS, seed });
  cache.publish(nodes.map(testRow));
  return cache.reader();
}

/**
 * Picks of `times` selections as indexes into `nodes`, in the order of the answer. Ports tell the nodes
 * apart.
 */
function* pickIndexes(
  nodes: readonly TestNode[],
  request: SelectionRequest & { count: number },
  times: number,
) {
  const reader = readerOf(nodes);
  const indexOf = new Map(nodes.map((node, i) => [testPort(node), i]));
  const words = new Uint32Array(request.count * RECORD_WORDS);
  const bytes = new Uint8Array(words.buffer);
  for (let i = 0; i < times; i++) {
    const { found } = reader.selectRecords(request, bytes);
    yield Array.from(
      { length: found },
      (_, pick) => indexOf.get(words[pick * RECORD_WORDS + RECORD_TAIL_WORD]! & 0xffff)!,
    );
  }
}

/** All sets of `size` numbers below `n`, as texts. */
function subsets(n: number, size: number): string[] {
  let sets: number[][] = [[]];
  for (let i = 0; i < size; i++) {
    sets = sets.flatMap(set =>
      Array.from({ length: n }, (_, k) => k)
        .filter(k => k > (set.at(-1) ?? -1))
        .map(k => [...set, k]),
    );
  }
  return sets.map(set => set.join(' '));
}

/** Counts how often each of `outcomes` comes up; anything else fails. */
function tally(outcomes: readonly string[], events: Iterable<string>): number[] {
  const counts = new Map(outcomes.map(outcome => [outcome, 0]));
  for (const event of events) {
    if (!counts.has(event)) expect.fail(`${event} is no allowed outcome`);
    counts.set(event, counts.get(event)! + 1);
  }
  return [...counts.values()];
}

function* map<A, B>(items: Iterable<A>, f: (item: A) => B): Generator<B> {
  for (const item of items) yield f(item);
}

const sorted = (indexes: readonly number[]) => [...indexes].sort((a, b) => a - b).join(' ');

describe('rule 1: networks have equal chance, then their members', () => {
  const sizes = [300, 1, 2, 50, 7, 1, 1, 120, 3, 20, 1, 9];
  const nodes = networksOf(sizes, 'vetted');

  test.each([
    ['by rejection', 3],
    ['by a walk', 9],
  ])('a network of 300 nodes is picked as often as a network of one, %s', (_, count) => {
    const networks = sizes.map(() => 0);
    for (const picks of pickIndexes(nodes, { count }, 20_000)) {
      for (const pick of picks) networks[nodes[pick]!.network]!++;
    }
    expectUniform(networks, withoutReplacement(sizes.length, count));
  });

  test('the members of a network are picked equally often', () => {
    const members = nodes.map(() => 0);
    for (const picks of pickIndexes(nodes, { count: 8 }, 30_000)) for (const pick of picks) members[pick]!++;
    for (const network of [0, 2, 3, 4, 7, 8, 9, 11]) {
      expectUniform(members.filter((_, i) => nodes[i]!.network === network));
    }
  });

  test.each([
    ['by rejection', 16, 2],
    ['by a walk', 8, 5],
    ['by a walk over all but one', 8, 7],
  ])('every set of networks is reached equally often, %s', (_, networks, count) => {
    const single = networksOf(Array(networks).fill(1), 'vetted');
    const sets = subsets(networks, count);
    expectUniform(tally(sets, map(pickIndexes(single, { count }, 60_000), sorted)));
  });

  test('every pair of nodes of different networks comes up as the two network sizes say', () => {
    const some = networksOf([4, 1, 2, 3, 1, 1, 2, 1], 'vetted');
    const size = (index: number) => some.filter(node => node.network === some[index]!.network).length;
    const pairs = subsets(some.length, 2).filter(pair => {
      const [a, b] = pair.split(' ').map(Number) as [number, number];
      return some[a]!.network !== some[b]!.network;
    });
    const expected = pairs.map(pair => {
      const [a, b] = pair.split(' ').map(Number) as [number, number];
      return 1 / (size(a) * size(b));
    });
    expectFit({ observed: tally(pairs, map(pickIndexes(some, { count: 2 }, 60_000), sorted)), expected });
  });

  test('without a distinct rule every pair of nodes is equally likely, whatever the networks', () => {
    const some = networksOf([5, 1, 2, 1], 'vetted');
    for (const count of [2, 7]) {
      const request = { count, distinct: 'none' };
      expectUniform(tally(subsets(9, count), map(pickIndexes(some, request, 40_000), sorted)));
    }
  });

  test('spread by an attribute, its values have equal chance, and no value is a value of its own', () => {
    const countries = ['DE', 'DE', 'DE', 'DE', 'FR', 'US', 'US', undefined, undefined, 'JP'];
    const some = countries.map((country, i) => testNode(i, i >> 1, 'vetted', country));
    const request = { count: 1, distinct: 'country' };
    const observed = tally(
      some.map((_, i) => String(i)),
      map(pickIndexes(some, request, 40_000), sorted),
    );
    const expected = countries.map(country => 1 / countries.filter(other => other === country).length);
    expectFit({ observed, expected });
  });
});

describe('rule 2: one network over both pools', () => {
  test('a pick of each pool has the chances of drawing new first, then vetted among what is left', () => {
    // Networks 0 and 3 have both pools.
    const nodes = [
      testNode(0, 0, 'vetted'),
      testNode(1, 1, 'vetted'),
      testNode(2, 3, 'vetted'),
      testNode(3, 0, 'new'),
      testNode(4, 2, 'new'),
      testNode(5, 3, 'new'),
    ];
    const outcomes: string[] = [];
    const expected: number[] = [];
    for (const newPick of [3, 4, 5]) {
      const left = [0, 1, 2].filter(vetted => nodes[vetted]!.network !== nodes[newPick]!.network);
      for (const vetted of left) {
        outcomes.push(`${vetted} ${newPick}`);
        expected.push(1 / 3 / left.length);
      }
    }
    const request = { count: 2, newFraction: 0.5, placement: 'uncapped' };
    expectFit({ observed: tally(outcomes, map(pickIndexes(nodes, request, 40_000), sorted)), expected });
  });
});

describe('rule 3: an excluded member is drawn again inside its network', () => {
  test.each([3, 9, 28, 29])(
    'a network with %i of 30 members excluded is picked as often as the others',
    count => {
      const nodes = networksOf([30, ...Array(11).fill(1)], 'vetted');
      const exclude = nodes.slice(0, count).map(node => node.id);
      const picked = nodes.map(() => 0);
      for (const picks of pickIndexes(nodes, { count: 2, exclude }, 30_000)) {
        for (const pick of picks) picked[pick]!++;
      }
      expect(picked.slice(0, count).every(times => times === 0)).toBe(true);
      const large = picked.slice(count, 30);
      if (large.length > 1) expectUniform(large);
      const networks = [large.reduce((sum, times) => sum + times, 0), ...picked.slice(30)];
      expectUniform(networks, withoutReplacement(12, 2));
    },
  );

  test('the same where there are so many networks that nothing but chance decides', () => {
    const nodes = networksOf([30, ...Array(71).fill(1)], 'vetted');
    const exclude = nodes.slice(0, 29).map(node => node.id);
    const picked = nodes.map(() => 0);
    for (const picks of pickIndexes(nodes, { count: 7, exclude }, 30_000)) {
      for (const pick of picks) picked[pick]!++;
    }
    expect(picked.slice(0, 29).every(times => times === 0)).toBe(true);
    expectUniform(picked.slice(29), withoutReplacement(72, 7));
  });
});

describe('a network whose members are all excluded', () => {
  test('leaves the others equal chances, and every place in the answer', () => {
    const [dead, alive, count] = [9, 21, 5];
    const nodes = networksOf(Array(dead + alive).fill(1), 'vetted');
    const exclude = nodes.slice(0, dead).map(node => node.id);
    const places = nodes.map(() => Array<number>(count).fill(0));
    for (const picks of pickIndexes(nodes, { count, exclude }, 40_000)) {
      expect(picks).toHaveLength(count);
      for (const [place, pick] of picks.entries()) places[pick]![place]!++;
    }
    expect(
      places
        .slice(0, dead)
        .flat()
        .every(times => times === 0),
    ).toBe(true);
    expectUniform(places.slice(dead).flat());
  });

  test('in one pool is as open to the other pool as any', () => {
    const networks = 12;
    const vetted = networksOf(Array(networks).fill(1), 'vetted');
    const fresh = networksOf(Array(networks).fill(1), 'new', { number: networks });
    const exclude = fresh.slice(0, 5).map(node => node.id);
    const pairs = fresh
      .slice(5)
      .flatMap((_, i) => vetted.flatMap((_, k) => (k === i + 5 ? [] : [`${k} ${i}`])));
    const request = { count: 2, newFraction: 0.5, placement: 'uncapped', exclude };
    const picked = map(pickIndexes([...vetted, ...fresh], request, 40_000), picks => {
      const [a, b] = [Math.min(...picks), Math.max(...picks)];
      return `${a} ${b - networks - 5}`;
    });
    expectUniform(tally(pairs, picked));
  });
});

describe('rule 4: the number of new picks', () => {
  /** 40 networks of one vetted node, and as many of one new node. */
  const even = [
    ...networksOf(Array(40).fill(1), 'vetted'),
    ...networksOf(Array(40).fill(1), 'new', { network: 40, number: 40 }),
  ];

  test.each([
    { count: 1, newFraction: 0.01, times: 100_000 },
    { count: 1, newFraction: 0.5, times: 20_000 },
    { count: 3, newFraction: 1 / 3, times: 2_000 },
    { count: 7, newFraction: 0.05, times: 40_000 },
    { count: 30, newFraction: 0.05, times: 20_000 },
    { count: 20, newFraction: 0.4999, times: 5_000 },
    { count: 8, newFraction: 0, times: 2_000 },
    { count: 8, newFraction: 1, times: 2_000 },
  ])(
    'of $count picks $newFraction are new in expectation, and never off by one or more',
    ({ count, newFraction, times }) => {
      const observed: number[] = Array(count + 2).fill(0);
      for (const picks of pickIndexes(even, { count, newFraction, placement: 'uncapped' }, times)) {
        observed[picks.filter(pick => even[pick]!.pool === 'new').length]!++;
      }
      const expectation = count * newFraction;
      const whole = Math.floor(expectation);
      const expected: number[] = observed.map(() => 0);
      expected[whole] = 1 - (expectation - whole);
      expected[whole + 1] = expectation - whole;
      const possible = expected.filter(share => share > 1e-9).length;
      if (possible > 1) expectFit({ observed, expected });
      else expect(observed[Math.round(expectation)]).toBe(times);
    },
  );

  test.each([
    ['caps the fraction', 'default', 0.04],
    ['does not cap it where the switch is off', 'uncapped', 0.5],
  ])('the natural share of new nodes %s', (_, placement, share) => {
    // Four new nodes of a hundred candidates; ineligible nodes do not count.
    const nodes = [
      ...networksOf(Array(96).fill(1), 'vetted'),
      ...networksOf(Array(4).fill(1), 'new', { network: 100, number: 100 }),
      ...networksOf(Array(60).fill(1), 'ineligible', { network: 200, number: 200 }),
    ];
    const request = { count: 3, newFraction: 0.5, placement };
    const observed = [0, 0, 0, 0];
    for (const picks of pickIndexes(nodes, request, 40_000)) {
      observed[picks.filter(pick => nodes[pick]!.pool === 'new').length]!++;
    }
    const whole = Math.floor(3 * share);
    const expected = [0, 0, 0, 0];
    expected[whole] = 1 - (3 * share - whole);
    expected[whole + 1] = 3 * share - whole;
    expectFit({ observed, expected });
  });
});

describe('rule 7: picks are independent of earlier requests', () => {
  test.each([1, 2, 15, 16])('a pick says nothing of the pick %i requests later', lag => {
    const nodes = networksOf(Array(10).fill(1), 'vetted');
    const picks = [...map(pickIndexes(nodes, { count: 1 }, 60_000), ([pick]) => pick!)];
    const table: number[] = Array(100).fill(0);
    for (let i = lag; i < picks.length; i += 1) table[picks[i - lag]! * 10 + picks[i]!]!++;
    expectUniform(table);
  });

  test('a large answer leaves no trace in the next', () => {
    const nodes = networksOf(Array(12).fill(1), 'vetted');
    const reader = readerOf(nodes);
    const indexOf = new Map(nodes.map((node, i) => [node.id, i]));
    const table: number[] = Array(144).fill(0);
    for (let i = 0; i < 30_000; i++) {
      const last = reader.select({ count: 11 }).nodes.at(-1)!;
      const [first] = reader.select({ count: 1 }).nodes;
      table[indexOf.get(last.id)! * 12 + indexOf.get(first!.id)!]!++;
    }
    expectUniform(table);
  });
});

describe('rule 8: the order of an answer carries no information', () => {
  const vetted = networksOf(Array(24).fill(1), 'vetted');
  const fresh = networksOf(Array(24).fill(1), 'new', { network: 24, number: 24 });
  const nodes = [...vetted, ...fresh];

  test.each([
    { count: 2, news: 1 },
    { count: 6, news: 1 },
    { count: 6, news: 2 },
    { count: 6, news: 3 },
    { count: 6, news: 5 },
    { count: 7, news: 6 },
  ])('$news new picks of $count stand at every set of positions equally often', ({ count, news }) => {
    const request = { count, newFraction: news / count, placement: 'uncapped' };
    const positions = map(pickIndexes(nodes, request, 30_000), picks =>
      sorted(picks.flatMap((pick, position) => (nodes[pick]!.pool === 'new' ? [position] : []))),
    );
    expectUniform(tally(subsets(count, news), positions));
  });

  test.each([
    ['few of many', 16, 4, 4, { vetted: 12, newFirst: 0.5 }],
    ['nearly all', 6, 5, 2, { vetted: 4, newFirst: 0.4 }],
  ] as const)(
    'every order of the picks is equally likely for every node and pair: %s',
    (_, all, count, _news, mix) => {
      const some = [
        ...networksOf(Array(mix.vetted).fill(1), 'vetted'),
        ...networksOf(Array(all - mix.vetted).fill(1), 'new', { network: 50, number: 50 }),
      ];
      const request = { count, newFraction: mix.newFirst, placement: 'uncapped' };
      const places = some.map(() => Array<number>(count).fill(0));
      const before = new Map<string, [number, number]>();
      for (const picks of pickIndexes(some, request, 40_000)) {
        for (const [place, pick] of picks.entries()) places[pick]![place]!++;
        for (let i = 0; i < count; i++) {
          for (let j = i + 1; j < count; j++) {
            const [a, b] = [Math.min(picks[i]!, picks[j]!), Math.max(picks[i]!, picks[j]!)];
            const orders = before.get(`${a} ${b}`) ?? [0, 0];
            orders[picks[i] === a ? 0 : 1]++;
            before.set(`${a} ${b}`, orders);
          }
        }
      }
      for (const counts of places) expectUniform(counts);
      for (const orders of before.values()) expectUniform(orders);
    },
  );

  test('an answer that took repairs, or was filled up with new nodes, is mixed as well', () => {
    // Both vetted nodes share their networks with new ones: half of the draws need the repair, then new ones
    // fill up.
    const some = [...networksOf([1, 1], 'vetted'), ...networksOf([1, 1, 1, 1], 'new', { number: 2 })];
    for (const fillWithNew of [false, true]) {
      const request = { count: 4, newFraction: 0.5, placement: 'uncapped', fillWithNew };
      const positions = map(pickIndexes(some, request, 30_000), picks =>
        sorted(picks.flatMap((pick, position) => (some[pick]!.pool === 'new' ? [position] : []))),
      );
      expectUniform(tally(subsets(4, 2), positions));
    }
    const filled = { count: 4, newFraction: 0.25, placement: 'uncapped', fillWithNew: true };
    const alone = [
      ...networksOf([1], 'vetted'),
      ...networksOf([1, 1, 1, 1], 'new', { network: 1, number: 1 }),
    ];
    const positions = map(pickIndexes(alone, filled, 30_000), picks => String(picks.indexOf(0)));
    expectUniform(tally(['0', '1', '2', '3'], positions));
  });
});
