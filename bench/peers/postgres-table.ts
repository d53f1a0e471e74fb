/**
 * Peer (a): the blueprint's query on the table, each time, in every way we know to write it. Each way has its
 * partial indexes, which hold all that it reads; what does not change by itself is in the index's condition.
 */
import type { Client } from 'pg';
import { NEW_COUNT, VETTED_COUNT } from './peer.ts';
import { type PeerQuery, packedAnswer } from './postgres-query.ts';

/** Eligible but for the time of the last contact: `now()` cannot be in an index's condition. */
const LASTING = `disqualified IS NULL AND unknown_audit_suspended IS NULL AND offline_suspended IS NULL
  AND exit_initiated_at IS NULL AND exit_finished_at IS NULL AND type = 2 AND free_disk >= 5000000000`;
export const ELIGIBLE = `${LASTING} AND last_contact_success > now() - interval '4 hours'`;
const FRESH = `vetted_at IS NULL AND ${ELIGIBLE}`;
const VETTED = `vetted_at IS NOT NULL AND ${ELIGIBLE}`;

/** A node as `packedNode` writes it. */
export const PACKED = "encode(id, 'hex') || ' ' || last_ip_port";

/**
 * Nodes in a sample that is expected to hold enough networks, the largest of which hold hundreds of nodes.
 */
const SAMPLE_NODES = 210;
const FRESH_SAMPLE_NODES = 12;
const FRESH_PROBES = 16;
/** Rows of a block sample: four in five are eligible, and not all of those are vetted. */
const BLOCK_ROWS = 500;

const INDEXED = [
  ['vetted', 'vetted_at IS NOT NULL'],
  ['fresh', 'vetted_at IS NULL'],
].flatMap(([pool, condition]) =>
  ['last_net', 'pick_key'].map(
    key => `CREATE INDEX nodes_${pool}_${key} ON nodes (${key})
      INCLUDE (${key === 'last_net' ? '' : 'last_net, '}last_contact_success, id, last_ip_port)
      WHERE ${condition} AND ${LASTING}`,
  ),
);

export async function prepareTable(client: Client): Promise<void> {
  await client.query('CREATE EXTENSION tsm_system_rows');
  await client.query('ALTER TABLE nodes ADD COLUMN pick_key double precision NOT NULL DEFAULT random()');
  for (const statement of INDEXED) await client.query(statement);
  await client.query('VACUUM (FULL, ANALYZE) nodes');
  // So that indexes can be read without looking at the table.
  await client.query('VACUUM nodes');
}

export async function tableQueries(client: Client): Promise<PeerQuery[]> {
  const { rows } = await client.query(`SELECT count(*)::int AS nodes FROM nodes WHERE ${VETTED}`);
  const percent = Math.min(100, (100 * SAMPLE_NODES) / rows[0].nodes);
  const onTable = { relation: 'nodes', staleness: 'none: the next answer' };
  const blocks = `nodes TABLESAMPLE SYSTEM_ROWS (${BLOCK_ROWS})`;
  return [
    { ...onTable, name: 'DISTINCT ON, then ORDER BY random()', lot: 'networks', text: distinctOn() },
    { ...onTable, name: 'row_number() by network, then ORDER BY random()', lot: 'networks', text: ranked() },
    { ...onTable, name: 'ORDER BY random() of nodes, then DISTINCT ON', lot: 'nodes', text: shuffled() },
    {
      ...onTable,
      name: 'TABLESAMPLE BERNOULLI, then DISTINCT ON',
      lot: 'nodes',
      text: sampled('nodes TABLESAMPLE BERNOULLI ($1)'),
      values: [percent],
    },
    // Nodes of one block come together.
    {
      ...onTable,
      name: 'TABLESAMPLE SYSTEM_ROWS, then DISTINCT ON',
      lot: 'uneven',
      text: sampled(blocks),
    },
    // A node is found as often as the gap before its key is wide.
    { ...onTable, name: 'a random key, an index probe a pick', lot: 'uneven', text: probed() },
  ];
}

/** The blueprint's: one node of each network, then networks in random order; new nodes first. */
function distinctOn(): string {
  const one = (condition: string, count: number) => `SELECT * FROM (
    SELECT DISTINCT ON (last_net) last_net, id, last_ip_port FROM nodes WHERE ${condition}
    ORDER BY last_net, random()) AS one ORDER BY random() LIMIT ${count}`;
  return packedAnswer(
    `fresh AS MATERIALIZED (${one(FRESH, NEW_COUNT)}),
    vetted AS (${one(`${VETTED} AND last_net NOT IN (SELECT last_net FROM fresh)`, VETTED_COUNT)})`,
    PACKED,
  );
}

function ranked(): string {
  const one = (condition: string, count: number) => `SELECT * FROM (
    SELECT last_net, id, last_ip_port, row_number() OVER (PARTITION BY last_net ORDER BY random()) AS place
    FROM nodes WHERE ${condition}) AS ranked WHERE place = 1 ORDER BY random() LIMIT ${count}`;
  return packedAnswer(
    `fresh AS MATERIALIZED (${one(FRESH, NEW_COUNT)}),
    vetted AS (${one(`${VETTED} AND last_net NOT IN (SELECT last_net FROM fresh)`, VETTED_COUNT)})`,
    PACKED,
  );
}

function shuffled(): string {
  const some = (condition: string, nodes: number) => `SELECT last_net, id, last_ip_port FROM nodes
    WHERE ${condition} ORDER BY random() LIMIT ${nodes}`;
  return packedAnswer(distinctOf(some(FRESH, FRESH_SAMPLE_NODES), some(VETTED, SAMPLE_NODES)), PACKED);
}

function sampled(source: string): string {
  const columns = 'last_net, id, last_ip_port';
  const of = (condition: string) => `SELECT ${columns} FROM sample WHERE ${condition}`;
  return packedAnswer(
    `sample AS MATERIALIZED (
    SELECT ${columns}, vetted_at IS NOT NULL AS is_vetted FROM ${source} WHERE ${ELIGIBLE}),
    ${distinctOf(of('NOT is_vetted'), of('is_vetted'))}`,
    PACKED,
  );
}

/** Each probe takes the next node above a random key. */
function probed(): string {
  const probe = (condition: string, probes: number) => `SELECT node.*
    FROM (SELECT random() AS key FROM generate_series(1, ${probes})) AS draw
    CROSS JOIN LATERAL (SELECT last_net, id, last_ip_port FROM nodes
      WHERE ${condition} AND pick_key >= draw.key ORDER BY pick_key LIMIT 1) AS node`;
  return packedAnswer(distinctOf(probe(FRESH, FRESH_PROBES), probe(VETTED, SAMPLE_NODES)), PACKED);
}

/** The clauses `fresh` and `vetted` out of samples that repeat networks. */
function distinctOf(fresh: string, vetted: string): string {
  const one = (nodes: string) =>
    `SELECT DISTINCT ON (last_net) * FROM (${nodes}) AS sample ORDER BY last_net, random()`;
  return `fresh AS MATERIALIZED (SELECT * FROM (${one(fresh)}) AS one ORDER BY random() LIMIT ${NEW_COUNT}),
    vetted AS (SELECT * FROM (${one(vetted)}) AS one WHERE last_net NOT IN (SELECT last_net FROM fresh)
      ORDER BY random() LIMIT ${VETTED_COUNT})`;
}
