/**
 * Whatever is written, by two sessions at once, in whatever transactions: who has read everything once and
 * then only follows the feed knows what the table holds. `SEED=…` replays a run.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, type PostgresClient } from '../../../src/workers/source/postgres/client.ts';
import { type FeedTimes, followChanges } from '../../../src/workers/source/postgres/feed/change-feed.ts';
import { resolvePostgres } from '../../../src/workers/source/postgres/options.ts';
import { openPostgresSource, postgresSource } from '../../../src/workers/source/postgres-source.ts';
import type { RowSource } from '../../../src/workers/source/row-source.ts';
import { ChangeFollower, KnownNodes } from '../../support/change-follower.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { SEED } from '../../support/property.ts';
import { changeTriggers } from '../../support/trigger-listener.ts';
import { until } from '../../support/until.ts';

const TIMES: FeedTimes = {
  askEveryMs: 200,
  answerMs: 2_000,
  echoMs: 2_000,
  retryFirstMs: 5,
  retryLongestMs: 100,
  findEveryMs: 60_000,
};
const NODES = 30;
const RUNS = 60;
const FENCE_ID = 'ff'.repeat(32);
const ATTRIBUTES = ['country'];

const COLUMNS = `id bytea NOT NULL, last_net text, last_ip_port text, country_code text NOT NULL,
  type int DEFAULT 2, free_disk bigint DEFAULT 9000000000000, vetted_at timestamptz, disqualified timestamptz,
  unknown_audit_suspended timestamptz, offline_suspended timestamptz, exit_initiated_at timestamptz,
  exit_finished_at timestamptz, last_contact_success timestamptz DEFAULT now()`;

const TABLES = {
  plain: `CREATE TABLE nodes (${COLUMNS}, PRIMARY KEY (id))`,
  partitioned: `
    CREATE TABLE nodes (${COLUMNS}, PRIMARY KEY (id, country_code)) PARTITION BY LIST (country_code);
    CREATE TABLE nodes_de PARTITION OF nodes FOR VALUES IN ('DE');
    CREATE TABLE nodes_fr PARTITION OF nodes FOR VALUES IN ('FR');
    CREATE TABLE nodes_rest PARTITION OF nodes DEFAULT`,
};

let postgres: TestPostgres;
let file: string;

beforeAll(async () => {
  // Two sessions get in each other's way: then one of them fails soon.
  const settings = { deadlock_timeout: '20ms', lock_timeout: '200ms' };
  // What was committed is there after a crash.
  postgres = await startTestPostgres({ ...settings, synchronous_commit: 'on' });
  const { rows } = await postgres.client.query<{ data_directory: string }>('SHOW data_directory');
  file = `'${rows[0]!.data_directory}/nodes.copy'`;
});
afterAll(() => postgres.stop());

const key = fc.integer({ min: 0, max: NODES - 1 });
const keys = fc.array(key, { minLength: 1, maxLength: 6 });
const country = fc.constantFrom('DE', 'FR', 'SE', 'IT');
const target = fc.constantFrom('nodes', 'nodes', 'nodes', 'nodes_de', 'nodes_rest');
const set = fc.oneof(
  country.map(code => `country_code = '${code}'`),
  fc.constantFrom(
    'free_disk = 1',
    'free_disk = 9e12',
    'free_disk = free_disk + 1',
    'disqualified = now()',
    'disqualified = NULL',
    'offline_suspended = now()',
    'offline_suspended = NULL',
    "last_contact_success = now() - interval '5 hours'",
    'last_contact_success = now()',
    'vetted_at = now()',
    'vetted_at = NULL',
    "last_net = '5.7.7.0'",
    "last_ip_port = '5.7.7.9:1000'",
    'exit_finished_at = now()',
    'exit_finished_at = NULL',
  ),
);
const statement = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(keys, country).map(([ids, code]) => insert(ids, code, 'ON CONFLICT DO NOTHING')),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(keys, country, set)
      .map(([ids, code, change]) => insert(ids, code, `ON CONFLICT (KEY) DO UPDATE SET ${change}`)),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(target, set, keys).map(([t, s, ids]) => `UPDATE ${t} SET ${s} WHERE ${oneOf(ids)}`),
  },
  { weight: 2, arbitrary: set.map(change => `UPDATE nodes SET ${change}`) },
  { weight: 3, arbitrary: fc.tuple(target, keys).map(([t, ids]) => `DELETE FROM ${t} WHERE ${oneOf(ids)}`) },
  {
    weight: 1,
    arbitrary: keys.map(ids => `UPDATE nodes SET id = ${idOf(ids[0]!)} WHERE id = ${idOf(ids.at(-1)!)}`),
  },
  { weight: 1, arbitrary: fc.constant('COPY') },
  { weight: 1, arbitrary: fc.constant('TRUNCATE nodes') },
  { weight: 2, arbitrary: fc.constantFrom('SAVEPOINT s', 'ROLLBACK TO s') },
);
const transaction = fc.record({
  statements: fc.array(statement, { minLength: 1, maxLength: 5 }),
  end: fc.constantFrom('COMMIT', 'COMMIT', 'COMMIT', 'ROLLBACK'),
});
const session = fc.array(transaction, { minLength: 1, maxLength: 8 });

function idOf(number: number): string {
  return `decode('${number.toString(16).padStart(2, '0').repeat(32)}', 'hex')`;
}

function oneOf(numbers: readonly number[]): string {
  return `id IN (${numbers.map(idOf).join(', ')})`;
}

function insert(numbers: readonly number[], code: string, conflict: string): string {
  const unique = [...new Set(numbers)];
  const values = unique.map(n => `(${idOf(n)}, '5.1.${n}.0', '5.1.${n}.9:28967', '${code}')`);
  const columns = 'id, last_net, last_ip_port, country_code';
  return `INSERT INTO nodes (${columns}) VALUES ${values.join(', ')} ${conflict}`;
}

type Transaction = { readonly statements: readonly string[]; readonly end: string };

/** Runs the transactions one behind the other. A statement that fails makes its transaction a rollback. */
async function run(
  client: PostgresClient,
  transactions: readonly Transaction[],
  kind: string,
): Promise<void> {
  for (const { statements, end } of transactions) {
    await client.query('BEGIN');
    try {
      for (const each of statements) {
        const text = kind === 'plain' ? each.replaceAll(/nodes_(de|rest)/g, 'nodes') : each;
        await client.query(statementFor(text, kind));
      }
      await client.query(end);
    } catch (error) {
      // A lock, a deadlock, a key that is there already, a savepoint that is not.
      if ((error as { code?: string }).code === undefined) throw error;
      await client.query('ROLLBACK');
    }
  }
}

function statementFor(text: string, kind: string): string {
  if (text === 'COPY') return `COPY nodes (id, last_net, last_ip_port, country_code) FROM ${file}`;
  return text.replace('(KEY)', kind === 'plain' ? '(id)' : '(id, country_code)');
}

/** Makes the table, and a file that a COPY reads. */
async function makeTable(kind: keyof typeof TABLES): Promise<void> {
  await postgres.client.query(`DROP TABLE IF EXISTS nodes CASCADE; ${TABLES[kind]}`);
  await postgres.client.query(`
    ${insert([1, 2, 3, 4, 5], 'SE', '')};
    COPY (SELECT id, last_net, last_ip_port, country_code FROM nodes) TO ${file};
    ${insert([6, 7, 8, 9, 10, 11, 12, 13, 14], 'DE', '')}`);
}

/**
 * Commits a last change, and waits until the follower knows it: notifications come in the order of commits.
 */
async function quiet(known: KnownNodes, number: number): Promise<void> {
  const address = `5.9.${number >>> 8}.${number & 255}:1`;
  await postgres.client.query(
    `DELETE FROM nodes WHERE id = decode('${FENCE_ID}', 'hex');
     INSERT INTO nodes (id, last_net, last_ip_port, country_code)
     VALUES (decode('${FENCE_ID}', 'hex'), '5.9.9.0', '${address}', 'DE')`,
  );
  const ip = address.split(':')[0]!;
  await until(`fence ${number}`, () => known.rows.get(FENCE_ID)?.[0]?.includes(`"${ip}"`) === true);
}

describe.each(['plain', 'partitioned'] as const)('of a %s table', kind => {
  let source: RowSource;
  let known: KnownNodes;
  let follower: ChangeFollower;
  let writers: PostgresClient[];
  let fences = 0;

  beforeAll(async () => {
    await makeTable(kind);
    const options = postgresSource({ connectionString: postgres.connectionString });
    await changeTriggers(options, { attributes: ATTRIBUTES });
    source = openPostgresSource(options);
    known = new KnownNodes(source, ATTRIBUTES);
    follower = new ChangeFollower(
      request => followChanges(resolvePostgres(options), { ...request, attributes: ATTRIBUTES }, TIMES),
      (change, signal) => known.apply(change, signal),
    );
    await follower.heard('missed', 1);
    writers = [
      await connectClient(postgres.connectionString, 'a'),
      await connectClient(postgres.connectionString, 'b'),
    ];
  });

  afterAll(async () => {
    await follower.stop();
    for (const writer of writers) await writer.end();
    await source.close();
  });

  test('everything is known after any transactions of two sessions', async () => {
    const property = fc.asyncProperty(session, session, async (first, second) => {
      await Promise.all([run(writers[0]!, first, kind), run(writers[1]!, second, kind)]);
      await quiet(known, ++fences);
      expect(known.rows).toEqual(await known.truth());
    });
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
    // It was the feed, and not full reads, that did it.
    expect(follower.of('nodes').length).toBeGreaterThan(RUNS);
  });

  test('also when the session that listens is ended in the middle', async () => {
    const missedCount = follower.of('missed').length;
    const transactions = fc.sample(session, { numRuns: 6, seed: SEED }).flat();
    const half = Math.floor(transactions.length / 2);
    const writing = run(writers[0]!, transactions.slice(0, half), kind).then(() =>
      run(writers[0]!, transactions.slice(half), kind),
    );
    const { rows } = await postgres.client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'sortition' AND query LIKE 'WITH RECURSIVE tree%'`,
    );
    expect(rows).toHaveLength(1);
    await writing;
    await follower.heard('missed', missedCount + 1);
    await quiet(known, ++fences);
    expect(known.rows).toEqual(await known.truth());
  });
});

describe('after the server', () => {
  test('lost a process to SIGKILL, and all sessions with it, the follower finds back', async () => {
    await makeTable('plain');
    const options = postgresSource({ connectionString: postgres.connectionString });
    await changeTriggers(options, { attributes: ATTRIBUTES });
    const source = openPostgresSource(options);
    const known = new KnownNodes(source, ATTRIBUTES);
    const follower = new ChangeFollower(
      request => followChanges(resolvePostgres(options), { ...request, attributes: ATTRIBUTES }, TIMES),
      (change, signal) => known.apply(change, signal),
    );
    await follower.heard('missed', 1);
    const { rows } = await postgres.client.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity
        WHERE application_name = 'sortition' AND query LIKE 'WITH RECURSIVE tree%'`,
    );
    process.kill(rows[0]!.pid, 'SIGKILL');
    await until('it is noticed', () => (follower.status?.failureCount ?? 0) > 0);
    await follower.heard('missed', 2);
    const writer = await connectClient(postgres.connectionString, 'writer');
    await writer.query(`UPDATE nodes SET country_code = 'XX'`);
    await until('the change', () => [...known.rows.values()].every(texts => texts.join().includes('"XX"')));
    expect(known.rows).toEqual(await known.truth());
    await writer.end();
    await follower.stop();
    await source.close();
  });
});
