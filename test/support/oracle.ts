/**
 * The oracle of selections: reads the rules of selection.md the slow and obvious way, over plain objects. It
 * knows what may be picked and how many picks an answer can have; it shares no code with the engine.
 */
import type { TestNode } from './population.ts';

export interface OracleRequest {
  readonly count: number;
  readonly newFraction: number;
  readonly capNewFraction: boolean;
  readonly fillWithNew: boolean;
  readonly distinct: 'network' | 'none' | 'country' | 'exit';
  /** The placement's filter. */
  readonly passes: (node: TestNode) => boolean;
  readonly exclude: readonly string[];
  readonly held: readonly string[];
}

/** What the rules say about one request over one population. */
export interface OracleAnswer {
  readonly candidates: readonly TestNode[];
  /** Ids that may be picked. */
  readonly allowed: ReadonlySet<string>;
  /** The numbers of new picks that rule 4 allows to be wanted. */
  readonly newWanted: readonly number[];
  /** Picks that an answer has when `newWanted` new ones are wanted. */
  outcome(newWanted: number): { readonly found: number; readonly newFound: number };
}

/** The group of all nodes without a value: one of them at the most. */
const NO_VALUE = 'no value';

/** What the picks must differ in: no two picks have the same. */
export function groupOf(node: TestNode, distinct: OracleRequest['distinct']): string | number {
  if (distinct === 'network') return node.network;
  if (distinct === 'none') return node.id;
  return node[distinct] ?? NO_VALUE;
}

export function askOracle(nodes: readonly TestNode[], request: OracleRequest): OracleAnswer {
  const candidates = nodes.filter(node => node.pool !== 'ineligible' && request.passes(node));
  const held = nodes.filter(node => request.held.includes(node.id));
  const heldNetworks = new Set(held.map(node => node.network));
  // A held node without a value blocks no value: others without one need not be like it.
  const heldGroups = new Set(
    held.map(node => groupOf(node, request.distinct)).filter(group => group !== NO_VALUE),
  );
  const usable = candidates.filter(
    node =>
      !request.exclude.includes(node.id) &&
      !heldNetworks.has(node.network) &&
      !heldGroups.has(groupOf(node, request.distinct)),
  );
  const best = mostPicks(usable, request.distinct);
  const newGroups = new Set(
    usable.filter(node => node.pool === 'new').map(node => groupOf(node, request.distinct)),
  );
  return {
    candidates,
    allowed: new Set(usable.map(node => node.id)),
    newWanted: newCounts(candidates, request),
    outcome: newWanted => {
      const newFirst = Math.min(newWanted, newGroups.size);
      const strict = Math.min(request.count, Math.max(...best.slice(0, newFirst + 1)));
      const found = request.fillWithNew ? Math.min(request.count, Math.max(...best)) : strict;
      return { found, newFound: newFirst + (found - strict) };
    },
  };
}

/**
 * For each number of new picks, the most picks in all that one pick a group allows; -1 where it is
 * impossible.
 */
function mostPicks(usable: readonly TestNode[], distinct: OracleRequest['distinct']): number[] {
  const groups = new Map<string | number, Set<string>>();
  for (const node of usable) {
    const group = groupOf(node, distinct);
    groups.set(group, (groups.get(group) ?? new Set()).add(node.pool));
  }
  let best = [0];
  for (const pools of groups.values()) {
    const next = [...best, -1];
    for (const [newPicks, picks] of best.entries()) {
      if (picks < 0) continue;
      if (pools.has('vetted')) next[newPicks] = Math.max(next[newPicks]!, picks + 1);
      if (pools.has('new')) next[newPicks + 1] = Math.max(next[newPicks + 1]!, picks + 1);
    }
    best = next;
  }
  return best;
}

/** Rule 4: the expectation rounded down, or up where it is no integer. */
function newCounts(candidates: readonly TestNode[], request: OracleRequest): number[] {
  const newShare =
    candidates.length === 0 ? 0 : candidates.filter(n => n.pool === 'new').length / candidates.length;
  const fraction = request.capNewFraction ? Math.min(newShare, request.newFraction) : request.newFraction;
  const expected = request.count * fraction;
  return [...new Set([Math.floor(expected), Math.ceil(expected)])];
}
