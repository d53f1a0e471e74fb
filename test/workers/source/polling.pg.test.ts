/** Polling the column that says when a row was written. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connectClient } from '../../../src/workers/source/postgres/client.ts';
import { followChanges } from '../../../src/workers/source/postgres/feed/change-feed.ts';
import { resolvePostgres } from '../../../src/workers/source/postgres/options.ts';
import { postgresSource } from '../../../src/workers/source/postgres-source.ts';
import { ChangeFollower } from '../../support/change-follower.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';

const COLUMNS = {
  network: null,
  vetted: null,
  exitFinished: null,
  exitInitiated: null,
  auditSuspended: null,
  offlineSuspended: null,
  freeDisk: null,
  lastContact: null,
  type: null,
};

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());
beforeEach(() => make('bytea', 'timestamptz'));

async function make(idType: string, timeType: string): Promise<void> {
  await postgres.client.query(`DROP TABLE IF EXISTS nodes CASCADE;
    CREATE TABLE nodes (id ${idType}, last_ip_port text, disqualified timestamptz, updated_at ${timeType})`);
}

const idOf = (digits: string) => digits.repeat(32);

function follow(options: Parameters<typeof postgresSource>[0] = {}): ChangeFollower {
  const source = postgresSource({
    connectionString: postgres.connectionString,
    columns: COLUMNS,
    changes: 'updated-at',
    pollMs: 50,
    ...options,
  });
  return new ChangeFollower(request =>
    followChanges(resolvePostgres(source), { ...request, attributes: [] }),
  );
}

async function insert(digits: string, at: string, more: { disqualified?: string } = {}): Promise<void> {
  await postgres.client.query(`INSERT INTO nodes VALUES
    (decode('${idOf(digits)}', 'hex'), '5.1.1.1:1', ${more.disqualified ?? 'NULL'}, ${at})`);
}

/** Waits for so many nodes, then for two polls more. */
async function marks(follower: ChangeFollower, count: number): Promise<Record<string, number>> {
  await until(`${count} nodes`, () => follower.marks().size >= count);
  await follower.heard('alive', follower.of('alive').length + 2);
  return Object.fromEntries([...follower.marks()].map(([id, mark]) => [id.slice(0, 2), mark]));
}

test('reports what is written from its beginning on, each write once, with who is out', async () => {
  await insert('01', 'now()');
  const follower = follow();
  await follower.heard('missed', 1);
  await insert('02', 'now()');
  await insert('03', 'now()', { disqualified: 'now()' });
  expect(await marks(follower, 2)).toEqual({ '02': 0, '03': 1 });
  const before = follower.of('nodes').length;
  await follower.heard('alive', follower.of('alive').length + 3);
  expect(follower.of('nodes')).toHaveLength(before);
  await postgres.client.query('DELETE FROM nodes');
  await insert('04', 'now()');
  expect(await marks(follower, 3)).toEqual({ '02': 0, '03': 1, '04': 0 });
  await follower.stop();
});

test('finds a transaction that commits late, and rows of clocks that lag', async () => {
  await insert('01', `now() - interval '70 seconds'`);
  const follower = follow();
  await follower.heard('missed', 1);
  const late = await connectClient(postgres.connectionString, 'late');
  await late.query('BEGIN');
  await late.query(`INSERT INTO nodes VALUES (decode('${idOf('0a')}', 'hex'), '5.1.1.1:1', NULL, now())`);
  await insert('0b', 'clock_timestamp()');
  await marks(follower, 1);
  await late.query('COMMIT');
  expect(await marks(follower, 2)).toEqual({ '0a': 0, '0b': 0 });
  await late.end();
  await follower.stop();
  // All writers a minute behind: polls look from the newest time seen, not from now.
  await postgres.client.query('DELETE FROM nodes');
  await insert('01', `now() - interval '60 seconds'`);
  const lagging = follow();
  await lagging.heard('missed', 1);
  await insert('02', `now() - interval '60 seconds'`);
  expect(await marks(lagging, 1)).toEqual({ '02': 0 });
  await lagging.stop();
});

test('goes on beside rows of the future, of no time, and of infinity', async () => {
  await insert('01', `now() + interval '10 years'`);
  await insert('02', 'NULL');
  await insert('03', `'infinity'`);
  const follower = follow();
  await follower.heard('missed', 1);
  await insert('04', 'now()');
  expect(await marks(follower, 1)).toEqual({ '04': 0 });
  await follower.stop();
});

test.each(['Asia/Tokyo', 'America/Los_Angeles', 'UTC'])('reads times without a zone in %s', async zone => {
  await postgres.client.query(`ALTER ROLE sortition SET timezone = '${zone}'; SET timezone = '${zone}'`);
  await make('bytea', 'timestamp');
  await insert('01', 'now()');
  const follower = follow();
  await follower.heard('missed', 1);
  await insert('02', 'now()');
  expect(await marks(follower, 1)).toEqual({ '02': 0 });
  await follower.stop();
  await postgres.client.query('ALTER ROLE sortition RESET timezone; RESET timezone');
});

test('reads text ids; one in letters of both cases is everything, one that is none is nothing', async () => {
  await make('text', 'timestamptz');
  const add = (id: string) =>
    postgres.client.query(`INSERT INTO nodes VALUES ($1, '5.1.1.1:1', NULL, now())`, [id]);
  const follower = follow();
  await follower.heard('missed', 1);
  await add(idOf('ab'));
  await add(idOf('CD'));
  await add('none');
  expect(await marks(follower, 2)).toEqual({ ab: 0, cd: 0 });
  expect(follower.of('missed')).toHaveLength(1);
  await add(`Ab${idOf('ab').slice(2)}`);
  await follower.heard('missed', 2);
  await follower.stop();
});

test('of more rows than it reports says that everything was missed, once', async () => {
  const follower = follow();
  await follower.heard('missed', 1);
  await postgres.client.query(
    `INSERT INTO nodes SELECT sha256(i::text::bytea), '5.1.1.1:1', NULL, now()
       FROM generate_series(1, 31000) AS i`,
  );
  await follower.heard('missed', 2);
  await insert('01', 'clock_timestamp()');
  expect(await marks(follower, 1)).toEqual({ '01': 0 });
  expect(follower.of('missed')).toHaveLength(2);
  await follower.stop();
});

test('takes a view and another column, and reads by the index', async () => {
  await postgres.client.query(`
    INSERT INTO nodes SELECT sha256(i::text::bytea), '5.1.1.1:1', NULL, now() - interval '1 day'
      FROM generate_series(1, 20000) AS i;
    CREATE INDEX ON nodes (updated_at); ANALYZE nodes;
    CREATE VIEW seen AS SELECT id, last_ip_port, disqualified, updated_at AS written FROM nodes`);
  const follower = follow({
    table: 'seen',
    columns: { ...COLUMNS, updatedAt: 'written' },
    applicationName: 'v',
  });
  await follower.heard('missed', 1);
  await insert('02', 'now()');
  expect(await marks(follower, 1)).toEqual({ '02': 0 });
  await follower.stop();
  await expect
    .poll(async () => {
      const { rows } = await postgres.client.query<{ index: number }>(
        `SELECT pg_stat_clear_snapshot(), idx_scan::int AS index
           FROM pg_stat_user_tables WHERE relname = 'nodes'`,
      );
      return rows[0]!.index;
    })
    .toBeGreaterThan(2);
});

test('is not chosen without an index on a large table, unless it is named', async () => {
  await postgres.client.query(`
    INSERT INTO nodes SELECT sha256(i::text::bytea), '5.1.1.1:1', NULL, now() - interval '1 day'
      FROM generate_series(1, 300000) AS i; ANALYZE nodes`);
  const auto = follow({ changes: 'auto' });
  await until('a mode', () => auto.status?.mode !== undefined);
  expect(auto.status).toMatchObject({
    mode: 'none',
    declined: [{}, { mode: 'updated-at', reason: expect.stringMatching(/make an index on "updated_at"/) }],
  });
  await auto.stop();
  const named = follow();
  await named.heard('missed', 1);
  await named.stop();
  await postgres.client.query('CREATE INDEX ON nodes (updated_at)');
  const indexed = follow({ changes: 'auto' });
  await until('a mode', () => indexed.status?.mode === 'updated-at');
  await indexed.stop();
});
