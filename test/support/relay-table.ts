/** The relays as a table of a real Postgres, and their churn, hour by hour, as statements. */
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import type { PostgresClient } from '../../src/workers/source/postgres/client.ts';
import type { PostgresSourceOptions } from '../../src/workers/source/postgres/options.ts';
import { type ChurnHour, relayPopulation, relayRow } from './relays.ts';

const TABLE = `CREATE TABLE relays (id bytea PRIMARY KEY, ip inet NOT NULL, port int NOT NULL,
                 country text, vetted boolean NOT NULL, exit text, disqualified timestamptz,
                 last_contact_success timestamptz)`;
const UPSERT = `INSERT INTO relays
  SELECT decode(id, 'hex'), ip::inet, port, country, vetted, exit, NULL, now()
    FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::boolean[], $6::text[])
      AS row (id, ip, port, country, vetted, exit)
  ON CONFLICT (id) DO UPDATE SET ip = excluded.ip, port = excluded.port, country = excluded.country,
    vetted = excluded.vetted, exit = excluded.exit, last_contact_success = now()`;
const DELETE = `DELETE FROM relays
  WHERE id IN (SELECT decode(id, 'hex') FROM unnest($1::text[]) AS row (id))`;

/** What the source reads of the table: no criterion but those that the churn and the tests use. */
export const RELAY_SOURCE: Pick<PostgresSourceOptions, 'table' | 'columns' | 'attributes' | 'thresholds'> = {
  table: 'relays',
  columns: {
    address: null,
    ip: 'ip',
    port: 'port',
    network: null,
    vetted: 'vetted',
    disqualified: 'disqualified',
    exitFinished: null,
    exitInitiated: null,
    auditSuspended: null,
    offlineSuspended: null,
    freeDisk: null,
    type: null,
    release: null,
  },
  thresholds: { onlineWindowMs: 3_600_000 },
  attributes: { country: 'country', exit: 'exit' },
};

export async function createRelayTable(client: PostgresClient): Promise<void> {
  await client.query(TABLE);
  await applyChurn(client, { gone: [], rows: relayPopulation() });
}

export function churnOf({ gone, upsert }: ChurnHour): { gone: readonly string[]; rows: readonly NodeRow[] } {
  return { gone, rows: upsert.map(relayRow) };
}

/** One transaction. */
export async function applyChurn(
  client: PostgresClient,
  { gone, rows }: { readonly gone: readonly string[]; readonly rows: readonly NodeRow[] },
): Promise<void> {
  await client.query('BEGIN');
  await client.query(DELETE, [gone]);
  await client.query(UPSERT, [
    rows.map(row => row.id),
    rows.map(row => row.ip),
    rows.map(row => row.port),
    rows.map(row => row.attributes[0] ?? null),
    rows.map(row => row.vetted),
    rows.map(row => row.attributes[1] ?? null),
  ]);
  await client.query('COMMIT');
}
