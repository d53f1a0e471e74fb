/**
 * Reading the rows of given nodes: the same rows as a full read, by the index, over a session that is kept.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NodeRow } from '../../../src/engine/snapshot/node-row.ts';
import { CREATE_NODES, seedNodes } from '../../../src/server/demo/nodes-table.ts';
import { population } from '../../../src/server/demo/population.ts';
import { type PostgresSourceOptions, resolvePostgres } from '../../../src/workers/source/postgres/options.ts';
import { PostgresSession } from '../../../src/workers/source/postgres/session.ts';
import { openPostgresSource, postgresSource } from '../../../src/workers/source/postgres-source.ts';
import { NODES_ASKED_MAX, type RowSource } from '../../../src/workers/source/row-source.ts';
import { rowsOf } from '../../support/field-rows.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { byId, readAll } from '../../support/row-source.ts';
import { TcpFaultProxy } from '../../support/tcp-fault-proxy.ts';

const ROWS = 100_000;
const ATTRIBUTES = ['country', 'wallet'];
const MICROS_FROM_1970_TO_2000 = Date.UTC(2000, 0, 1) * 1_000;

let postgres: TestPostgres;
/** Of all nodes, in no order; and the rows of those that are not absent, sorted by them. */
let ids: string[];
let all: readonly NodeRow[];

beforeAll(async () => {
  postgres = await startTestPostgres();
  await seedNodes(postgres.client, population({ seed: 11, nowMs: Date.now(), count: ROWS }));
  const { rows } = await postgres.client.query<{ id: Buffer }>('SELECT id FROM nodes ORDER BY md5(id)');
  ids = rows.map(({ id }) => id.toString('hex'));
  all = (await readAll(opened(), ATTRIBUTES)).rows;
});
afterAll(() => postgres.stop());

function opened(options: Partial<PostgresSourceOptions> = {}): RowSource {
  return openPostgresSource(postgresSource({ connectionString: postgres.connectionString, ...options }));
}

async function readNodes(source: RowSource, wanted: readonly string[], attributes: readonly string[] = []) {
  const signal = AbortSignal.timeout(30_000);
  const read = source.readNodes!(Buffer.from(wanted.join(''), 'hex'), { attributes, signal });
  const rows = [];
  for (;;) {
    const step = await read.next();
    if (step.done === true) return { rows: rows.sort(byId), ...step.value };
    rows.push(...rowsOf(step.value));
  }
}

/** Connections of that application, without those that are closing. */
async function backends(applicationName: string): Promise<number[]> {
  const { rows } = await postgres.client.query<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE application_name = $1',
    [applicationName],
  );
  return rows.map(({ pid }) => pid);
}

describe('the rows of given nodes', () => {
  test.each([1, 7, 1_000, NODES_ASKED_MAX])('%i of them are those of a full read', async count => {
    const source = opened();
    const wanted = ids.slice(-count);
    const chosen = new Set(wanted);
    const { rows } = await readNodes(source, wanted, ATTRIBUTES);
    expect(rows).toEqual(all.filter(({ id }) => chosen.has(String(id))));
    expect(rows.length).toBeLessThanOrEqual(count);
    await source.close();
  });

  test('one more than may be asked for is refused, with what to do instead', async () => {
    const source = opened();
    await expect(readNodes(source, ids.slice(0, NODES_ASKED_MAX + 1))).rejects.toMatchObject({
      code: 'CAPACITY_EXCEEDED',
      message: expect.stringContaining('load everything'),
    });
    await source.close();
  });

  test('of unknown, absent and present nodes only the present come', async () => {
    const { rows: absent } = await postgres.client.query<{ id: Buffer }>(
      'SELECT id FROM nodes WHERE disqualified IS NOT NULL LIMIT 2',
    );
    const { rows: present } = await postgres.client.query<{ id: Buffer }>(
      'SELECT id FROM nodes WHERE disqualified IS NULL AND exit_finished_at IS NULL AND type = 2 LIMIT 2',
    );
    const source = opened();
    const known = [...absent, ...present].map(({ id }) => id.toString('hex'));
    const { rows } = await readNodes(source, ['00'.repeat(32), ...known, 'ff'.repeat(32)]);
    expect(rows.map(({ id }) => id)).toEqual(present.map(({ id }) => id.toString('hex')).sort());
    await source.close();
  });

  test('come with the clock of the database, which a full read has too', async () => {
    const source = opened();
    const before = Date.now();
    const { clockMicros } = await readNodes(source, ids.slice(0, 1));
    const after = Date.now();
    const unixMs = (clockMicros + MICROS_FROM_1970_TO_2000) / 1_000;
    expect(unixMs).toBeGreaterThan(before - 2);
    expect(unixMs).toBeLessThan(after + 2);
    const read = source.read({ attributes: [], signal: AbortSignal.timeout(20_000) });
    let step = await read.next();
    while (step.done !== true) step = await read.next();
    expect(step.value.clockMicros).toBeGreaterThan(clockMicros);
    await step.value.absent;
    await source.close();
  });

  const digits = `encode(n.id, 'hex')`;
  test.each([
    ['bytea', 'n.id'],
    ['text', digits],
    ['text', `upper(${digits})`],
    ['char(64)', `upper(${digits})`],
    ['varchar', digits],
    ['node_key', 'n.id'],
  ])('are found by ids of type %s, filled with %s, by the index of the key', async (type, id) => {
    await postgres.client.query(`DROP TABLE IF EXISTS keyed; DROP DOMAIN IF EXISTS node_key;
      CREATE DOMAIN node_key AS bytea;
      CREATE TABLE keyed (key ${type} PRIMARY KEY, LIKE nodes);
      INSERT INTO keyed SELECT ${id}, n.* FROM nodes AS n LIMIT 5000; ANALYZE keyed`);
    const source = opened({ table: 'keyed', columns: { id: 'key' } });
    const wanted = (await readAll(source)).rows.slice(0, 40);
    const before = await scans('keyed');
    const { rows } = await readNodes(
      source,
      wanted.map(row => String(row.id)),
    );
    await source.close();
    expect(rows).toEqual(wanted);
    const after = await scans('keyed');
    expect(after.index).toBeGreaterThan(before.index);
    expect(after.sequential).toBe(before.sequential);
  });

  /**
   * Index scans, and rows read without an index: the server counts them when a session has ended, and those
   * of this one, which has filled tables from others, when it is told to.
   */
  async function scans(table: string): Promise<{ index: number; sequential: number }> {
    await expect.poll(() => backends('sortition')).toEqual([]);
    await postgres.client.query('SELECT pg_stat_force_next_flush()');
    const { rows } = await postgres.client.query<{ index: number; sequential: number }>(
      `SELECT pg_stat_clear_snapshot(), COALESCE(idx_scan, 0)::int AS index, seq_tup_read::int AS sequential
         FROM pg_stat_user_tables WHERE relname = $1`,
      [table],
    );
    return rows[0]!;
  }

  test('come by the key of a table of 100,000, not by reading it', async () => {
    const before = await scans('nodes');
    const source = opened();
    for (const count of [1, 100, 2_000]) await readNodes(source, ids.slice(0, count));
    await source.close();
    const after = await scans('nodes');
    expect(after.index).toBeGreaterThanOrEqual(before.index + 3);
    expect(after.sequential).toBe(before.sequential);
  });

  test('of a query are read too', async () => {
    const query = `SELECT id, inet '5.1.2.3' AS ip, 80 AS port, country_code FROM nodes`;
    const source = opened({ query });
    const { rows } = await readNodes(source, ids.slice(0, 3), ['country_code']);
    expect(rows.map(({ id }) => id)).toEqual(ids.slice(0, 3).sort());
    await source.close();
  });
});

describe('the session', () => {
  test('is kept between reads, and closed with the source', async () => {
    const source = opened({ applicationName: 'kept' });
    await readNodes(source, ids.slice(0, 1));
    const [pid] = await backends('kept');
    await readNodes(source, ids.slice(0, 1));
    expect(await backends('kept')).toEqual([pid]);
    await source.close();
    await expect.poll(() => backends('kept')).toEqual([]);
  });

  test('that was ended is replaced, and nobody notices', async () => {
    const source = opened({ applicationName: 'ended' });
    await readNodes(source, ids.slice(0, 1));
    const [pid] = await backends('ended');
    await postgres.client.query('SELECT pg_terminate_backend($1)', [pid]);
    expect((await readNodes(source, ids.slice(0, 1))).rows.length).toBeLessThanOrEqual(1);
    // It is listed until its process has ended, which the client hears of before.
    await expect.poll(() => backends('ended')).not.toContain(pid);
    await source.close();
  });

  test('that has ended says why to whoever asks it later', async () => {
    const connectionString = `${postgres.connectionString}?application_name=late`;
    const options = resolvePostgres(postgresSource({ connectionString }));
    const session = await PostgresSession.open(options, AbortSignal.timeout(30_000));
    const [pid] = await backends('late');
    await postgres.client.query('SELECT pg_terminate_backend($1)', [pid]);
    const { message } = await session.lost;
    expect(message).toContain('SQLSTATE 57P01');
    await expect(session.query('SELECT 1')).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE', message });
    await session.close();
  });

  test('is not blocked by another read under way', async () => {
    const source = opened({ applicationName: 'two' });
    const reads = [0, 1, 2].map(i => readNodes(source, ids.slice(100 * i, 100 * i + 50)));
    for (const { rows } of await Promise.all(reads)) expect(rows.length).toBeGreaterThan(30);
    await expect.poll(async () => (await backends('two')).length).toBe(1);
    await source.close();
  });

  test('is left behind when the read is aborted, or left early', async () => {
    const source = opened({ applicationName: 'left' });
    const stop = new AbortController();
    const request = { attributes: [], signal: stop.signal };
    const some = Buffer.from(ids.slice(0, 5_000).join(''), 'hex');
    const read = source.readNodes!(some, request);
    await read.next();
    stop.abort();
    await expect(read.next()).rejects.toMatchObject({ name: 'CacheError' });
    await expect.poll(() => backends('left')).toEqual([]);
    for await (const _batch of source.readNodes!(some, { ...request, signal: AbortSignal.timeout(9_000) }))
      break;
    await expect.poll(() => backends('left')).toEqual([]);
    await source.close();
  });

  test('whose other end is a black hole ends after the limit, and the next read works', async () => {
    const proxy = await TcpFaultProxy.open({ host: '127.0.0.1', port: postgres.port });
    const connectionString = postgres.url({ port: proxy.port });
    const source = opened({ connectionString, statementTimeoutMs: 2_000 });
    await readNodes(source, ids.slice(0, 1));
    proxy.swallow('both');
    await expect(readNodes(source, ids.slice(0, 1))).rejects.toMatchObject({ code: 'SOURCE_TIMEOUT' });
    proxy.mend();
    await readNodes(source, ids.slice(0, 1));
    await source.close();
    await proxy.close();
  });
});

describe('a plan that is kept', () => {
  async function changed(statements: string): Promise<void> {
    await postgres.client.query(statements);
  }

  test.each([
    [
      'a type changes',
      `ALTER TABLE moving ALTER country_code TYPE varchar(10), ALTER free_disk TYPE numeric`,
    ],
    ['the address becomes another column', 'ALTER TABLE moving DROP last_net'],
    ['a column is added', 'ALTER TABLE moving ADD more text'],
    ['the table is another one', 'ALTER TABLE moving RENAME TO old; ALTER TABLE spare RENAME TO moving'],
    ['the id is text from now on', `ALTER TABLE moving ALTER id TYPE text USING encode(id, 'hex')`],
  ])('is made anew when %s', async (_what, statements) => {
    await changed(`DROP TABLE IF EXISTS moving, spare, old;
      ${CREATE_NODES.replace('nodes', 'moving')}; INSERT INTO moving SELECT * FROM nodes LIMIT 1000;
      CREATE TABLE spare AS SELECT country_code, id, address, last_net, last_ip_port, type, free_disk,
        vetted_at, disqualified, exit_finished_at, exit_initiated_at, unknown_audit_suspended,
        offline_suspended, last_contact_success FROM moving`);
    const source = opened({ table: 'moving' });
    const { rows: some } = await postgres.client.query<{ id: Buffer }>('SELECT id FROM moving LIMIT 50');
    const wanted = some.map(({ id }) => id.toString('hex'));
    await readNodes(source, wanted, ['country']);
    await changed(statements);
    const truth = (await readAll(source, ['country'])).rows.filter(({ id }) => wanted.includes(String(id)));
    expect((await readNodes(source, wanted, ['country'])).rows).toEqual(truth);
    expect(truth.length).toBeGreaterThan(30);
    await source.close();
  });

  test('waits for a change that is under way', async () => {
    await changed(`DROP TABLE IF EXISTS moving; ${CREATE_NODES.replace('nodes', 'moving')};
      INSERT INTO moving SELECT * FROM nodes LIMIT 100`);
    const source = opened({ table: 'moving' });
    const { rows: some } = await postgres.client.query<{ id: Buffer }>('SELECT id FROM moving LIMIT 50');
    const wanted = some.map(({ id }) => id.toString('hex'));
    const before = await readNodes(source, wanted, ['country']);
    await changed(`BEGIN; ALTER TABLE moving ALTER id TYPE text USING encode(id, 'hex')`);
    const reading = readNodes(source, wanted, ['country']);
    await expect
      .poll(async () => {
        const { rows } = await postgres.client.query(
          `SELECT 1 FROM pg_stat_activity WHERE application_name = 'sortition' AND wait_event_type = 'Lock'`,
        );
        return rows.length;
      })
      .toBe(1);
    await changed('COMMIT');
    expect((await reading).rows).toEqual(before.rows);
    await source.close();
  });

  test('of a table that is gone ends in the error of a table that is gone', async () => {
    await changed('CREATE TABLE short_lived AS SELECT * FROM nodes LIMIT 10');
    const source = opened({ table: 'short_lived' });
    await readNodes(source, ids.slice(0, 1));
    await changed('DROP TABLE short_lived');
    await expect(readNodes(source, ids.slice(0, 1))).rejects.toMatchObject({
      code: 'SOURCE_SCHEMA',
      message: expect.stringContaining('no table or view "short_lived"'),
    });
    await source.close();
  });
});
