/**
 * Small populations for tests: nodes as plain facts, the rows that a source would deliver, and random ones.
 */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';

export type TestPool = 'vetted' | 'new' | 'ineligible';

/** What a test knows of a node. Networks are numbers; network n is the /24 whose address is made of n. */
export interface TestNode {
  readonly id: string;
  readonly number: number;
  readonly network: number;
  readonly pool: TestPool;
  readonly country?: string | undefined;
  readonly exit?: string | undefined;
}

/** Attributes of `testRow`, in the order in which `TEST_SETTINGS` makes a plan ask for them. */
export const TEST_ATTRIBUTES = ['country', 'exit'] as const;

/** Placements that use every feature: filters by country and flag, all distinct rules, fractions, the cap. */
export const TEST_SETTINGS = {
  distinctAttributes: ['country', 'exit'],
  placements: {
    european: { filter: { countries: ['DE', 'FR'] }, newFraction: 0.3 },
    elsewhere: { filter: { excludeCountries: ['DE', 'FR'] }, newFraction: 0.5, capNewFraction: false },
    exits: { filter: { flags: { exit: true } }, distinct: 'country' },
    anywhere: { distinct: 'none', newFraction: 0.2, capNewFraction: false },
    uncapped: { capNewFraction: false },
  },
} as const;

export function testId(number: number): string {
  return createHash('sha256').update(`node ${number}`).digest('hex');
}

export function testNode(number: number, network: number, pool: TestPool, country?: string): TestNode {
  return { id: testId(number), number, network, pool, country };
}

/** Addresses of one network differ for its first 254 members only: more than enough for small populations. */
export function testIp(node: TestNode): string {
  const { network, number } = node;
  return `${20 + (network >>> 16)}.${(network >>> 8) & 255}.${network & 255}.${1 + (number % 254)}`;
}

export function testPort(node: TestNode): number {
  return 1 + ((node.number * 7919) % 65_535);
}

export function testRow(node: TestNode): NodeRow {
  return {
    id: node.id,
    ip: testIp(node),
    port: testPort(node),
    vetted: node.pool === 'vetted',
    attributes: [node.country, node.exit],
    ...(node.pool === 'ineligible' ? { ineligible: 'suspended' } : {}),
  };
}

/** `counts[n]` nodes in network `first + n`, all of one pool; node numbers go on from `firstNumber`. */
export function networksOf(
  counts: readonly number[],
  pool: TestPool,
  from: { network?: number; number?: number } = {},
): TestNode[] {
  const { network = 0, number = 0 } = from;
  const nodes: TestNode[] = [];
  for (const [n, count] of counts.entries()) {
    for (let i = 0; i < count; i++) nodes.push(testNode(number + nodes.length, network + n, pool));
  }
  return nodes;
}

/** Random populations: networks of very unequal sizes, shared by all pools. */
export function populations(nodesMax: number): fc.Arbitrary<TestNode[]> {
  const node = fc.record({
    // The smaller of two draws: low networks are large, high ones small.
    networks: fc.tuple(fc.nat(11), fc.nat(11)),
    pool: fc.constantFrom<TestPool>('vetted', 'vetted', 'vetted', 'new', 'new', 'ineligible'),
    country: fc.constantFrom(undefined, 'DE', 'DE', 'FR', 'US', 'JP'),
    exit: fc.constantFrom(undefined, '0', '1', 'true'),
  });
  return fc.array(node, { maxLength: nodesMax }).map(drawn =>
    drawn.map(({ networks, ...rest }, number) => ({
      id: testId(number),
      number,
      network: Math.min(...networks),
      ...rest,
    })),
  );
}
