import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { freePort } from '../../../src/server/demo/free-port.ts';
import { seedNodes } from '../../../src/server/demo/nodes-table.ts';
import { population } from '../../../src/server/demo/population.ts';
import { openPostgresSource, postgresSource } from '../../../src/workers/source/postgres-source.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { checkAll, readAll } from '../../support/row-source.ts';

const PASSWORD = 'hunter2-never-to-be-seen';

let postgres: TestPostgres;
let silent: Server;
const silentSockets = new Set<Socket>();
let directory: string;

beforeAll(async () => {
  postgres = await startTestPostgres();
  await seedNodes(postgres.client, population({ seed: 3, nowMs: Date.now(), count: 200 }));
  await postgres.client.query(`
    CREATE ROLE reader LOGIN PASSWORD '${PASSWORD}';
    GRANT SELECT ON nodes TO reader;
    CREATE ROLE stranger LOGIN PASSWORD '${PASSWORD}';
    CREATE ROLE partial LOGIN PASSWORD '${PASSWORD}';
    GRANT SELECT (id, last_ip_port) ON nodes TO partial;
    CREATE VIEW slow AS SELECT n.*, pg_sleep(0.05)::text AS slept FROM nodes n;
    CREATE MATERIALIZED VIEW unfilled AS SELECT * FROM nodes WITH NO DATA`);
  await postgres.client.query('CREATE DATABASE closed');
  await postgres.client.query('REVOKE CONNECT ON DATABASE closed FROM PUBLIC');
  silent = createServer(socket => {
    silentSockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve));
  directory = await mkdtemp(join(tmpdir(), 'sortition-postgres-failures-'));
});

afterAll(async () => {
  for (const socket of silentSockets) socket.destroy();
  silent.close();
  await rm(directory, { recursive: true });
  await postgres.stop();
});

function opened(connectionString: string, options: Parameters<typeof postgresSource>[0] = {}) {
  return openPostgresSource(postgresSource({ connectionString, ...options }));
}

function silentPort(): number {
  const address = silent.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('a connection that fails', () => {
  const as = (user: string, password = PASSWORD) => postgres.url({ user, password });
  const cases: [
    what: string,
    url: () => string | Promise<string>,
    code: string,
    message: string,
    step: string,
  ][] = [
    [
      'to a port where nobody listens',
      async () => postgres.url({ port: await freePort() }),
      'SOURCE_UNAVAILABLE',
      'refuses connections',
      'connect',
    ],
    [
      'to a host that does not resolve',
      () => postgres.url({ host: 'no-such-host.invalid' }),
      'SOURCE_UNAVAILABLE',
      'no-such-host.invalid:',
      'connect',
    ],
    [
      'to a host that says nothing',
      () => postgres.url({ port: silentPort() }),
      'SOURCE_UNAVAILABLE',
      'did not answer within 500 ms',
      'connect',
    ],
    ['with a wrong password', () => as('reader', 'wrong'), 'SOURCE_DENIED', 'user "reader"', 'authenticate'],
    ['with an unknown user', () => as('nobody-here'), 'SOURCE_DENIED', '"nobody-here"', 'authenticate'],
    ['without a password', () => as('reader', ''), 'SOURCE_DENIED', 'user "reader"', 'authenticate'],
    [
      'to an unknown database',
      () => postgres.url({ database: 'elsewhere' }),
      'SOURCE_DENIED',
      '"elsewhere"',
      'database',
    ],
    [
      'to a database that it may not enter',
      () => postgres.url({ user: 'reader', password: PASSWORD, database: 'closed' }),
      'SOURCE_DENIED',
      '"closed"',
      'database',
    ],
    [
      'to a table that it may not read',
      () => as('stranger'),
      'SOURCE_DENIED',
      '"stranger" may not read',
      'relation',
    ],
    ['to columns that it may not read', () => as('partial'), 'SOURCE_DENIED', 'may not be read', 'columns'],
  ];

  test.each(cases)('%s has its code, and its step in the check', async (_what, url, code, message, step) => {
    const limits = message.endsWith('within 500 ms') ? { connectTimeoutMs: 500 } : {};
    const source = opened(await url(), limits);
    await expect(readAll(source)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    const failed = (await checkAll(source)).find(({ ok }) => !ok);
    expect(failed).toMatchObject({ name: step, hint: expect.stringMatching(/./) });
  });

  test('shows the password neither in the error nor in its causes nor in the description', async () => {
    for (const url of [
      as('reader', `${PASSWORD}x`),
      postgres.url({ password: PASSWORD, port: await freePort() }),
    ]) {
      const source = opened(url);
      const error: unknown = await readAll(source).catch((reason: unknown) => reason);
      const shown = inspect(
        { error, steps: await checkAll(source), source },
        { depth: 10, showHidden: true },
      );
      expect(shown).not.toContain(PASSWORD);
    }
  });

  test('recovers by itself on the next load', async () => {
    await postgres.client.query('ALTER ROLE reader NOLOGIN');
    const source = opened(as('reader'));
    await expect(readAll(source)).rejects.toMatchObject({ code: 'SOURCE_DENIED', retryable: true });
    await postgres.client.query('ALTER ROLE reader LOGIN');
    expect((await readAll(source)).rows.length).toBeGreaterThan(100);
  });

  test('reads the password from a file, afresh for each load', async () => {
    const passwordFile = join(directory, 'password');
    await writeFile(passwordFile, 'wrong\n');
    const source = opened(as('reader'), { passwordFile });
    await expect(readAll(source)).rejects.toMatchObject({ code: 'SOURCE_DENIED' });
    await writeFile(passwordFile, `${PASSWORD}\n`);
    expect((await readAll(source)).rows.length).toBeGreaterThan(100);
    await rm(passwordFile);
    await expect(readAll(source)).rejects.toMatchObject({
      code: 'SOURCE_DENIED',
      field: 'passwordFile',
      message: expect.stringContaining(passwordFile),
    });
  });

  test('uses the PG variables of the environment without a connection string', async () => {
    vi.stubEnv('PGHOST', '127.0.0.1');
    vi.stubEnv('PGPORT', String(postgres.port));
    vi.stubEnv('PGUSER', 'reader');
    vi.stubEnv('PGPASSWORD', PASSWORD);
    vi.stubEnv('PGDATABASE', 'postgres');
    try {
      const source = openPostgresSource(postgresSource());
      expect(source.description).toBe(`postgres: nodes of postgres at 127.0.0.1:${postgres.port}, as reader`);
      expect((await readAll(source)).rows.length).toBeGreaterThan(100);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe('a statement that fails', () => {
  test('by the statement timeout throws SOURCE_TIMEOUT that names the limit', async () => {
    const source = opened(postgres.connectionString, { table: 'slow', statementTimeoutMs: 100 });
    const failure = readAll(source, ['slept']);
    await expect(failure).rejects.toMatchObject({
      code: 'SOURCE_TIMEOUT',
      message: expect.stringContaining('statementTimeoutMs: 100'),
    });
  });

  test('on a materialized view without data says so', async () => {
    await expect(readAll(opened(postgres.connectionString, { table: 'unfilled' }))).rejects.toMatchObject({
      message: expect.stringContaining('has not been populated'),
    });
  });

  test('because the server ends the connection throws SOURCE_UNAVAILABLE', async () => {
    const applicationName = 'to be ended';
    const source = opened(postgres.connectionString, { table: 'slow', applicationName });
    const failure = readAll(source, ['slept']).catch((error: unknown) => error);
    await activeQuery(applicationName);
    await postgres.client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1',
      [applicationName],
    );
    expect(await failure).toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });
});

describe('an abort', () => {
  test('in the middle of a statement rejects at once, and the server stops working on it', async () => {
    const applicationName = 'to be aborted';
    const source = opened(postgres.connectionString, { table: 'slow', applicationName });
    const deadline = new AbortController();
    const failure = readAll(source, ['slept'], deadline.signal).catch((error: unknown) => error);
    await activeQuery(applicationName);
    const abortedAt = performance.now();
    deadline.abort(new DOMException('too late', 'TimeoutError'));
    expect(await failure).toMatchObject({ code: 'SOURCE_TIMEOUT' });
    expect(performance.now() - abortedAt).toBeLessThan(3_000);
    // The whole statement would take ten seconds.
    await backendCount(applicationName, 0);
    expect(performance.now() - abortedAt).toBeLessThan(5_000);
  });

  test('while it connects rejects at once', async () => {
    const source = opened(postgres.url({ port: silentPort() }), { connectTimeoutMs: 60_000 });
    const known = silentSockets.size;
    const deadline = new AbortController();
    const failure = readAll(source, [], deadline.signal).catch((error: unknown) => error);
    await expect.poll(() => silentSockets.size).toBeGreaterThan(known);
    deadline.abort();
    expect(await failure).toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining('stopped'),
    });
  });

  test('leaves no connection behind when the reader leaves in the middle', async () => {
    const applicationName = 'left';
    const query = `SELECT i::text AS id, '5.1.2.3' AS ip, 80 AS port FROM generate_series(1, 1000000) i`;
    const source = opened(postgres.connectionString, { query, applicationName });
    const signal = AbortSignal.timeout(30_000);
    for await (const _batch of source.read({ attributes: [], signal })) break;
    await backendCount(applicationName, 0);
  });
});

async function activeQuery(applicationName: string): Promise<void> {
  const text = `SELECT count(*)::int AS count FROM pg_stat_activity
                 WHERE application_name = $1 AND state = 'active' AND query LIKE 'COPY%'`;
  await expect.poll(() => countOf(text, applicationName)).toBe(1);
}

async function backendCount(applicationName: string, count: number): Promise<void> {
  const text = 'SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = $1';
  await expect.poll(() => countOf(text, applicationName)).toBe(count);
}

async function countOf(text: string, applicationName: string): Promise<number> {
  const { rows } = await postgres.client.query<{ count: number }>(text, [applicationName]);
  return rows[0]?.count ?? -1;
}
