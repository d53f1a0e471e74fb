/** Forty hours of real churn through a real Postgres: after each hour the cache equals the table. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { openCache } from '../../src/workers/cache.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import { postgresSource } from '../../src/workers/source/postgres-source.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import {
  type ChurnHour,
  RELAY_ATTRIBUTES,
  relayChurn,
  relayPopulation,
  relayRow,
} from '../support/relays.ts';

const TABLE = `CREATE TABLE relays (id bytea PRIMARY KEY, ip inet NOT NULL, port int NOT NULL,
                 country text, vetted boolean NOT NULL, exit text)`;
const UPSERT = `INSERT INTO relays
  SELECT decode(id, 'hex'), ip::inet, port, country, vetted, exit
    FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::boolean[], $6::text[])
      AS row (id, ip, port, country, vetted, exit)
  ON CONFLICT (id) DO UPDATE SET ip = excluded.ip, port = excluded.port, country = excluded.country,
    vetted = excluded.vetted, exit = excluded.exit`;
const DELETE = `DELETE FROM relays
  WHERE id IN (SELECT decode(id, 'hex') FROM unnest($1::text[]) AS row (id))`;

function columnsOf(rows: readonly NodeRow[]): unknown[][] {
  return [
    rows.map(row => row.id),
    rows.map(row => row.ip),
    rows.map(row => row.port),
    rows.map(row => row.attributes[0] ?? null),
    rows.map(row => row.vetted),
    rows.map(row => row.attributes[1] ?? null),
  ];
}

describe('a cache over the relay table', () => {
  let postgres: TestPostgres;
  let cache: Cache;
  const truth = new Map<string, NodeRow>();
  const everSeen = new Set<string>();

  async function apply(hour: Pick<ChurnHour, 'gone'> & { rows: readonly NodeRow[] }): Promise<void> {
    await postgres.client.query('BEGIN');
    await postgres.client.query(DELETE, [hour.gone]);
    await postgres.client.query(UPSERT, columnsOf(hour.rows));
    await postgres.client.query('COMMIT');
    for (const id of hour.gone) truth.delete(id);
    for (const row of hour.rows) {
      truth.set(String(row.id), row);
      everSeen.add(String(row.id));
    }
  }

  beforeAll(async () => {
    postgres = await startTestPostgres();
    await postgres.client.query(TABLE);
    await apply({ gone: [], rows: relayPopulation() });
    cache = await openCache({
      source: postgresSource({
        connectionString: postgres.connectionString,
        query: 'SELECT id, host(ip) AS ip, port, vetted, country, exit FROM relays',
      }),
      capacity: { nodes: 20_000 },
      placements: { exits: { filter: { flags: { exit: true } }, newFraction: 1, capNewFraction: false } },
      distinctAttributes: ['country'],
      limits: { idsMax: 20_000 },
      refresh: { everyMs: 3_600_000 },
    });
    await cache.ready();
  });

  afterAll(async () => {
    await cache?.close();
    await postgres?.stop();
  });

  function expectEqualToTable(): void {
    const ids = [...everSeen];
    const { nodes, unknown } = cache.lookup(ids);
    const wrong = ids.filter((id, i) => {
      const row = truth.get(id);
      const node = nodes[i];
      if (row === undefined || node === undefined) return row !== node;
      return node.ip !== row.ip || node.port !== row.port || node.pool !== (row.vetted ? 'vetted' : 'new');
    });
    expect(wrong).toEqual([]);
    expect(unknown).toHaveLength(everSeen.size - truth.size);
    const vetted = [...truth.values()].filter(row => row.vetted).length;
    expect(cache.status().lastLoad?.nodes).toMatchObject({
      total: truth.size,
      vetted,
      new: truth.size - vetted,
    });
  }

  it('equals the table after every hour of churn', async () => {
    expectEqualToTable();
    for (const hour of relayChurn()) {
      await apply({ gone: hour.gone, rows: hour.upsert.map(relayRow) });
      expect(truth.size).toBe(hour.present);
      const result = await cache.refresh();
      expect(result).toMatchObject({ ok: true });
      expectEqualToTable();
      const exits = cache.select({ count: 50, placement: 'exits' });
      const flag = RELAY_ATTRIBUTES.indexOf('exit');
      expect(exits.nodes.every(node => truth.get(node.id)?.attributes[flag] === '1')).toBe(true);
    }
    expect(cache.generation()).toBe(1 + relayChurn().length);
  });
});
