/**
 * Peers (a) and (b): a real Postgres, asked each time. Its settings are for this machine and this table: all
 * of it in memory, no parallel workers or compiled plans for queries of milliseconds, index reads priced as
 * memory reads. One prepared statement an answer, planned once, over as many connections as answers are in
 * flight (16 connections gave a quarter more answers a second than two, and no pipelining did better).
 */
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/server/demo/embedded-postgres.ts';
import { seedNodes } from '../../src/server/demo/nodes-table.ts';
import { connectClient } from '../../src/workers/source/postgres/client.ts';
import { COUNT, type Design, type Peer, type PeerNode, type PickedNode, parsedNodes } from './peer.ts';
import { type PeerQuery, SEPARATOR } from './postgres-query.ts';
import { prepareTable, tableQueries } from './postgres-table.ts';
import { prepareViews, viewQueries } from './postgres-view.ts';

/** Of the server, and of every session where the server has no say. */
export const SETTINGS: Readonly<Record<string, string>> = {
  shared_buffers: '256MB',
  work_mem: '32MB',
  random_page_cost: '1.1',
  max_parallel_workers_per_gather: '0',
  plan_cache_mode: 'force_generic_plan',
  jit: 'off',
  autovacuum: 'off',
};

/** Draws are random: one in some thousands does not have enough networks, and is drawn again. */
const DRAWS_MAX = 100;

/** A server with the table in it. */
export interface PeerPostgres {
  readonly server: EmbeddedPostgres;
  readonly client: pg.Client;
  /** Takes nodes out, as an audit does. */
  disqualify(nodes: readonly PeerNode[]): Promise<void>;
  stop(): Promise<void>;
}

export async function startPeerPostgres(nodes: ReadonlyMap<string, PeerNode>): Promise<PeerPostgres> {
  const server = await startEmbeddedPostgres({ settings: SETTINGS });
  try {
    const client = await connectClient(server.connectionString, 'peers: owner');
    await seedNodes(client, rowsOf(nodes));
    const text = 'UPDATE nodes SET disqualified = now() WHERE id = ANY ($1::bytea[])';
    return {
      server,
      client,
      async disqualify(gone) {
        const ids = gone.map(node => Buffer.from(node.id, 'hex'));
        await client.query(text, [ids]);
      },
      async stop() {
        await client.end();
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

function* rowsOf(nodes: ReadonlyMap<string, PeerNode>) {
  for (const { row } of nodes.values()) yield row;
}

/** Both peers, of as many connections as there can be answers in flight. */
export async function postgresPeer(postgres: PeerPostgres, inFlight: number): Promise<Peer> {
  await prepareTable(postgres.client);
  await prepareViews(postgres.client);
  const connections = await Connections.open(postgres.server.connectionString, inFlight);
  const table = await tableQueries(postgres.client);
  return {
    designs: [
      ...table.map(query => design('table', query, postgres, connections)),
      ...viewQueries().map(query => design('view', query, postgres, connections)),
    ],
    environment: {
      postgres: (await postgres.client.query('SHOW server_version')).rows[0].server_version,
      postgresSettings: Object.entries(SETTINGS)
        .map(([name, value]) => `${name}=${value}`)
        .join(' '),
    },
    close: () => connections.close(),
  };
}

function design(
  peer: 'table' | 'view',
  query: PeerQuery,
  { client }: PeerPostgres,
  connections: Connections,
): Design {
  const { name, lot, staleness, refresh, relation } = query;
  // A name makes it a prepared statement, parsed once a connection.
  const prepared = { name, text: query.text, values: [...(query.values ?? [])], rowMode: 'array' as const };
  return {
    peer,
    name: `${peer}: ${name}`,
    lot,
    staleness,
    processes: connections.pids,
    async answer(): Promise<PickedNode[]> {
      for (let draw = 1; draw <= DRAWS_MAX; draw++) {
        const { rows } = await connections.query(prepared);
        const nodes = parsedNodes(String(rows[0]?.[0] ?? ''), SEPARATOR);
        if (nodes.length === COUNT) return nodes;
      }
      throw new Error(`"${name}" found too few in ${DRAWS_MAX} draws`);
    },
    async update() {
      if (refresh !== undefined) await client.query(refresh);
    },
    async memoryBytes() {
      const { rows } = await client.query('SELECT pg_total_relation_size($1::regclass) AS bytes', [relation]);
      return Number(rows[0].bytes);
    },
  };
}

/** The last one that came back is the next to be used: few in flight keep few backends warm. */
class Connections {
  readonly pids: readonly number[];
  readonly #free: pg.Client[];

  private constructor(clients: readonly pg.Client[], pids: readonly number[]) {
    this.#free = [...clients];
    this.pids = pids;
  }

  static async open(connectionString: string, count: number): Promise<Connections> {
    const clients: pg.Client[] = [];
    const pids: number[] = [];
    for (let i = 0; i < count; i++) {
      const client = new pg.Client({ connectionString });
      await client.connect();
      const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
      pids.push(rows[0].pid);
      clients.push(client);
    }
    return new Connections(clients, pids);
  }

  async query(query: pg.QueryArrayConfig): Promise<pg.QueryArrayResult> {
    const client = this.#free.pop();
    if (client === undefined) throw new Error('more answers in flight than connections');
    try {
      return await client.query(query);
    } finally {
      this.#free.push(client);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#free.map(client => client.end()));
  }
}
