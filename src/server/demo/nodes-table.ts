/** The `nodes` table of the demo, after storj's, and how the population gets into it. */
import type { PostgresClient } from '../../workers/source/postgres/client.ts';
import type { DemoNode } from './population.ts';

/**
 * The columns of storj's table that matter here, under their names; `type` is from the time of the blueprint.
 */
export const CREATE_NODES = `
  CREATE TABLE nodes (
    id bytea PRIMARY KEY,
    address text NOT NULL,
    last_net text NOT NULL,
    last_ip_port text,
    country_code text,
    type integer NOT NULL,
    email text NOT NULL,
    wallet text NOT NULL,
    free_disk bigint NOT NULL,
    major bigint NOT NULL,
    minor bigint NOT NULL,
    patch bigint NOT NULL,
    release boolean NOT NULL,
    vetted_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    last_contact_success timestamptz NOT NULL,
    disqualified timestamptz,
    unknown_audit_suspended timestamptz,
    offline_suspended timestamptz,
    exit_initiated_at timestamptz,
    exit_finished_at timestamptz
  )`;

/** One parameter holds a whole batch: JSON parses on the server faster than arrays are escaped here. */
const INSERT_NODES = 'INSERT INTO nodes SELECT * FROM json_populate_recordset(NULL::nodes, $1::json)';

const INSERT_ROWS = 5_000;

/** Creates the table and fills it. Returns the number of rows. */
export async function seedNodes(
  client: PostgresClient,
  nodes: Iterable<DemoNode>,
  onProgress: (rowCount: number) => void = () => undefined,
): Promise<number> {
  await client.query(CREATE_NODES);
  let rowCount = 0;
  let batch: NodesRow[] = [];
  const insert = async () => {
    await insertNodes(client, batch);
    rowCount += batch.length;
    batch = [];
    onProgress(rowCount);
  };
  for (const node of nodes) {
    batch.push(nodesRow(node));
    if (batch.length === INSERT_ROWS) await insert();
  }
  if (batch.length > 0) await insert();
  await client.query('ANALYZE nodes');
  return rowCount;
}

export async function insertNodes(client: PostgresClient, rows: readonly NodesRow[]): Promise<void> {
  await client.query(INSERT_NODES, [JSON.stringify(rows)]);
}

/** A row by column name. */
export type NodesRow = Readonly<Record<string, string | number | boolean | null>>;

export function nodesRow(node: DemoNode): NodesRow {
  const ipPort = addressText(node.ip, node.port);
  const since = (state: DemoNode['state']) => (node.state === state ? timeText(node.sinceMs) : null);
  return {
    id: `\\x${node.id}`,
    address: ipPort,
    last_net: node.network,
    last_ip_port: ipPort,
    country_code: node.country,
    type: node.type,
    email: `${node.wallet.slice(2, 10)}@operator.example`,
    wallet: node.wallet,
    free_disk: node.freeDiskBytes,
    major: node.version[0],
    minor: node.version[1],
    patch: node.version[2],
    release: node.release,
    vetted_at: timeText(node.vettedAtMs),
    created_at: timeText(node.createdAtMs),
    updated_at: timeText(node.lastContactMs),
    last_contact_success: timeText(node.lastContactMs),
    disqualified: since('disqualified'),
    unknown_audit_suspended: since('audit-suspended'),
    offline_suspended: since('offline-suspended'),
    exit_initiated_at: since('exiting') ?? since('exited'),
    exit_finished_at: since('exited'),
  };
}

export function addressText(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function timeText(timeMs: number | undefined): string | null {
  return timeMs === undefined ? null : new Date(timeMs).toISOString();
}
