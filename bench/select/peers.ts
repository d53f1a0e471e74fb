/**
 * What programs do without this library, on arrays of objects: the same answer (count, new ones, distinct
 * networks). Fair to them: the network of a node is a ready property, the pools are split beforehand, and the
 * shuffle is correct.
 */
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';

export interface PlainNode {
  readonly id: string;
  readonly ip: string;
  readonly port: number;
  readonly network: string;
  readonly vetted: boolean;
}

export interface PlainPools<T extends PlainNode = PlainNode> {
  readonly vetted: readonly T[];
  readonly fresh: readonly T[];
}

export interface Blocked {
  readonly ids: ReadonlySet<string>;
  readonly networks: ReadonlySet<string>;
}

const NOTHING: Blocked = { ids: new Set(), networks: new Set() };
/** Sampled beyond what is needed, because some share a network. */
const OVERSAMPLING = 1.5;

export function plainPools(rows: Iterable<NodeRow>): PlainPools {
  const vetted: PlainNode[] = [];
  const fresh: PlainNode[] = [];
  for (const row of rows) {
    const { id, ip, port } = row;
    const node = { id: String(id), ip, port, network: networkOf(ip), vetted: row.vetted };
    (row.vetted ? vetted : fresh).push(node);
  }
  return { vetted, fresh };
}

/** The /24 of a dotted address. */
export function networkOf(ip: string): string {
  return ip.slice(0, ip.lastIndexOf('.'));
}

/**
 * Draws one node after the other, and keeps those whose network is new: the best that one writes without
 * thinking.
 */
export function byRejection<T extends PlainNode>(
  pools: PlainPools<T>,
  count: number,
  fresh: number,
  blocked = NOTHING,
): T[] {
  const picks: T[] = [];
  const networks = new Set<string>(blocked.networks);
  const draw = (nodes: readonly T[], until: number) => {
    while (picks.length < until) {
      const node = nodes[Math.floor(Math.random() * nodes.length)]!;
      if (networks.has(node.network) || blocked.ids.has(node.id)) continue;
      networks.add(node.network);
      picks.push(node);
    }
  };
  draw(pools.fresh, fresh);
  draw(pools.vetted, count);
  return picks;
}

/** Shuffles all, and takes the first ones of different networks: the code that most programs have. */
export function byShuffle<T extends PlainNode>(pools: PlainPools<T>, count: number, fresh: number): T[] {
  const picks: T[] = [];
  const networks = new Set<string>();
  takeDistinct(shuffled(pools.fresh, pools.fresh.length), fresh, networks, picks);
  takeDistinct(shuffled(pools.vetted, pools.vetted.length), count, networks, picks);
  return picks;
}

/**
 * As `sampleSize` of lodash does: copy, partial shuffle, slice; then filter, and again when too few are left.
 */
export function bySampleSize<T extends PlainNode>(pools: PlainPools<T>, count: number, fresh: number): T[] {
  const picks: T[] = [];
  const networks = new Set<string>();
  const draw = (nodes: readonly T[], until: number) => {
    let size = Math.ceil((until - picks.length) * OVERSAMPLING);
    while (picks.length < until) {
      takeDistinct(shuffled(nodes, size), until, networks, picks);
      size = Math.min(nodes.length, size * 2);
    }
  };
  draw(pools.fresh, fresh);
  draw(pools.vetted, count);
  return picks;
}

/** The first `size` of a copy in random order (Fisher and Yates). */
function shuffled<T>(nodes: readonly T[], size: number): T[] {
  const copy = [...nodes];
  const end = Math.min(size, copy.length);
  for (let i = 0; i < end; i++) {
    const j = i + Math.floor(Math.random() * (copy.length - i));
    const node = copy[j]!;
    copy[j] = copy[i]!;
    copy[i] = node;
  }
  copy.length = end;
  return copy;
}

function takeDistinct<T extends PlainNode>(
  nodes: readonly T[],
  until: number,
  networks: Set<string>,
  picks: T[],
): void {
  for (const node of nodes) {
    if (picks.length === until) return;
    if (networks.has(node.network)) continue;
    networks.add(node.network);
    picks.push(node);
  }
}
