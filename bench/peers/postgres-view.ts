/**
 * Peer (b): materialized views, from the plain one of the blueprint to one made for drawing: its rows are
 * networks with their members, numbered, so that a draw is a look into a unique index.
 */
import type { Client } from 'pg';
import { NEW_COUNT, VETTED_COUNT } from './peer.ts';
import { type PeerQuery, packedAnswer } from './postgres-query.ts';
import { ELIGIBLE, PACKED } from './postgres-table.ts';

const POOL = 'vetted_at IS NOT NULL';
const STALENESS = 'its refresh interval';

/** Draws with repetition that are expected to hold enough networks. */
const NODE_DRAWS = 210;
const FRESH_DRAWS = 12;
const NETWORK_DRAWS = 125;

const STATEMENTS = [
  `CREATE MATERIALIZED VIEW eligible_nodes AS
    SELECT ${POOL} AS is_vetted, last_net, ${PACKED} AS node FROM nodes WHERE ${ELIGIBLE} ORDER BY 1, 2`,
  // Also what REFRESH CONCURRENTLY asks for.
  'CREATE UNIQUE INDEX ON eligible_nodes (is_vetted, last_net, node)',
  `CREATE MATERIALIZED VIEW numbered_nodes AS
    SELECT ${POOL} AS is_vetted, row_number() OVER (PARTITION BY ${POOL} ORDER BY id)::int AS place,
      last_net, ${PACKED} AS node FROM nodes WHERE ${ELIGIBLE} ORDER BY 1, 2`,
  'CREATE UNIQUE INDEX ON numbered_nodes (is_vetted, place) INCLUDE (last_net, node)',
  `CREATE MATERIALIZED VIEW numbered_networks AS
    SELECT ${POOL} AS is_vetted, row_number() OVER (PARTITION BY ${POOL} ORDER BY last_net)::int AS place,
      last_net, array_agg(${PACKED}) AS members
    FROM nodes WHERE ${ELIGIBLE} GROUP BY 1, last_net ORDER BY 1, 2`,
  'CREATE UNIQUE INDEX ON numbered_networks (is_vetted, place)',
  ...['eligible_nodes', 'numbered_nodes', 'numbered_networks'].map(view => `VACUUM ANALYZE ${view}`),
];

export async function prepareViews(client: Client): Promise<void> {
  for (const statement of STATEMENTS) await client.query(statement);
}

export function viewQueries(): PeerQuery[] {
  return [
    view('eligible_nodes', 'of nodes, DISTINCT ON, then ORDER BY random()', 'networks', distinctOn()),
    view('numbered_nodes', 'of numbered nodes, an index probe a draw', 'nodes', drawnNodes()),
    view('numbered_networks', 'of numbered networks, an index probe a draw', 'networks', drawnNetworks()),
  ];
}

function view(relation: string, name: string, lot: PeerQuery['lot'], text: string): PeerQuery {
  // CONCURRENTLY takes twice as long, and answers go on meanwhile.
  const refresh = `REFRESH MATERIALIZED VIEW CONCURRENTLY ${relation}`;
  return { name, lot, text, relation, staleness: STALENESS, refresh };
}

function distinctOn(): string {
  const one = (condition: string, count: number) => `SELECT * FROM (
    SELECT DISTINCT ON (last_net) last_net, node FROM eligible_nodes WHERE ${condition}
    ORDER BY last_net, random()) AS one ORDER BY random() LIMIT ${count}`;
  const others = 'is_vetted AND last_net NOT IN (SELECT last_net FROM fresh)';
  return packedAnswer(
    `fresh AS MATERIALIZED (${one('NOT is_vetted', NEW_COUNT)}), vetted AS (${one(others, VETTED_COUNT)})`,
    'node',
  );
}

/** Rows of a numbered view at random places; a place that is drawn twice comes once. */
function drawn(relation: string, pool: string, draws: number): string {
  return `${relation} WHERE ${pool} AND place = ANY (ARRAY(
    SELECT 1 + floor(random() * (SELECT max(place) FROM ${relation} WHERE ${pool}))::int
    FROM generate_series(1, ${draws})))`;
}

function drawnNodes(): string {
  const one = (pool: string, draws: number) =>
    `SELECT DISTINCT ON (last_net) * FROM ${drawn('numbered_nodes', pool, draws)}
      ORDER BY last_net, random()`;
  return packedAnswer(
    `fresh AS MATERIALIZED (SELECT * FROM (${one('NOT is_vetted', FRESH_DRAWS)}) AS one
      ORDER BY random() LIMIT ${NEW_COUNT}),
    vetted AS (SELECT * FROM (${one('is_vetted', NODE_DRAWS)}) AS one
      WHERE last_net NOT IN (SELECT last_net FROM fresh) ORDER BY random() LIMIT ${VETTED_COUNT})`,
    'node',
  );
}

/** Networks are distinct by themselves within a pool; only those of the new nodes must be left out. */
function drawnNetworks(): string {
  return packedAnswer(
    `fresh AS MATERIALIZED (SELECT * FROM ${drawn('numbered_networks', 'NOT is_vetted', FRESH_DRAWS)}
      ORDER BY random() LIMIT ${NEW_COUNT}),
    vetted AS (SELECT * FROM ${drawn('numbered_networks', 'is_vetted', NETWORK_DRAWS)}
      AND last_net NOT IN (SELECT last_net FROM fresh) ORDER BY random() LIMIT ${VETTED_COUNT})`,
    'members[1 + floor(random() * cardinality(members))::int]',
  );
}
