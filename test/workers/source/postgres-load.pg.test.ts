import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seedNodes } from '../../../src/server/demo/nodes-table.ts';
import { population } from '../../../src/server/demo/population.ts';
import { connectClient } from '../../../src/workers/source/postgres/client.ts';
import { openPostgresSource, postgresSource } from '../../../src/workers/source/postgres-source.ts';
import { isFieldRows } from '../../../src/workers/source/row-source.ts';
import { rowsOf } from '../../support/field-rows.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';

const ROW_COUNT = 1_000_000;
/** A million rows held at once take some 400 MB here; a batch takes 3.5. */
const LIVE_BYTES_MAX = 24 * 2 ** 20;
const HEAP_BYTES_MAX = 160 * 2 ** 20;
const PAIR_COUNT = 20_000;
const READS = 5;

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startTestPostgres();
  await seedNodes(postgres.client, population({ seed: 11, nowMs: Date.now(), count: 100 }));
});

afterAll(() => postgres.stop());

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test(`streams ${ROW_COUNT} rows without holding them`, async () => {
  await postgres.client.query(`
    CREATE UNLOGGED TABLE many AS
    SELECT sha256(i::text::bytea) AS id,
           format('5.%s.%s.%s:28967', i >> 16, (i >> 8) & 255, i & 255) AS last_ip_port,
           format('5.%s.%s.0', i >> 16, (i >> 8) & 255) AS last_net,
           t.country_code, t.type, t.free_disk, t.vetted_at,
           t.last_contact_success, t.disqualified, t.unknown_audit_suspended, t.offline_suspended,
           t.exit_initiated_at, t.exit_finished_at
      FROM generate_series(0, ${ROW_COUNT - 1}) i
      CROSS JOIN (SELECT * FROM nodes WHERE exit_finished_at IS NULL AND disqualified IS NULL
                     AND last_contact_success > now() - interval '1 day' LIMIT 1) t`);
  const source = openPostgresSource(
    postgresSource({ connectionString: postgres.connectionString, table: 'many' }),
  );
  collectGarbage();
  const before = process.memoryUsage();
  const peak = { live: 0, heap: 0, resident: 0 };
  let rowCount = 0;
  let batchCount = 0;
  const startedAt = performance.now();
  for await (const batch of source.read({ attributes: ['country'], signal: AbortSignal.timeout(50_000) })) {
    rowCount += isFieldRows(batch) ? batch.count : batch.length;
    const now = process.memoryUsage();
    peak.heap = Math.max(peak.heap, now.heapUsed - before.heapUsed);
    peak.resident = Math.max(peak.resident, now.rss - before.rss);
    if (++batchCount % 20 !== 0) continue;
    collectGarbage();
    peak.live = Math.max(peak.live, process.memoryUsage().heapUsed - before.heapUsed);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  console.log(
    `${rowCount} rows in ${seconds.toFixed(2)} s (${Math.round(rowCount / seconds)} rows/s); growth: ` +
      `live ${megabytes(peak.live)}, heap ${megabytes(peak.heap)}, resident ${megabytes(peak.resident)}`,
  );
  expect(rowCount).toBe(ROW_COUNT);
  expect(peak.live).toBeLessThan(LIVE_BYTES_MAX);
  expect(peak.heap).toBeLessThan(HEAP_BYTES_MAX);
});

test('reads one moment while a writer changes rows in pairs', async () => {
  await postgres.client.query(`
    CREATE TABLE pairs (id text PRIMARY KEY, pair int, ip text, port int);
    INSERT INTO pairs SELECT side || lpad(i::text, 6, '0'), i, '5.1.2.3', 1
      FROM generate_series(1, ${PAIR_COUNT}) i, unnest(ARRAY['a', 'b']) side;
    CREATE INDEX ON pairs (pair)`);
  const query = 'SELECT id, ip, port, pair FROM pairs';
  const source = openPostgresSource(postgresSource({ connectionString: postgres.connectionString, query }));
  const writer = await connectClient(postgres.connectionString, 'pair writer');
  let writing = true;
  let writeCount = 0;
  const written = (async () => {
    while (writing) {
      const from = 1 + ((writeCount * 100) % PAIR_COUNT);
      await writer.query(`UPDATE pairs SET port = port + 1 WHERE pair BETWEEN ${from} AND ${from + 99}`);
      writeCount++;
    }
  })();
  for (let read = 0; read < READS; read++) {
    const ports = new Map<string, number>();
    const writesBefore = writeCount;
    for await (const batch of source.read({ attributes: ['pair'], signal: AbortSignal.timeout(30_000) })) {
      // The next batch is read only after the writer has moved on: without one snapshot the halves would
      // differ.
      const seen = writeCount;
      await expect.poll(() => writeCount, { interval: 1 }).toBeGreaterThan(seen);
      for (const row of rowsOf(batch)) {
        const pair = row.attributes[0]!;
        expect(ports.get(pair) ?? row.port).toBe(row.port);
        ports.set(pair, row.port);
      }
    }
    expect(ports.size).toBe(PAIR_COUNT);
    expect(writeCount).toBeGreaterThan(writesBefore);
  }
  writing = false;
  await written;
  await writer.end();
});

test('sees what was committed before the call', async () => {
  const query = 'SELECT id, ip, port FROM pairs WHERE pair = 1';
  const source = openPostgresSource(postgresSource({ connectionString: postgres.connectionString, query }));
  for (const port of [101, 102, 103]) {
    await postgres.client.query('UPDATE pairs SET port = $1 WHERE pair = 1', [port]);
    for await (const batch of source.read({ attributes: [], signal: AbortSignal.timeout(30_000) })) {
      expect(rowsOf(batch).map(row => row.port)).toEqual([port, port]);
    }
  }
});
