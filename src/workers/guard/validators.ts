/**
 * What a load must satisfy before it is published: one named validator a rule. Pure: facts in, a problem out.
 * Loader thread.
 */
import type { GuardOptions } from '../cache-options.ts';
import type { NodeCounts } from '../load-report.ts';

/** What a load amounts to. */
export interface LoadFacts {
  /** Rows that were not used, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  readonly nodes: NodeCounts;
  /** Largest share that one network has of the vetted and of the new nodes, 0 to 1. */
  readonly networkShare: number;
}

/** Nodes that can be chosen: in both pools together, and the vetted ones among them. */
export interface Served {
  readonly eligible: number;
  readonly vetted: number;
}

export function servedOf(nodes: Pick<NodeCounts, 'vetted' | 'new'>): Served {
  return { eligible: nodes.vetted + nodes.new, vetted: nodes.vetted };
}

/** What is known from before. */
export interface Past {
  /** What a drop is measured by: the generation that is being served, at least; zeros before the first. */
  readonly current: Served;
  /** What a growth is measured by: the same, at most. */
  readonly least: Served;
  /** The most that was served within the last hour, each by itself. */
  readonly hourMost: Served;
}

type Settings = Required<GuardOptions>;

export interface Validator {
  /** The option that sets its limit. */
  readonly field: `guard.${keyof GuardOptions}`;
  /**
   * A drop or a growth may be right: an operator, or the source by saying the same again and again, can
   * have it published. What has no name here is wrong whatever anybody says.
   */
  readonly waivable: boolean;
  /** What is wrong, or `undefined`. */
  problem(facts: LoadFacts, past: Past, settings: Settings): string | undefined;
}

/** Below so many nodes a growth is no sign of anything. */
const GROWTH_FROM_NODES = 100;
const DUPLICATE = 'id-duplicate';

export const VALIDATORS = {
  'rejected-rows': {
    field: 'guard.rejectRatioMax',
    waivable: false,
    problem: ({ refused, nodes }, _, { rejectRatioMax }) => {
      const count = sum(Object.values(refused));
      const all = count + nodes.total;
      if (count <= rejectRatioMax * all) return undefined;
      const reasons = Object.entries(refused).map(([reason, rows]) => `${reason} ${rows}`);
      const limit = allows('rejectRatioMax', rejectRatioMax);
      return `${count} of ${all} rows were refused (${reasons.join(', ')}); ${limit}`;
    },
  },
  'duplicate-ids': {
    field: 'guard.duplicateRatioMax',
    waivable: false,
    problem: ({ refused, nodes }, _, { duplicateRatioMax }) => {
      const count = refused[DUPLICATE] ?? 0;
      const all = sum(Object.values(refused)) + nodes.total;
      if (count <= duplicateRatioMax * all) return undefined;
      const limit = allows('duplicateRatioMax', duplicateRatioMax);
      return `${count} of ${all} rows have the id of another row; ${limit}`;
    },
  },
  'fewest-nodes': {
    field: 'guard.nodesMin',
    waivable: false,
    problem: ({ nodes }, _, { nodesMin }) => {
      const { eligible } = servedOf(nodes);
      if (eligible >= nodesMin) return undefined;
      return (
        `${eligible} nodes can be chosen (of ${nodes.total} that were read); ` +
        `guard.nodesMin asks for ${nodesMin}`
      );
    },
  },
  'fewest-vetted': {
    field: 'guard.vettedMin',
    waivable: false,
    problem: ({ nodes }, _, { vettedMin }) =>
      nodes.vetted >= vettedMin
        ? undefined
        : `${nodes.vetted} vetted nodes can be chosen; guard.vettedMin asks for ${vettedMin}`,
  },
  drop: {
    field: 'guard.dropRatioMax',
    waivable: true,
    problem: ({ nodes }, { current }, { dropRatioMax }) =>
      dropProblem(servedOf(nodes), current, 'dropRatioMax', dropRatioMax, ''),
  },
  'drop-in-an-hour': {
    field: 'guard.dropPerHourRatioMax',
    waivable: true,
    problem: ({ nodes }, { hourMost }, { dropPerHourRatioMax }) =>
      dropProblem(servedOf(nodes), hourMost, 'dropPerHourRatioMax', dropPerHourRatioMax, ' within an hour'),
  },
  growth: {
    field: 'guard.growthFactorMax',
    waivable: true,
    problem: ({ nodes }, { least }, { growthFactorMax }) => {
      const before = least.eligible;
      const now = servedOf(nodes).eligible;
      if (before < GROWTH_FROM_NODES || now <= before * growthFactorMax) return undefined;
      return (
        `nodes that can be chosen grew from ${before} to ${now}; ` +
        `guard.growthFactorMax allows ${growthFactorMax} times as many`
      );
    },
  },
  'network-concentration': {
    field: 'guard.networkShareMax',
    waivable: true,
    problem: ({ networkShare }, _, { networkShareMax }) => {
      if (networkShare <= networkShareMax) return undefined;
      const share = networkShare.toFixed(3);
      return `one network has a share of ${share} of a pool; ${allows('networkShareMax', networkShareMax)}`;
    },
  },
} as const satisfies Record<string, Validator>;

export type ValidatorName = keyof typeof VALIDATORS;

export const VALIDATOR_NAMES = Object.keys(VALIDATORS) as readonly ValidatorName[];

/** Vetted alone too: clients ask for vetted nodes, and new ones do not stand in for them. */
function dropProblem(
  now: Served,
  before: Served,
  option: string,
  ratioMax: number,
  when: string,
): string | undefined {
  const kinds = [
    ['nodes that can be chosen', before.eligible, now.eligible],
    ['vetted nodes', before.vetted, now.vetted],
  ] as const;
  for (const [what, most, left] of kinds) {
    if (left >= most * (1 - ratioMax)) continue;
    return (
      `${what} fell from ${most} to ${left}${when}; guard.${option} allows a drop of ${ratioMax}. ` +
      'If this is right, refresh once with acceptDrop'
    );
  }
  return undefined;
}

function allows(option: string, limit: number): string {
  return `guard.${option} allows ${limit}`;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
