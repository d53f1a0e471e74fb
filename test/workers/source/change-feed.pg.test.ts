/**
 * The feed over its life: which mode it takes and why, that it comes back from whatever happens, and that it
 * then says that something may have been missed.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { seedNodes } from '../../../src/server/demo/nodes-table.ts';
import { population } from '../../../src/server/demo/population.ts';
import { type FeedTimes, followChanges } from '../../../src/workers/source/postgres/feed/change-feed.ts';
import { type PostgresSourceOptions, resolvePostgres } from '../../../src/workers/source/postgres/options.ts';
import { openPostgresSource, postgresSource } from '../../../src/workers/source/postgres-source.ts';
import { ChangeFollower } from '../../support/change-follower.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { checkAll } from '../../support/row-source.ts';
import { TcpFaultProxy } from '../../support/tcp-fault-proxy.ts';
import { changeTriggers } from '../../support/trigger-listener.ts';
import { until } from '../../support/until.ts';

/** The product's, shorter. */
const TIMES: FeedTimes = {
  askEveryMs: 100,
  answerMs: 2_000,
  echoMs: 2_000,
  retryFirstMs: 5,
  retryLongestMs: 100,
  findEveryMs: 200,
};

const COMMITS = 200;

let postgres: TestPostgres;
let ids: string[];

beforeAll(async () => {
  postgres = await startTestPostgres();
  await seedNodes(postgres.client, population({ seed: 4, nowMs: Date.now(), count: 500 }));
  await postgres.client.query(`ALTER TABLE nodes RENAME TO population`);
});
afterAll(() => postgres.stop());

beforeEach(async () => {
  await until('the sessions of the test before have ended', async () => (await sessions()) === 0);
  await postgres.client.query(`DROP TABLE IF EXISTS nodes CASCADE;
    CREATE TABLE nodes (LIKE population INCLUDING ALL); INSERT INTO nodes SELECT * FROM population;
    UPDATE nodes SET updated_at = now() - interval '1 day'`);
  const { rows } = await postgres.client.query<{ id: Buffer }>(
    `SELECT id FROM nodes WHERE disqualified IS NULL AND exit_finished_at IS NULL AND free_disk > 5e9
        AND last_contact_success > now() - interval '2 hours' AND offline_suspended IS NULL
        AND unknown_audit_suspended IS NULL AND exit_initiated_at IS NULL AND type = 2`,
  );
  ids = rows.map(({ id }) => id.toString('hex'));
});

async function sessions(): Promise<number> {
  const { rows } = await postgres.client.query(
    `SELECT FROM pg_stat_activity WHERE application_name = 'sortition'`,
  );
  return rows.length;
}

type Options = Partial<Omit<PostgresSourceOptions, 'kind'>>;

function source(options: Options = {}): PostgresSourceOptions {
  return postgresSource({ connectionString: postgres.connectionString, pollMs: 50, ...options });
}

function follow(options: Options = {}, times: FeedTimes = TIMES): ChangeFollower {
  return new ChangeFollower(request =>
    followChanges(resolvePostgres(source(options)), { ...request, attributes: ['country'] }, times),
  );
}

async function connected(follower: ChangeFollower, mode: string): Promise<void> {
  await until(`mode ${mode}`, () => follower.status?.connected === true && follower.status.mode === mode);
}

async function write(set: string, ...some: string[]): Promise<void> {
  await postgres.client.query(`UPDATE nodes SET ${set} WHERE encode(id, 'hex') = ANY ($1)`, [some]);
}

/** Ends the sessions that listen. Returns how many there were. */
async function endListeners(): Promise<number> {
  const { rows } = await postgres.client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'sortition' AND query LIKE 'WITH RECURSIVE tree%'`,
  );
  return rows.length;
}

describe('the mode', () => {
  test('is triggers where they are, then what changes comes at once, with who is out', async () => {
    await changeTriggers(source());
    const follower = follow();
    await follower.heard('missed', 1);
    await write(`country_code = 'XX'`, ids[0]!, ids[1]!);
    await write('free_disk = 0', ids[1]!);
    await write('email = email', ids[2]!);
    await postgres.client.query('DELETE FROM nodes WHERE id = $1', [Buffer.from(ids[3]!, 'hex')]);
    await until('the deletion', () => follower.marks().has(ids[3]!));
    expect(follower.marks()).toEqual(
      new Map([ids[0]!, ids[1]!, ids[3]!].map((id, i) => [id, Number(i > 0)])),
    );
    const [first] = follower.of('nodes');
    expect(Math.abs(first!.writtenAtUnixMs! - Date.now())).toBeLessThan(10_000);
    expect(follower.status).toMatchObject({
      wanted: 'auto',
      mode: 'triggers',
      connected: true,
      declined: [],
    });
    await follower.heard('alive', 2);
    await follower.stop();
    expect(follower.of('missed')).toHaveLength(1);
  });

  test('is updated-at without triggers, none without such a column, and says why', async () => {
    const polled = follow();
    await polled.heard('missed', 1);
    expect(polled.status).toMatchObject({
      mode: 'updated-at',
      declined: [{ mode: 'triggers', reason: expect.stringContaining('run `sortition install-triggers`') }],
    });
    await polled.stop();
    await postgres.client.query('ALTER TABLE nodes DROP updated_at');
    const none = follow();
    await connected(none, 'none');
    expect(none.status?.declined).toEqual([
      { mode: 'triggers', reason: expect.stringContaining('not installed') },
      { mode: 'updated-at', reason: expect.stringContaining('columns.updatedAt') },
    ]);
    await none.stop();
    expect(none.changes).toEqual([]);
  });

  test.each([
    [{ changes: 'triggers' as const }, 'triggers', 'not installed'],
    [{ changes: 'updated-at' as const, columns: { updatedAt: null } }, 'updated-at', 'switched off'],
  ])('%j that is not possible is tried again, and fails the check', async (options, mode, reason) => {
    const follower = follow(options);
    await until('three failures', () => (follower.status?.failureCount ?? 0) >= 3);
    expect(follower.status).toMatchObject({
      wanted: mode,
      connected: false,
      lastError: { code: 'SOURCE_SCHEMA', message: expect.stringContaining(reason) },
    });
    const failed = (await checkAll(openPostgresSource(source(options)))).filter(({ ok }) => !ok);
    expect(failed).toMatchObject([{ name: 'changes', detail: expect.stringContaining(reason) }]);
    if (mode === 'triggers') {
      await changeTriggers(source());
      await follower.heard('missed', 1);
    }
    await follower.stop();
  });

  test('none says nothing, connects to nothing, and ends', async () => {
    const follower = follow({ changes: 'none', connectionString: 'postgres://nobody@127.0.0.1:1/none' });
    await until('a status', () => follower.status?.connected === true);
    expect(follower.status).toMatchObject({ wanted: 'none', mode: 'none', failureCount: 0 });
    await follower.stop();
    expect(follower.changes).toEqual([]);
  });

  test('becomes better when the triggers are installed, and worse when they are removed', async () => {
    const follower = follow();
    await connected(follower, 'updated-at');
    await changeTriggers(source());
    await connected(follower, 'triggers');
    await follower.heard('missed', 2);
    await write(`country_code = 'XX'`, ids[0]!);
    await until('the node', () => follower.marks().get(ids[0]!) === 0);
    await changeTriggers(source(), { remove: true });
    await connected(follower, 'updated-at');
    await follower.heard('missed', 3);
    await follower.stop();
  });

  test('is said by the check, with how to get a better one', async () => {
    const detail = async (options: Options = {}) => {
      const steps = await checkAll(openPostgresSource(source(options)), ['country']);
      return steps.find(({ name }) => name === 'changes')?.detail;
    };
    expect(await detail()).toMatch(
      new RegExp(
        '^known within 50 ms, by polling "updated_at".*CREATE INDEX CONCURRENTLY ON public\\.nodes ' +
          '\\("updated_at"\\)\\. triggers: they are not installed: run `sortition install-triggers`$',
      ),
    );
    await postgres.client.query('CREATE INDEX ON nodes (updated_at)');
    expect(await detail()).not.toContain('CREATE INDEX');
    expect(await detail({ changes: 'none' })).toBe('known at full loads only: as configured');
    await changeTriggers(source());
    expect(await detail()).toMatch(/^known at once, by triggers, over the channel sortition_/);
  });
});

test('a commit is known, and its rows are there, within milliseconds', async () => {
  await changeTriggers(source());
  const reader = openPostgresSource(source());
  const committedMs: number[] = [];
  const knownMs: number[] = [];
  const thereMs: number[] = [];
  const follower = new ChangeFollower(
    request => followChanges(resolvePostgres(source()), { ...request, attributes: ['country'] }),
    async (change, signal) => {
      if (change.kind !== 'nodes') return;
      knownMs.push(performance.now());
      for await (const _batch of reader.readNodes!(change.ids, { attributes: ['country'], signal }));
      thereMs.push(performance.now());
    },
  );
  await follower.heard('missed', 1);
  for (let i = 0; i < COMMITS; i++) {
    await write(`country_code = 'A${i % 10}'`, ids[i % ids.length]!);
    // The change may come before the answer to the commit does.
    committedMs.push(performance.now());
    await until('its rows', () => thereMs.length === i + 1);
  }
  await follower.stop();
  await reader.close();
  const quantile = (timesMs: readonly number[], share: number) =>
    timesMs.map((ms, i) => ms - committedMs[i]!).sort((a, b) => a - b)[Math.floor(share * COMMITS)]!;
  const shown = (timesMs: readonly number[]) =>
    `p50 ${quantile(timesMs, 0.5).toFixed(2)} ms, p99 ${quantile(timesMs, 0.99).toFixed(2)} ms`;
  process.stdout.write(
    `${COMMITS} commits to the change: ${shown(knownMs)}; to its rows: ${shown(thereMs)}\n`,
  );
  // How long it takes is for bench:fresh to say; this is a notification, and no poll.
  expect(quantile(thereMs, 0.5)).toBeLessThan(250);
});

describe('the feed goes on after', () => {
  test('the end of its session, by the administrator', async () => {
    await changeTriggers(source());
    const follower = follow();
    await follower.heard('missed', 1);
    await until('alive', () => follower.of('alive').length > 1);
    expect(await endListeners()).toBe(1);
    await follower.heard('missed', 2);
    await write(`country_code = 'XX'`, ids[0]!);
    await until('the node', () => follower.marks().has(ids[0]!));
    expect(follower.status).toMatchObject({ failureCount: 1, lastError: { code: 'SOURCE_UNAVAILABLE' } });
    await follower.stop();
  });

  test.each(['triggers', 'updated-at'] as const)('a black hole, in mode %s', async mode => {
    await changeTriggers(source());
    const proxy = await TcpFaultProxy.open({ host: '127.0.0.1', port: postgres.port });
    const connectionString = postgres.url({ port: proxy.port });
    const follower = follow({
      connectionString,
      changes: mode,
      statementTimeoutMs: 500,
      connectTimeoutMs: 300,
    });
    await follower.heard('missed', 1);
    proxy.swallow('both');
    await until('it is noticed', () => follower.status?.connected === false);
    await write(`country_code = 'XX', updated_at = now()`, ids[0]!);
    proxy.mend();
    await follower.heard('missed', 2);
    await write(`country_code = 'YY', updated_at = now()`, ids[1]!);
    await until('the node', () => follower.marks().has(ids[1]!));
    await follower.stop();
    await proxy.close();
  });

  test('a network that cuts and refuses, with waits that do not hammer', async () => {
    await changeTriggers(source());
    const proxy = await TcpFaultProxy.open({ host: '127.0.0.1', port: postgres.port });
    const follower = follow({ connectionString: postgres.url({ port: proxy.port }) });
    await follower.heard('missed', 1);
    proxy.refuse();
    proxy.cut();
    await until('ten failures', () => (follower.status?.failureCount ?? 0) >= 10);
    const [before, started] = [proxy.acceptedCount, performance.now()];
    await until('five more', () => proxy.acceptedCount >= before + 5);
    // The longest wait is 100 ms, and each is a random part of it.
    expect(performance.now() - started).toBeGreaterThan(20);
    proxy.mend();
    await follower.heard('missed', 2);
    await follower.stop();
    await proxy.close();
  });

  test('triggers that were dropped, replaced, or switched off for a moment', async () => {
    await changeTriggers(source());
    const follower = follow();
    let missedCount = 1;
    for (const statements of [
      'ALTER TABLE nodes DISABLE TRIGGER ALL; ALTER TABLE nodes ENABLE TRIGGER ALL',
      'ALTER TABLE nodes ADD more int',
      'CREATE TABLE heir () INHERITS (nodes); DROP TABLE heir',
    ]) {
      await follower.heard('missed', missedCount++);
      await connected(follower, 'triggers');
      await postgres.client.query(statements);
    }
    // The last one left no trace.
    await postgres.client.query('DROP TRIGGER sortition_update ON nodes');
    await connected(follower, 'updated-at');
    await changeTriggers(source());
    await connected(follower, 'triggers');
    await follower.stop();
  });

  test('a table that was dropped, and made again', async () => {
    await changeTriggers(source());
    const follower = follow();
    await follower.heard('missed', 1);
    await postgres.client.query('ALTER TABLE nodes RENAME TO hidden');
    await until('it is noticed', () => follower.status?.connected === false);
    expect(follower.status?.lastError?.code).toBe('SOURCE_SCHEMA');
    await postgres.client.query('ALTER TABLE hidden RENAME TO nodes');
    await connected(follower, 'triggers');
    await follower.stop();
  });

  test('a truncation, a flood, and what it cannot read: each is one that everything was missed', async () => {
    const { channel } = await changeTriggers(source());
    const follower = follow();
    await follower.heard('missed', 1);
    await postgres.client.query('TRUNCATE nodes');
    await follower.heard('missed', 2);
    await postgres.client.query('SELECT pg_notify($1, $2)', [channel, 'forged']);
    await follower.heard('missed', 3);
    await postgres.client.query('INSERT INTO nodes SELECT * FROM population');
    await until('all nodes', () => follower.marks().size >= 500);
    expect(follower.of('missed').map(({ reason }) => reason)).toEqual([
      expect.stringContaining('listened to from now on'),
      'the table was truncated',
      expect.stringContaining('cannot be read'),
    ]);
    await follower.stop();
  });

  test('a consumer that was busy: what came meanwhile is gathered', async () => {
    await changeTriggers(source());
    const busy = Promise.withResolvers<void>();
    const follower = new ChangeFollower(
      request => followChanges(resolvePostgres(source()), { ...request, attributes: ['country'] }, TIMES),
      () => busy.promise,
    );
    await follower.heard('missed', 1);
    for (const id of ids.slice(0, 50)) await write(`country_code = 'XX'`, id);
    busy.resolve();
    await until('all of them', () => follower.marks().size === 50);
    expect(follower.of('nodes').length).toBeLessThan(10);
    await follower.stop();
  });
});

describe('a pooler that does not let notifications through', () => {
  /**
   * Leaves the messages out by which a server notifies, but for those in the answer to a statement: what a
   * session notifies itself gets through such a pooler.
   */
  function withoutNotifications(): (chunk: Buffer) => Buffer {
    let rest = Buffer.alloc(0);
    let answered = true;
    return chunk => {
      rest = Buffer.concat([rest, chunk]);
      const kept: Buffer[] = [];
      while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
        const end = 1 + rest.readInt32BE(1);
        const type = String.fromCharCode(rest[0]!);
        if (type !== 'A' || !answered) kept.push(rest.subarray(0, end));
        if (type !== 'A') answered = type === 'Z';
        rest = rest.subarray(end);
      }
      return Buffer.concat(kept);
    };
  }

  test('is found out; the next best way is taken, and it is not left for another try', async () => {
    await changeTriggers(source());
    const proxy = await TcpFaultProxy.open({ host: '127.0.0.1', port: postgres.port });
    proxy.transform('toClient', withoutNotifications);
    const options = { connectionString: postgres.url({ port: proxy.port }) };
    const follower = follow(options);
    await connected(follower, 'updated-at');
    expect(follower.status?.declined).toEqual([
      { mode: 'triggers', reason: expect.stringMatching(/pooler in transaction mode.*server itself/) },
    ]);
    const tries = proxy.acceptedCount;
    await until('two more tries', () => proxy.acceptedCount >= tries + 4);
    await write(`updated_at = now()`, ids[0]!);
    await until('the node', () => follower.marks().has(ids[0]!));
    await follower.stop();
    expect(follower.of('missed')).toHaveLength(1);
    const steps = await checkAll(openPostgresSource(source(options)), ['country']);
    expect(steps.find(({ name }) => name === 'changes')?.detail).toContain('pooler in transaction mode');
    await proxy.close();
  });
});

test('a signal that has aborted, or aborts in any state, ends the feed without an error', async () => {
  await changeTriggers(source());
  for (const options of [
    {},
    { changes: 'updated-at' as const },
    { connectionString: 'postgres://x@127.0.0.1:1/x' },
  ]) {
    for (const afterMs of [0, 3, 30, 120]) {
      const follower = follow(options);
      await new Promise(resolve => setTimeout(resolve, afterMs));
      await follower.stop();
    }
  }
  await expect
    .poll(async () => {
      const { rows } = await postgres.client.query(
        `SELECT 1 FROM pg_stat_activity WHERE application_name = 'sortition'`,
      );
      return rows.length;
    })
    .toBe(0);
});
