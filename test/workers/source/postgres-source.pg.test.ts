import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CacheError } from '../../../src/engine/errors.ts';
import type { NodeRow } from '../../../src/engine/snapshot/node-row.ts';
import { insertNodes, nodesRow, seedNodes } from '../../../src/server/demo/nodes-table.ts';
import { type DemoNode, demoRow, population } from '../../../src/server/demo/population.ts';
import { openPostgresSource, postgresSource } from '../../../src/workers/source/postgres-source.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { byId, readAll } from '../../support/row-source.ts';
import { describeRowSource } from './row-source.case.ts';

let postgres: TestPostgres;
let nodes: DemoNode[];

beforeAll(async () => {
  postgres = await startTestPostgres();
  nodes = [...population({ seed: 7, nowMs: Date.now() })];
  await seedNodes(postgres.client, nodes);
  await postgres.client.query(`
    CREATE VIEW node_view AS SELECT * FROM nodes;
    CREATE MATERIALIZED VIEW node_cache AS SELECT * FROM nodes;
    CREATE SCHEMA other;
    CREATE TABLE other."Storage Nodes" AS SELECT * FROM nodes LIMIT 10;
    CREATE TABLE bare (node bytea, at inet, port_number int);
    CREATE TABLE subject (n bigserial, id text, ip text, port int, network text, vetted boolean,
                          ineligible text, country text, operator text)`);
});

afterAll(() => postgres.stop());

function opened(options: Parameters<typeof postgresSource>[0] = {}) {
  return openPostgresSource(postgresSource({ connectionString: postgres.connectionString, ...options }));
}

describeRowSource('a Postgres query', {
  async open(rows) {
    await fillSubject(rows);
    return opened({ query: 'SELECT * FROM subject ORDER BY n; -- everything' });
  },
});

async function fillSubject(rows: readonly NodeRow[]): Promise<void> {
  const values = rows.map(({ attributes, ...row }) => ({
    ...row,
    country: attributes[0],
    operator: attributes[1],
  }));
  await postgres.client.query('TRUNCATE subject');
  await postgres.client.query(
    `INSERT INTO subject (id, ip, port, network, vetted, ineligible, country, operator)
     SELECT id, ip, port, network, vetted, ineligible, country, operator
       FROM json_populate_recordset(NULL::subject, $1)`,
    [JSON.stringify(values)],
  );
}

describe('the default query', () => {
  test('reads the demo table without any configuration, as the population was made', async () => {
    const { rows, summary } = await readAll(opened(), ['country']);
    const wanted = nodes.map(demoRow).filter(row => row !== undefined);
    expect(rows).toEqual(wanted.sort(byId));
    const count = (state: string) => nodes.filter(node => node.state === state).length;
    expect(summary.absent).toEqual({
      disqualified: count('disqualified'),
      exited: count('exited'),
      gone: count('gone'),
    });
  });

  test.each(['node_view', 'node_cache', 'public.nodes', 'NODES'])('reads %s the same way', async table => {
    const [wanted, read] = [await readAll(opened()), await readAll(opened({ table }))];
    expect(read.rows).toEqual(wanted.rows);
    expect(read.summary).toEqual(wanted.summary);
  });

  test('reads a table of another schema whose name needs quotes', async () => {
    const { rows, summary } = await readAll(opened({ table: 'other."Storage Nodes"' }));
    const absent = Object.values(summary.absent).reduce((sum, count) => sum + count, 0);
    expect(rows.length + absent).toBe(10);
  });

  test('reads ip and port columns, an inet and its type, where they are mapped', async () => {
    await postgres.client.query('TRUNCATE bare');
    await postgres.client.query(
      `INSERT INTO bare VALUES ('\\x01', '5.1.2.3/24', 80), ('\\x02', '2a01::7', 81)`,
    );
    const off = Object.fromEntries(CRITERION_ROLES.map(role => [role, null])) as Record<
      (typeof CRITERION_ROLES)[number],
      null
    >;
    const columns = { ...off, id: 'node', ip: 'at', port: 'port_number' };
    const { rows } = await readAll(opened({ table: 'bare', columns }));
    expect(rows).toMatchObject([
      { id: '01', ip: '5.1.2.3', port: 80, vetted: true, network: undefined },
      { id: '02', ip: '2a01::7', port: 81, vetted: true, network: undefined },
    ]);
  });

  test('reads an attribute from the column that attributes names', async () => {
    const options = { attributes: { operator: 'wallet', since: 'created_at' } };
    const { rows } = await readAll(opened(options), ['operator', 'since', 'free_disk']);
    const node = nodes.find(({ id }) => id === rows[0]?.id);
    expect(rows[0]?.attributes[0]).toBe(node?.wallet);
    expect(Date.parse(rows[0]?.attributes[1] ?? '')).toBe(node?.createdAtMs);
    expect(rows[0]?.attributes[2]).toBe(String(node?.freeDiskBytes));
  });
});

const CRITERION_ROLES = [
  'vetted',
  'disqualified',
  'exitFinished',
  'exitInitiated',
  'auditSuspended',
  'offlineSuspended',
  'freeDisk',
  'lastContact',
  'type',
] as const;

describe('a criterion', () => {
  const HEALTHY_ID = 'aa'.repeat(32);

  async function judged(
    change: Record<string, string | number | boolean | null>,
    options: Parameters<typeof postgresSource>[0] = {},
  ): Promise<string> {
    const node = nodes.find(({ state }) => state === 'eligible')!;
    const now = new Date().toISOString();
    await postgres.client.query(`DROP TABLE IF EXISTS judged; CREATE TABLE judged (LIKE nodes);
      ALTER TABLE judged ADD audits bigint, ADD uptime float8, ADD version text;
      ALTER TABLE judged ALTER last_contact_success DROP NOT NULL, ALTER free_disk DROP NOT NULL`);
    const row = { ...nodesRow({ ...node, id: HEALTHY_ID }), last_contact_success: now, ...change };
    await postgres.client.query(
      'INSERT INTO judged SELECT * FROM json_populate_recordset(NULL::judged, $1)',
      [JSON.stringify([row])],
    );
    const { rows, summary } = await readAll(opened({ table: 'judged', ...options }));
    return rows[0] === undefined
      ? `absent: ${Object.keys(summary.absent)}`
      : (rows[0].ineligible ?? 'eligible');
  }

  const ago = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
  const counts = { columns: { auditCount: 'audits', uptimeCount: 'uptime' } };

  test.each([
    [{}, 'eligible'],
    [{ disqualified: ago(1) }, 'absent: disqualified'],
    [{ exit_finished_at: ago(1), exit_initiated_at: ago(2) }, 'absent: exited'],
    [{ last_contact_success: ago(24 * 30 + 1) }, 'absent: gone'],
    [{ last_contact_success: ago(24 * 30 - 1) }, 'offline'],
    [{ last_contact_success: ago(4.01) }, 'offline'],
    [{ last_contact_success: ago(3.99) }, 'eligible'],
    [{ last_contact_success: null }, 'offline'],
    [{ unknown_audit_suspended: ago(1) }, 'suspended'],
    [{ offline_suspended: ago(1) }, 'suspended'],
    [{ exit_initiated_at: ago(1) }, 'exiting'],
    [{ free_disk: 4_999_999_999 }, 'full'],
    [{ free_disk: 5_000_000_000 }, 'eligible'],
    [{ free_disk: null }, 'full'],
    [{ type: 1 }, 'wrong-type'],
    [{ disqualified: ago(1), free_disk: 0 }, 'absent: disqualified'],
    [{ offline_suspended: ago(1), free_disk: 0 }, 'suspended'],
  ])('judges %o as %s', async (change, verdict) => {
    expect(await judged(change)).toBe(verdict);
  });

  test.each([
    [{ audits: 99, uptime: 1 }, 'few-audits'],
    [{ audits: null, uptime: 1 }, 'few-audits'],
    [{ audits: 100, uptime: 0.5 }, 'low-uptime'],
    [{ audits: 100, uptime: 1 }, 'eligible'],
  ])('of audits and uptime judges %o as %s', async (change, verdict) => {
    expect(await judged(change, { ...counts, thresholds: { minAuditCount: 100, minUptimeCount: 1 } })).toBe(
      verdict,
    );
  });

  test.each([
    [{ major: 1, minor: 95, patch: 0 }, 'eligible'],
    [{ major: 2, minor: 0, patch: 0 }, 'eligible'],
    [{ major: 1, minor: 94, patch: 99 }, 'old-version'],
    [{ major: 1, minor: 95, patch: 0, release: false }, 'not-release'],
  ])('of the version judges %o as %s', async (change, verdict) => {
    const thresholds = { minimumVersion: '1.95.0', releaseOnly: true };
    expect(await judged({ release: true, ...change }, { thresholds })).toBe(verdict);
  });

  test.each([
    ['v1.95.0', 'eligible'],
    ['1.95', 'eligible'],
    ['1.100.2-rc', 'eligible'],
    ['1.94.100', 'old-version'],
    ['2', 'eligible'],
    ['unknown', 'old-version'],
    [null, 'old-version'],
  ])('of a version in one column judges %s as %s', async (version, verdict) => {
    const options = { columns: { version: 'version' }, thresholds: { minimumVersion: '1.95.0' } };
    expect(await judged({ version }, options)).toBe(verdict);
  });

  test('takes other thresholds', async () => {
    const thresholds = { minFreeDiskBytes: 1, onlineWindowMs: 60_000, goneAfterMs: 120_000, nodeType: 4 };
    expect(await judged({ free_disk: 1, type: 4 }, { thresholds })).toBe('eligible');
    expect(await judged({ type: 2 }, { thresholds })).toBe('wrong-type');
    expect(await judged({ last_contact_success: ago(0.02) }, { thresholds })).toBe('offline');
    expect(await judged({ last_contact_success: ago(0.1) }, { thresholds })).toBe('absent: gone');
  });

  test('is switched off by mapping its column to null', async () => {
    expect(await judged({ free_disk: 0 }, { columns: { freeDisk: null } })).toBe('eligible');
    expect(await judged({ offline_suspended: ago(1) }, { columns: { offlineSuspended: null } })).toBe(
      'eligible',
    );
    expect(await judged({ last_contact_success: ago(9_999) }, { columns: { lastContact: null } })).toBe(
      'eligible',
    );
  });

  test('reads a boolean column as well as a time', async () => {
    await postgres.client.query(`DROP VIEW IF EXISTS flags; CREATE VIEW flags AS
      SELECT id, last_ip_port, free_disk, type, last_contact_success, vetted_at IS NOT NULL AS vetted_at,
             disqualified IS NOT NULL AS disqualified, exit_finished_at IS NOT NULL AS exit_finished_at,
             exit_initiated_at IS NOT NULL AS exit_initiated_at,
             offline_suspended IS NOT NULL AS offline_suspended,
             unknown_audit_suspended IS NOT NULL AS unknown_audit_suspended,
             country_code, last_net FROM nodes`);
    const [wanted, read] = [await readAll(opened()), await readAll(opened({ table: 'flags' }))];
    expect([read.rows, read.summary]).toEqual([wanted.rows, wanted.summary]);
  });
});

describe('an address', () => {
  test.each([
    ['5.1.2.3:28967', '5.1.2.3', 28_967],
    ['[2a01::7]:28967', '2a01::7', 28_967],
    ['2a01::7:28967', '2a01::7:28967', Number.NaN],
    ['5.1.2.3', '5.1.2.3', Number.NaN],
    ['5.1.2.3:', '5.1.2.3', Number.NaN],
    ['', '', Number.NaN],
    ['node.example:28967', 'node.example', 28_967],
  ])('%s is delivered as ip %s and port %d, for the builder to judge', async (address, ip, port) => {
    await postgres.client.query('DROP TABLE IF EXISTS address_case; CREATE TABLE address_case (LIKE nodes)');
    const row = { ...nodesRow(nodes.find(({ state }) => state === 'eligible')!), last_ip_port: address };
    await insertNodes(postgres.client, []);
    await postgres.client.query(
      'INSERT INTO address_case SELECT * FROM json_populate_recordset(NULL::address_case, $1)',
      [JSON.stringify([row])],
    );
    expect((await readAll(opened({ table: 'address_case' }))).rows[0]).toMatchObject({ ip, port });
  });
});

describe('a replaced query', () => {
  test('may yield eligible, a vetted time and bytea ids', async () => {
    const query = `SELECT sha256('a') AS id, inet '5.1.2.3' AS ip, 80 AS port, now() AS vetted,
                          false AS eligible
                   UNION ALL SELECT sha256('b'), inet '5.1.2.4', 81, NULL, true ORDER BY port -- last`;
    const { rows, summary } = await readAll(opened({ query }));
    expect(rows.find(row => row.port === 80)).toMatchObject({
      ip: '5.1.2.3',
      vetted: true,
      ineligible: 'not-eligible',
    });
    expect(rows.find(row => row.port === 81)).toMatchObject({ vetted: false, ineligible: undefined });
    expect(rows[0]?.id).toMatch(/^[0-9a-f]{64}$/);
    expect(summary).toEqual({ absent: {} });
  });

  test('may start with WITH', async () => {
    const query = `WITH one AS (SELECT 'x' AS id, '5.1.2.3' AS ip, 80 AS port) SELECT * FROM one`;
    expect((await readAll(opened({ query }))).rows).toMatchObject([{ id: 'x', ip: '5.1.2.3', vetted: true }]);
  });

  test('cannot write', async () => {
    const query = `WITH gone AS (DELETE FROM nodes RETURNING id) SELECT id, 'x' AS ip, 1 AS port FROM gone`;
    await expect(readAll(opened({ query }))).rejects.toBeInstanceOf(CacheError);
    const functionCall = `SELECT 'x' AS id, nextval('subject_n_seq')::text AS ip, 1 AS port`;
    await expect(readAll(opened({ query: functionCall }))).rejects.toMatchObject({
      message: expect.stringContaining('read-only transaction'),
    });
  });

  test.each([
    [`SELECT 'x' AS id, '5.1.2.3' AS addr, 80 AS port`, 'yields no column "ip"'],
    [`SELECT 'x' AS id, '5.1.2.3' AS ip, '80' AS port`, 'column "port" of the query has type text'],
    [`SELECT 1 AS id, '5.1.2.3' AS ip, 80 AS port`, 'column "id" of the query has type integer'],
    [`SELECT 'x' AS id, 'y' AS id, '5.1.2.3' AS ip, 80 AS port`, 'two columns "id"'],
    [`SELECT nothing FROM nodes`, '"nothing" does not exist'],
    [`SELEC 1`, 'syntax error'],
  ])('%s throws SOURCE_SCHEMA', async (query, message) => {
    await expect(readAll(opened({ query }))).rejects.toMatchObject({
      code: 'SOURCE_SCHEMA',
      message: expect.stringContaining(message),
    });
  });
});
