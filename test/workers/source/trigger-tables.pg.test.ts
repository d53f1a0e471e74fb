/**
 * Triggers on tables of other shapes, by other hands, and under attack: what is written is always written.
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CREATE_NODES } from '../../../src/server/demo/nodes-table.ts';
import { connectClient } from '../../../src/workers/source/postgres/client.ts';
import { runTriggerScript, triggerScript } from '../../../src/workers/source/postgres/triggers/install.ts';
import { openPostgresSource, postgresSource } from '../../../src/workers/source/postgres-source.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { postgresVersions } from '../../support/postgres-versions.ts';
import { checkAll } from '../../support/row-source.ts';
import { changeTriggers, TriggerListener } from '../../support/trigger-listener.ts';

type Options = Parameters<typeof postgresSource>[0];

/** Roles that the small tables below do not have. */
const OFF = Object.fromEntries(
  [
    'network',
    'vetted',
    'disqualified',
    'exitFinished',
    'exitInitiated',
    'auditSuspended',
    'offlineSuspended',
    'freeDisk',
    'lastContact',
    'type',
  ].map(role => [role, null]),
);
const SMALL = 'last_ip_port text, country_code text';

describe.each(postgresVersions())('on $name', ({ settings, binaries }) => {
  let postgres: TestPostgres;
  let listener: TriggerListener | undefined;

  beforeAll(async () => {
    postgres = await startTestPostgres(settings, binaries);
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    await listener?.close();
    listener = undefined;
    await postgres.client.query('RESET ALL; DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  });

  function source(options: Options = {}) {
    return postgresSource({ connectionString: postgres.connectionString, columns: OFF, ...options });
  }

  /** Makes the table, installs the triggers, and listens. */
  async function watched(create: string, options: Options = {}): Promise<void> {
    await postgres.client.query(create);
    const { channel } = await changeTriggers(source(options));
    listener = await TriggerListener.open(postgres.connectionString, channel);
  }

  async function notified(statements: string, by = postgres.client): Promise<string> {
    await by.query(statements);
    const heard = await listener!.heard(postgres.client);
    return heard.includes(':') ? heard.split(' ').sort().join(' ') : heard;
  }

  async function changesDetail(options: Options = {}): Promise<string> {
    const steps = await checkAll(openPostgresSource(source(options)), ['country']);
    return steps.find(({ name }) => name === 'changes')?.detail ?? '';
  }

  describe('a partitioned table', () => {
    const create = `
      CREATE TABLE nodes (id bytea, ${SMALL}) PARTITION BY LIST (country_code);
      CREATE TABLE nodes_de PARTITION OF nodes FOR VALUES IN ('DE');
      CREATE TABLE nodes_rest PARTITION OF nodes DEFAULT PARTITION BY HASH (id);
      CREATE TABLE nodes_rest_0 PARTITION OF nodes_rest FOR VALUES WITH (MODULUS 1, REMAINDER 0);
      INSERT INTO nodes VALUES (decode(repeat('a', 64), 'hex'), '5.1.1.1:1', 'DE'),
                               (decode(repeat('b', 64), 'hex'), '5.1.1.2:1', 'FR')`;

    test.each([
      [`UPDATE nodes SET country_code = 'SE'`, 'aa:0 bb:0'],
      [`UPDATE nodes SET country_code = 'DE' WHERE country_code = 'FR'`, 'bb:0'],
      [`UPDATE nodes SET country_code = country_code`, ''],
      [`UPDATE nodes_de SET last_ip_port = '5.1.1.3:1'`, 'aa:0'],
      [`UPDATE nodes_rest SET last_ip_port = '5.1.1.3:1'`, 'bb:0'],
      [`DELETE FROM nodes_rest_0`, 'bb:1'],
      [`INSERT INTO nodes_de VALUES (decode(repeat('c', 64), 'hex'), '5.1.1.4:1', 'DE')`, 'cc:0'],
      [`INSERT INTO nodes VALUES (decode(repeat('c', 64), 'hex'), '5.1.1.4:1', 'IT')`, 'cc:0'],
      ['TRUNCATE nodes_de', 'the table was truncated'],
    ])('%s notifies "%s", once', async (statement, expected) => {
      await watched(create);
      expect(await notified(statement)).toBe(expected);
    });

    test('with a new partition needs to be installed again, and says so', async () => {
      await watched(create);
      expect(await changesDetail()).toMatch(/^known at once, by triggers/);
      await postgres.client.query(`CREATE TABLE nodes_it PARTITION OF nodes FOR VALUES IN ('IT')`);
      expect(await changesDetail()).toMatch(/public\.nodes_it has no trigger sortition_insert: run/);
      const { statements } = await changeTriggers(source());
      expect(statements).toHaveLength(4);
      expect(await changesDetail()).toMatch(/^known at once, by triggers/);
    });

    test('has triggers, one partition of it has none of its own', async () => {
      await watched(create);
      const install = changeTriggers(source({ table: 'nodes_de' }));
      await expect(install).rejects.toThrow(/table public\.nodes_de is a part of nodes, .*: name that one/);
    });
  });

  test('what is written to a table that inherits is notified, whichever is named', async () => {
    await watched(`CREATE TABLE nodes (id bytea, ${SMALL}); CREATE TABLE more (note text) INHERITS (nodes)`);
    expect(await notified(`INSERT INTO more VALUES (decode(repeat('a', 64), 'hex'), '5.1.1.1:1')`)).toBe(
      'aa:0',
    );
    expect(await notified(`UPDATE nodes SET country_code = 'DE'`)).toBe('aa:0');
    expect(await notified(`UPDATE more SET note = 'x'`)).toBe('');
  });

  test('a node of which only the id is known, and that gets another, is gone under the old one', async () => {
    await watched(`CREATE TABLE nodes (id bytea, ${SMALL}); INSERT INTO nodes (id) VALUES (sha256('a'))`);
    const [old, id] = ['a', 'b'].map(text => createHash('sha256').update(text).digest('hex').slice(0, 2));
    const heard = await notified(`UPDATE nodes SET id = sha256('b')`);
    expect(heard.split(' ').sort()).toEqual([`${old}:1`, `${id}:0`].sort());
  });

  describe('ids as text', () => {
    const lower = 'ab'.repeat(32);
    test.each([
      ['text', lower, 'ab:0'],
      ['text', lower.toUpperCase(), 'ab:0'],
      ['varchar(64)', lower, 'ab:0'],
      ['char(64)', lower.toUpperCase(), 'ab:0'],
      ['text', `AB${lower.slice(2)}`, 'an id is in letters of both cases'],
      ['text', 'no id at all', ''],
      ['text', 'g'.repeat(64), ''],
    ])('%s %s notify "%s"', async (type, id, expected) => {
      await watched(`CREATE TABLE nodes (id ${type}, ${SMALL})`);
      expect(await notified(`INSERT INTO nodes VALUES ('${id}', '5.1.1.1:1', 'DE')`)).toBe(expected);
      expect(await notified(`UPDATE nodes SET country_code = 'FR'`)).toBe(expected);
      expect(await notified(`DELETE FROM nodes`)).toBe(expected.replace(':0', ':1'));
    });
  });

  test('names that need quotes, and one that ends a dollar quote, are names', async () => {
    const table = `"we""ird $sortition$ 'nodes'; DROP TABLE x --"`;
    const columns = { ...OFF, id: 'i"d', address: `a'd$sortition$d`, country: 'cöuntry' };
    await watched(`CREATE TABLE ${table} ("i""d" bytea, "a'd$sortition$d" text, "cöuntry" text)`, {
      table,
      columns,
    });
    expect(
      await notified(`INSERT INTO ${table} VALUES (decode(repeat('a', 64), 'hex'), '5.1.1.1:1', 'DE')`),
    ).toBe('aa:0');
    expect(await changesDetail({ table, columns })).toMatch(/^known at once, by triggers/);
  });

  test('a writer with the least rights writes, and notifies', async () => {
    await watched(`CREATE TABLE nodes (id bytea, ${SMALL}, secret text);
      INSERT INTO nodes VALUES (decode(repeat('a', 64), 'hex'), '5.1.1.1:1', 'DE', 's');
      DROP ROLE IF EXISTS writer; CREATE ROLE writer LOGIN PASSWORD 'writer';
      GRANT USAGE ON SCHEMA public TO writer; GRANT UPDATE (country_code) ON nodes TO writer`);
    const writer = await connectClient(postgres.url({ user: 'writer', password: 'writer' }), 'writer');
    expect(await notified(`UPDATE nodes SET country_code = 'FR'`, writer)).toBe('aa:0');
    await writer.end();
    await postgres.client.query('DROP OWNED BY writer; DROP ROLE writer');
  });

  test('a search path and temporary tables full of traps change nothing', async () => {
    await watched(`CREATE TABLE nodes (id bytea, ${SMALL});
      CREATE SCHEMA IF NOT EXISTS trap;
      CREATE OR REPLACE FUNCTION trap.octet_length(bytea) RETURNS int LANGUAGE sql AS 'SELECT 1/0';
      CREATE OR REPLACE FUNCTION trap.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT 1/0';
      CREATE OR REPLACE FUNCTION trap.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'`);
    const heard = await notified(`SET search_path = trap, pg_catalog;
      CREATE TEMP TABLE sortition_new (id bytea); CREATE TEMP TABLE unnest (node bytea);
      INSERT INTO public.nodes VALUES (decode(repeat('a', 64), 'hex'), '5.1.1.1:1', 'DE')`);
    expect(heard).toBe('aa:0');
    await postgres.client.query(
      'RESET search_path; DROP TABLE sortition_new, unnest; DROP SCHEMA trap CASCADE',
    );
  });

  test('a trigger that fails says so, and what was written stays written', async () => {
    await watched(`CREATE TABLE nodes (id bytea, ${SMALL})`);
    await postgres.client.query('ALTER TABLE nodes RENAME COLUMN last_ip_port TO address');
    const insert = `INSERT INTO nodes VALUES (decode(repeat('a', 64), 'hex'), '5.1.1.1:1', 'DE')`;
    expect(await notified(`${insert}; UPDATE nodes SET country_code = 'FR'`)).toMatch(/42703/);
    // An insert and a deletion read nothing of that column.
    expect(await notified('DELETE FROM nodes')).toBe('aa:1');
  });

  test('times without a zone are judged as a read judges them, whatever the zone of the writer', async () => {
    const columns = { ...OFF, lastContact: 'seen' };
    await watched(`CREATE TABLE nodes (id bytea, ${SMALL}, seen timestamp)`, { columns });
    const insert = `INSERT INTO nodes VALUES (decode(repeat('a', 64), 'hex'), '5.1.1.1:1', 'DE',`;
    for (const zone of ['Asia/Tokyo', 'America/Los_Angeles']) {
      await postgres.client.query(`SET timezone = '${zone}'`);
      const now = `now() AT TIME ZONE 'UTC'`;
      expect(await notified(`${insert} ${now})`)).toBe('aa:0');
      expect(await notified(`UPDATE nodes SET seen = ${now} - interval '5 hours'`)).toBe('aa:1');
      expect(await notified(`DELETE FROM nodes`)).toBe('aa:1');
    }
  });

  test('a comparison by bytes sees what a collation takes for equal', async () => {
    await watched(`
      CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE nodes (id bytea, last_ip_port text, country_code text COLLATE blind);
      INSERT INTO nodes VALUES (decode(repeat('a', 64), 'hex'), '5.1.1.1:1', 'de')`);
    expect(await notified(`UPDATE nodes SET country_code = 'DE' WHERE country_code = 'DE'`)).toBe('aa:0');
  });

  describe('installing', () => {
    const objects = `
      SELECT (SELECT count(*) FROM pg_proc)::int AS functions,
             (SELECT count(*) FROM pg_trigger)::int AS triggers,
             (SELECT count(*) FROM pg_description)::int AS comments`;

    test('again does nothing, and removing leaves nothing', async () => {
      await postgres.client.query(CREATE_NODES);
      const before = (await postgres.client.query(objects)).rows[0] as object;
      const options = postgresSource({ connectionString: postgres.connectionString });
      expect((await changeTriggers(options)).statements).toHaveLength(6);
      expect((await changeTriggers(options)).statements).toEqual([]);
      expect((await postgres.client.query(objects)).rows[0]).not.toEqual(before);
      expect((await changeTriggers(options, { remove: true })).statements).toHaveLength(5);
      expect((await postgres.client.query(objects)).rows[0]).toEqual(before);
      expect((await changeTriggers(options, { remove: true })).statements).toEqual([]);
    });

    test('for other thresholds or more attributes only replaces the function', async () => {
      await postgres.client.query(CREATE_NODES);
      const options = postgresSource({ connectionString: postgres.connectionString });
      await changeTriggers(options, { attributes: ['country', 'wallet'] });
      expect((await changeTriggers(options, { attributes: ['wallet'] })).statements).toEqual([]);
      expect((await changeTriggers(options, { attributes: ['email'] })).statements).toHaveLength(2);
      const other = postgresSource({ ...options, thresholds: { minFreeDiskBytes: 1 } });
      expect((await changeTriggers(other, { attributes: ['email'] })).statements).toHaveLength(2);
      const steps = await checkAll(openPostgresSource(options), ['email']);
      expect(steps.find(({ name }) => name === 'changes')?.detail).toMatch(
        /other columns, thresholds or attr/,
      );
    });

    test('warns of what two-phase commit cannot do any more', async () => {
      const server = await startTestPostgres({ ...settings, max_prepared_transactions: '5' }, binaries);
      await server.client.query(CREATE_NODES);
      const options = postgresSource({ connectionString: server.connectionString });
      const request = { attributes: [], remove: false, signal: AbortSignal.timeout(20_000) };
      const script = await triggerScript(options, request);
      expect(script.warnings).toEqual([
        expect.stringMatching(/^max_prepared_transactions is 5: .*two-phase/),
      ]);
      await runTriggerScript(options, request, script);
      // The one thing that fails: had it not, there would be nothing to warn of.
      const prepared = server.client.query(`BEGIN; TRUNCATE nodes; PREPARE TRANSACTION 'x'`);
      await expect(prepared).rejects.toThrow(/cannot PREPARE a transaction/);
      await server.stop();
    });

    test('is refused on a table that logical replication writes to', async () => {
      await postgres.client.query(`${CREATE_NODES};
        CREATE SUBSCRIPTION copy CONNECTION 'dbname=none' PUBLICATION none
          WITH (connect = false, enabled = false, slot_name = NONE)`);
      await postgres.client.query(
        `INSERT INTO pg_subscription_rel SELECT s.oid, 'nodes'::regclass, 'r', NULL
        FROM pg_subscription s`.replace('INSERT', 'SET allow_system_table_mods = on; INSERT'),
      );
      const options = postgresSource({ connectionString: postgres.connectionString });
      await expect(changeTriggers(options)).rejects.toThrow(/logical replication writes to public\.nodes/);
      await postgres.client.query('DROP SUBSCRIPTION copy; RESET ALL');
    });

    test('follows a table that was renamed', async () => {
      await postgres.client.query(CREATE_NODES);
      const options = postgresSource({ connectionString: postgres.connectionString });
      await changeTriggers(options);
      await postgres.client.query('ALTER TABLE nodes RENAME TO machines');
      const renamed = postgresSource({ ...options, table: 'machines' });
      // A function, its comment, four triggers dropped and made again, and the old function dropped.
      expect((await changeTriggers(renamed)).statements).toHaveLength(11);
      expect((await changeTriggers(renamed)).statements).toEqual([]);
      await changeTriggers(renamed, { remove: true });
      const left = await postgres.client.query(`SELECT 1 FROM pg_proc WHERE proname LIKE 'sortition%'`);
      expect(left.rows).toEqual([]);
    });

    test('repairs what somebody has taken away or switched off', async () => {
      await postgres.client.query(CREATE_NODES);
      const options = postgresSource({ connectionString: postgres.connectionString });
      await changeTriggers(options);
      await postgres.client.query(
        'DROP TRIGGER sortition_delete ON nodes; ALTER TABLE nodes DISABLE TRIGGER sortition_update',
      );
      const check = await checkAll(openPostgresSource(options));
      expect(check.find(({ name }) => name === 'changes')?.detail).toMatch(/sortition_update .* is disabled/);
      expect((await changeTriggers(options)).statements).toHaveLength(3);
      expect((await changeTriggers(options)).statements).toEqual([]);
    });

    test.each([
      ['a view', 'CREATE TABLE t (id bytea, last_ip_port text); CREATE VIEW nodes AS SELECT * FROM t', {}],
      [
        'a materialized view',
        'CREATE TABLE t (id bytea, last_ip_port text); CREATE MATERIALIZED VIEW nodes AS SELECT * FROM t',
        {},
      ],
      [
        'a replaced query',
        '',
        { query: `SELECT 'x' AS id, '5.1.1.1' AS ip, 1 AS port`, columns: undefined } as unknown as Options,
      ],
    ])('on %s is refused with what to do instead', async (_what, create, options) => {
      await postgres.client.query(create);
      await expect(changeTriggers(source(options), { attributes: [] })).rejects.toMatchObject({
        code: 'SOURCE_SCHEMA',
        message: expect.stringMatching(/name the base table, or .* full loads, or .* updated-at/),
      });
    });
  });
});
