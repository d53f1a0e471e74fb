/**
 * The rules of selection.md over random small populations, against the brute-force oracle: what may be
 * picked, how many picks there can be, and that a shortage is reported only when no allowed answer exists.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Selection } from '../../src/engine/selection/selection-result.ts';
import type { SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import { LocalCache } from '../support/local-cache.ts';
import { askOracle, groupOf, type OracleAnswer, type OracleRequest } from '../support/oracle.ts';
import {
  populations,
  TEST_SETTINGS,
  type TestNode,
  testIp,
  testPort,
  testRow,
} from '../support/population.ts';
import { checkProperty } from '../support/property.ts';

const LIMITS = { countMax: 60, idsMax: 40 };
const CACHE = new LocalCache({ capacity: 60, settings: TEST_SETTINGS, limits: LIMITS });
const NODES_MAX = 45;

/** What the oracle needs to know of the placements of TEST_SETTINGS. */
const PLACEMENTS: Record<
  string,
  Pick<OracleRequest, 'newFraction' | 'capNewFraction' | 'distinct' | 'passes'>
> = {
  default: { newFraction: 0.05, capNewFraction: true, distinct: 'network', passes: () => true },
  european: {
    newFraction: 0.3,
    capNewFraction: true,
    distinct: 'network',
    passes: ({ country }) => country === 'DE' || country === 'FR',
  },
  elsewhere: {
    newFraction: 0.5,
    capNewFraction: false,
    distinct: 'network',
    passes: ({ country }) => country !== 'DE' && country !== 'FR',
  },
  exits: {
    newFraction: 0.05,
    capNewFraction: true,
    distinct: 'country',
    passes: ({ exit }) => exit === '1' || exit === 'true',
  },
  anywhere: { newFraction: 0.2, capNewFraction: false, distinct: 'none', passes: () => true },
  uncapped: { newFraction: 0.05, capNewFraction: false, distinct: 'network', passes: () => true },
};

const UNKNOWN_ID = 'f'.repeat(64);

/** Numbers of nodes, of which those beyond the population stand for unknown ids. */
const idNumbers = fc.array(fc.nat(NODES_MAX + 2), { maxLength: 14 });

const requests = fc.record(
  {
    count: fc.integer({ min: 1, max: 24 }),
    newFraction: fc.oneof(fc.constantFrom(0, 0.05, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true })),
    placement: fc.constantFrom(...Object.keys(PLACEMENTS)),
    distinct: fc.constantFrom('network', 'none', 'country', 'exit'),
    fillWithNew: fc.boolean(),
    partial: fc.boolean(),
    order: fc.constantFrom<'random' | 'vetted-first'>('random', 'vetted-first'),
    exclude: idNumbers,
    held: idNumbers,
  },
  { requiredKeys: ['count'] },
);

type Drawn = typeof requests extends fc.Arbitrary<infer T> ? T : never;

interface Case {
  readonly nodes: readonly TestNode[];
  readonly request: SelectionRequest & { readonly count: number };
  readonly oracle: OracleRequest;
  readonly answer: OracleAnswer;
}

function caseOf(nodes: readonly TestNode[], drawn: Drawn): Case {
  const idsOf = (numbers: readonly number[] | undefined) =>
    (numbers ?? []).map(number => nodes[number]?.id ?? UNKNOWN_ID);
  const ids = { exclude: idsOf(drawn.exclude), held: idsOf(drawn.held) };
  const placement = PLACEMENTS[drawn.placement ?? 'default']!;
  const oracle: OracleRequest = {
    ...placement,
    ...ids,
    count: drawn.count,
    newFraction: drawn.newFraction ?? placement.newFraction,
    fillWithNew: drawn.fillWithNew === true,
    distinct: (drawn.distinct as OracleRequest['distinct'] | undefined) ?? placement.distinct,
  };
  return { nodes, request: { ...drawn, ...ids }, oracle, answer: askOracle(nodes, oracle) };
}

/** Checks `check` on a few selections of every drawn case; the reader lives through them all. */
function checkSelections(check: (selection: Selection, of: Case) => void, runs = 500): void {
  const property = fc.property(
    populations(NODES_MAX),
    fc.array(requests, { minLength: 1, maxLength: 4 }),
    fc.nat(),
    (nodes, drawn, seed) => {
      CACHE.publish(nodes.map(testRow));
      const reader = CACHE.reader(0, seed);
      try {
        for (const one of drawn) {
          const of = caseOf(nodes, one);
          check(reader.select(of.request), of);
        }
      } finally {
        reader.release();
      }
    },
  );
  checkProperty(property, { runs });
}

const countNew = (selection: Selection) => selection.nodes.filter(node => node.pool === 'new').length;

test('every pick is an allowed node, with its own address, port and pool', () => {
  checkSelections((selection, { nodes, answer }) => {
    for (const { id, ip, port, pool } of selection) {
      expect(answer.allowed).toContain(id);
      const node = nodes.find(known => known.id === id)!;
      expect({ ip, port, pool }).toEqual({ ip: testIp(node), port: testPort(node), pool: node.pool });
    }
  });
});

test('no two picks share a group of the distinct rule, over both pools together', () => {
  checkSelections((selection, { nodes, oracle }) => {
    const groups = selection.nodes.map(({ id }) =>
      groupOf(nodes.find(node => node.id === id)!, oracle.distinct),
    );
    expect(new Set(groups).size).toBe(groups.length);
  });
});

test('an answer has as many picks, and as many new ones, as the rules allow at the most', () => {
  checkSelections((selection, { oracle, answer }) => {
    const outcome = { found: selection.length, newFound: countNew(selection) };
    expect(answer.newWanted.map(answer.outcome), JSON.stringify(oracle)).toContainEqual(outcome);
  }, 3000);
});

test('a shortage is reported exactly when picks are missing, with the sizes of the pools', () => {
  checkSelections((selection, { nodes, request, oracle, answer }) => {
    const { shortage } = selection;
    expect(shortage === undefined).toBe(selection.length === request.count);
    if (shortage === undefined) return;
    const pool = (name: string) => answer.candidates.filter(node => node.pool === name);
    const groups = (name: string) => new Set(pool(name).map(node => groupOf(node, oracle.distinct))).size;
    const known = (ids: readonly string[]) => ids.filter(id => nodes.some(node => node.id === id)).length;
    expect(shortage).toMatchObject({
      requested: request.count,
      found: selection.length,
      newFound: countNew(selection),
      vettedFound: selection.length - countNew(selection),
      vettedNodes: pool('vetted').length,
      newNodes: pool('new').length,
      vettedGroups: groups('vetted'),
      newGroups: groups('new'),
      excludedKnown: known(oracle.exclude),
      heldKnown: known(oracle.held),
    });
    expect(answer.newWanted).toContain(shortage.newWanted);
    expect(shortage.reason).toContain(`${selection.length} of ${request.count} found`);
  });
});

test('vetted picks come first when that is asked for', () => {
  checkSelections((selection, { request }) => {
    if (request.order !== 'vetted-first') return;
    const pools = selection.nodes.map(node => node.pool);
    expect(pools).toEqual([...pools].sort().reverse());
  });
});

test('the same snapshot, request and key give the same picks', () => {
  const property = fc.property(populations(NODES_MAX), requests, fc.nat(), (nodes, drawn, seed) => {
    CACHE.publish(nodes.map(testRow));
    const { request } = caseOf(nodes, drawn);
    const answers = [seed, seed].map(key => {
      const reader = CACHE.reader(0, key);
      const selection = reader.select(request);
      reader.release();
      return selection.nodes;
    });
    expect(answers[0]).toEqual(answers[1]);
  });
  checkProperty(property);
});
