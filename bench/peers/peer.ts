/**
 * What a peer is: one way to answer the question of `peers.bench.ts`, 110 random eligible nodes on distinct
 * networks with 5 new ones, in the hands of the program that asked. And the check that an answer is right.
 */
import type { DemoNode } from '../../src/server/demo/population.ts';

export const COUNT = 110;
export const NEW_COUNT = 5;
export const VETTED_COUNT = COUNT - NEW_COUNT;

/** A node as the program that asked gets it, whoever answers. */
export interface PickedNode {
  readonly id: string;
  readonly ip: string;
  readonly port: number;
  readonly pool: Pool;
}

/** Nodes that are there, or made when they are looked at. */
export type Picked = Iterable<PickedNode> & { readonly length: number };

export type Pool = 'vetted' | 'new';

export const PEER_KEYS = ['table', 'view', 'redis', 'objects', 'embedded', 'http'] as const;
export type PeerKey = (typeof PEER_KEYS)[number];

/**
 * What has the same chance: each network of a pool and then its members, each node of a pool, or neither.
 * Where it is neither, the design is measured and not kept.
 */
export type Lot = 'networks' | 'nodes' | 'uneven';

export interface Design {
  readonly peer: PeerKey;
  /** Unique. */
  readonly name: string;
  readonly lot: Lot;
  /** When a change of the table shows in answers. */
  readonly staleness: string;
  /** Its nodes have not been looked at: measured, and not kept. */
  readonly unread?: true;
  /** A call keeps its thread until it is done: a second one cannot be in flight beside it. */
  readonly synchronous?: true;
  answer(): Picked | Promise<Picked>;
  /** Brings it to the state of the table, from which these nodes have just gone. */
  update(gone: readonly PeerNode[]): Promise<void>;
  /** Bytes of what it answers from. */
  memoryBytes(): number | Promise<number>;
  /** The processes that it asks. */
  readonly processes: readonly number[];
}

export interface Peer {
  readonly designs: readonly Design[];
  /** Versions and settings, where it has a server. */
  readonly environment?: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** A row of the table, with what peers of our own process would read out of it. */
export interface PeerNode extends PickedNode {
  readonly network: string;
  readonly eligible: boolean;
  readonly row: DemoNode;
}

/** Throws with what is wrong about an answer. */
export function checkAnswer(picked: Picked, nodes: ReadonlyMap<string, PeerNode>): void {
  const answer = [...picked];
  if (answer.length !== COUNT) throw new Error(`${answer.length} nodes, not ${COUNT}`);
  const fresh = answer.filter(node => node.pool === 'new').length;
  if (fresh !== NEW_COUNT) throw new Error(`${fresh} new nodes, not ${NEW_COUNT}`);
  const networks = new Set<string>();
  for (const { id, ip, port, pool } of answer) {
    const node = nodes.get(id);
    if (node === undefined) throw new Error(`no node has the id ${id}`);
    if (!node.eligible) throw new Error(`${id} is not eligible: ${node.row.state}`);
    if (node.ip !== ip || node.port !== port) throw new Error(`${id} is not at ${ip}:${port}`);
    if (node.pool !== pool) throw new Error(`${id} is of the other pool`);
    networks.add(node.network);
  }
  if (networks.size !== COUNT) throw new Error(`${networks.size} networks, not ${COUNT}`);
}

/** Parses `<id> <ip>:<port>`. */
export function parsedNode(text: string, pool: Pool): PickedNode {
  const space = text.indexOf(' ');
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  return { id: text.slice(0, space), ip: text.slice(space + 1, colon), port, pool };
}

/** A node as `parsedNode` reads it: packed, so that an answer is few values. */
export function packedNode(node: PickedNode): string {
  return `${node.id} ${node.ip}:${node.port}`;
}

/** Splits an answer of packed nodes, the new ones first. */
export function parsedNodes(text: string, separator: string): PickedNode[] {
  return text.split(separator).map((node, i) => parsedNode(node, i < NEW_COUNT ? 'new' : 'vetted'));
}

/** The pools by network, as several peers keep them. */
export function byNetwork(nodes: readonly PeerNode[], pool: Pool): Map<string, PeerNode[]> {
  const networks = new Map<string, PeerNode[]>();
  for (const node of nodes) {
    if (!node.eligible || node.pool !== pool) continue;
    const members = networks.get(node.network);
    if (members === undefined) networks.set(node.network, [node]);
    else members.push(node);
  }
  return networks;
}
