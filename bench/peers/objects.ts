/**
 * Peer (d): objects in our own process, as most programs have them: read from the table, kept in a Map,
 * picked from at each question. The picking is that of `bench:select`. Answers are references: nothing is
 * copied.
 */

import { connectClient } from '../../src/workers/source/postgres/client.ts';
import { collectGarbage } from '../harness/garbage.ts';
import { byRejection, bySampleSize, byShuffle, type PlainNode, type PlainPools } from '../select/peers.ts';
import { COUNT, type Design, type Lot, NEW_COUNT, type Peer, type PickedNode, parsedNode } from './peer.ts';
import { ELIGIBLE, PACKED } from './postgres-table.ts';

const QUERY = `SELECT ${PACKED}, vetted_at IS NOT NULL, last_net FROM nodes WHERE ${ELIGIBLE}`;

type MapNode = PlainNode & PickedNode;
type Nodes = Map<string, MapNode>;
type Pools = PlainPools<MapNode>;
type Networks = readonly (readonly MapNode[])[];

export async function objectsPeer(connectionString: string): Promise<Peer> {
  const client = await connectClient(connectionString, 'peers: objects');
  const read = async (): Promise<Nodes> => {
    const { rows } = await client.query({ text: QUERY, rowMode: 'array' });
    return new Map(
      rows.map(([packed, vetted, network]) => {
        const { id, ip, port, pool } = parsedNode(packed, vetted ? 'vetted' : 'new');
        // A slice would keep the row's text alive.
        const own = (text: string) => Buffer.from(text, 'latin1').toString('latin1');
        return [id, { id: own(id), ip: own(ip), port, network, vetted, pool }];
      }),
    );
  };
  const kept = async <T>(name: string, lot: Lot, of: (nodes: Nodes) => T, pick: (kept: T) => MapNode[]) => {
    // So that what is left is what is kept.
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    let held = of(await read());
    collectGarbage();
    const bytes = process.memoryUsage().heapUsed - before;
    const design: Design = {
      peer: 'objects',
      name: `objects: ${name}`,
      lot,
      staleness: 'its refresh interval; the reading blocks the event loop',
      synchronous: true,
      processes: [],
      answer: () => pick(held),
      async update() {
        held = of(await read());
      },
      memoryBytes: () => bytes,
    };
    return design;
  };
  return {
    designs: [
      await kept('a Map; its values copied, shuffled, filtered', 'nodes', nodes => nodes, fromMap),
      await kept('a Map and arrays of the pools; sampleSize, filtered', 'nodes', withPools, ({ pools }) =>
        bySampleSize(pools, COUNT, NEW_COUNT),
      ),
      await kept('a Map and arrays of the pools; rejection', 'nodes', withPools, ({ pools }) =>
        byRejection(pools, COUNT, NEW_COUNT),
      ),
      await kept('a Map and arrays of networks; rejection', 'networks', withNetworks, fromNetworks),
    ],
    close: () => client.end(),
  };
}

function fromMap(nodes: Nodes): MapNode[] {
  return byShuffle(poolsOf(nodes), COUNT, NEW_COUNT);
}

function poolsOf(nodes: Nodes): Pools {
  const all = [...nodes.values()];
  return { vetted: all.filter(node => node.vetted), fresh: all.filter(node => !node.vetted) };
}

function withPools(nodes: Nodes): { nodes: Nodes; pools: Pools } {
  return { nodes, pools: poolsOf(nodes) };
}

function withNetworks(nodes: Nodes): { nodes: Nodes; fresh: Networks; vetted: Networks } {
  const { fresh, vetted } = poolsOf(nodes);
  const grouped = (pool: readonly MapNode[]) => [...Map.groupBy(pool, node => node.network).values()];
  return { nodes, fresh: grouped(fresh), vetted: grouped(vetted) };
}

function fromNetworks({ fresh, vetted }: { fresh: Networks; vetted: Networks }): MapNode[] {
  const picks: MapNode[] = [];
  const taken = new Set<string>();
  const draw = (networks: Networks, until: number) => {
    while (picks.length < until) {
      const members = networks[Math.floor(Math.random() * networks.length)]!;
      const node = members[Math.floor(Math.random() * members.length)]!;
      if (taken.has(node.network)) continue;
      taken.add(node.network);
      picks.push(node);
    }
  };
  draw(fresh, NEW_COUNT);
  draw(vetted, COUNT);
  return picks;
}
