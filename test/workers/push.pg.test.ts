/**
 * Push from a real Postgres, end to end: what is committed is in the next selections without any load, the
 * content is that of a whole load, and no failure on the way costs truth.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openCache } from '../../src/workers/cache.ts';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import { connectClient } from '../../src/workers/source/postgres/client.ts';
import { runTriggerScript, triggerScript } from '../../src/workers/source/postgres/triggers/install.ts';
import { postgresSource } from '../../src/workers/source/postgres-source.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { applyChurn, churnOf, createRelayTable, RELAY_SOURCE } from '../support/relay-table.ts';
import { relayChurn } from '../support/relays.ts';
import { until } from '../support/until.ts';

let postgres: TestPostgres;
const caches: Cache[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  await createRelayTable(postgres.client);
  const source = { ...RELAY_SOURCE, kind: 'postgres', connectionString: postgres.connectionString } as const;
  const request = { attributes: ['country', 'exit'], remove: false, signal: new AbortController().signal };
  await runTriggerScript(source, request, await triggerScript(source, request));
});
afterAll(() => postgres?.stop());
afterEach(async () => {
  for (const cache of caches.splice(0)) await cache.close();
  // Whatever a test took out and did not bring back.
  await postgres.client.query('UPDATE relays SET disqualified = NULL WHERE disqualified IS NOT NULL');
});

async function open(options: Partial<CacheOptions> = {}): Promise<Cache> {
  const cache = await openCache({
    source: postgresSource({ connectionString: postgres.connectionString, ...RELAY_SOURCE }),
    capacity: { nodes: 20_000 },
    placements: { exits: { filter: { flags: { exit: true } } } },
    distinctAttributes: ['country'],
    ...options,
    refresh: { everyMs: 3_600_000, backoffFirstMs: 20, backoffLongestMs: 100, ...options.refresh },
  });
  caches.push(cache);
  return cache;
}

/** The digest of the content that is served, by what published it last. */
function contentOf(cache: Cache): string | undefined {
  const { lastDelta, lastLoad } = cache.status();
  const newest = (lastDelta?.generation ?? 0) > (lastLoad?.generation ?? 0) ? lastDelta : lastLoad;
  return newest?.contentDigest;
}

async function contentOfTable(): Promise<string> {
  const cache = await open();
  const content = contentOf(cache)!;
  await cache.close();
  return content;
}

describe('a cache of a table with triggers', () => {
  test('is what a load of the table would be, after every hour of churn, without loading', async () => {
    const cache = await open();
    expect(cache.status().changes).toMatchObject({ mode: 'triggers', connected: true });
    const other = await open();
    for (const hour of relayChurn()) {
      await applyChurn(postgres.client, churnOf(hour));
      await other.refresh();
      await until('the content is that of the table', () => contentOf(cache) === contentOf(other));
    }
    const { refreshes, deltas } = cache.status();
    expect(refreshes).toEqual({ succeeded: 1, failed: 0 });
    expect(deltas.failed).toBe(0);
    expect(deltas.published).toBeGreaterThan(30);
    // Deltas know of placements too: no exit is missing, and nothing else is there.
    const exits = await postgres.client.query(`SELECT count(*)::int AS n FROM relays WHERE exit = '1'`);
    const found = cache.select({ count: 1_000, placement: 'exits', distinct: 'none', fillWithNew: true });
    expect(found.nodes.length).toBe(Math.min(1_000, (exits.rows as { n: number }[])[0]!.n));
  });

  test('loses a disqualified node within moments, and has it again when that is taken back', async () => {
    const cache = await open();
    for (let round = 0; round < 20; round++) {
      const [node] = cache.select({ count: 1 }).nodes;
      const id = Buffer.from(node!.id, 'hex');
      await postgres.client.query('UPDATE relays SET disqualified = now() WHERE id = $1', [id]);
      await until('it is unknown', () => cache.lookup([node!.id]).unknown.length === 1);
      await postgres.client.query('UPDATE relays SET disqualified = NULL WHERE id = $1', [id]);
      await until('it is back', () => cache.lookup([node!.id]).unknown.length === 0);
    }
    expect(cache.status()).toMatchObject({ refreshes: { succeeded: 1, failed: 0 }, revoked: 0 });
    expect(cache.status().deltas.takenOut).toBeGreaterThanOrEqual(20);
  });

  test('is told nothing by check-ins, and is as young as the last word of its source', async () => {
    const cache = await open();
    const generation = cache.generation();
    await postgres.client.query('UPDATE relays SET last_contact_success = now()');
    let oldestMs = 0;
    await until('the age goes back', () => {
      oldestMs = Math.max(oldestMs, cache.ageMs());
      return cache.ageMs() < oldestMs;
    });
    expect(oldestMs).toBeGreaterThan(1_000);
    expect(cache.generation()).toBe(generation);
  });

  test('loses nothing when the connections of its loader are ended again and again', async () => {
    const cache = await open();
    for (const hour of relayChurn().slice(0, 6)) {
      await applyChurn(postgres.client, churnOf(hour));
      await postgres.client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sortition%'
            AND application_name <> 'sortition test' AND pid <> pg_backend_pid()`,
      );
    }
    const content = await contentOfTable();
    await until('the content is that of the table', () => contentOf(cache) === content);
  });

  test('does not follow a statement that takes most of its nodes away: that is for the guard', async () => {
    const cache = await open();
    const before = cache.status().nodes!.vetted;
    await postgres.client.query('UPDATE relays SET disqualified = now() WHERE vetted');
    await until('the guard has refused it', () => cache.status().guard?.refusing !== null);
    expect(cache.status().lastError).toMatchObject({ code: 'SNAPSHOT_REJECTED' });
    expect(cache.status().nodes!.vetted).toBeGreaterThanOrEqual(0.8 * before);
    expect(cache.select({ count: 110 }).nodes).toHaveLength(110);
    expect(cache.status().revoked).toBeLessThan(0.2 * before);
    await postgres.client.query('UPDATE relays SET disqualified = NULL');
    await until('all is well', () => cache.status().guard?.refusing === null && cache.status().revoked === 0);
  });
});

describe('a cache whose guard has refused what the source says', () => {
  test('grows older until that is published, and is then as young as before', async () => {
    const cache = await open();
    await postgres.client.query('UPDATE relays SET disqualified = now() WHERE vetted');
    await until('the guard has refused it', () => cache.status().guard?.refusing !== null);
    const atMs = performance.now();
    const ageMs = cache.ageMs();
    // Words of the source arrive all the while: none of them may make it younger.
    await until('the source was heard of', () => performance.now() - atMs > 3_000);
    expect(cache.ageMs() - ageMs).toBeGreaterThan(2_900);
    await postgres.client.query('UPDATE relays SET disqualified = NULL');
    await until('all is well', () => cache.status().guard?.refusing === null && cache.ageMs() < ageMs);
  });

  test('does not load at every further change: it waits for its next attempt', async () => {
    const cache = await open({ refresh: { backoffFirstMs: 3_600_000, backoffLongestMs: 3_600_000 } });
    await postgres.client.query('UPDATE relays SET disqualified = now() WHERE vetted');
    await until('the guard has refused it', () => cache.status().guard?.refusing !== null);
    for (let byte = 0; byte < 256; byte += 16) {
      const some = `get_byte(id, 0) BETWEEN ${byte} AND ${byte + 15}`;
      await postgres.client.query(`UPDATE relays SET disqualified = now() WHERE ${some}`);
    }
    const [node] = cache.select({ count: 1, fillWithNew: true }).nodes;
    await postgres.client.query('UPDATE relays SET port = port % 60000 + 1 WHERE id = $1', [
      Buffer.from(node!.id, 'hex'),
    ]);
    await until('what came last has been heard', () => (cache.status().changes?.mode ?? '') === 'triggers');
    expect(cache.status().refreshes.failed).toBeLessThanOrEqual(2);
    await postgres.client.query('UPDATE relays SET disqualified = NULL');
  });
});

describe('a node that an operator revoked', () => {
  test('stays out though the source tells of changes of it, until it is not eligible there', async () => {
    const cache = await open();
    const [node] = cache.select({ count: 1 }).nodes;
    const id = Buffer.from(node!.id, 'hex');
    await cache.revoke([node!.id]);
    await postgres.client.query('UPDATE relays SET port = port % 60000 + 1 WHERE id = $1', [id]);
    await until('the change is served', () => cache.lookup([node!.id]).nodes[0]?.port !== node!.port);
    await cache.refresh();
    expect(cache.status().revoked).toBe(1);
    await postgres.client.query('UPDATE relays SET disqualified = now() WHERE id = $1', [id]);
    await until('it is fulfilled', () => cache.status().revoked === 0);
    await postgres.client.query('UPDATE relays SET disqualified = NULL WHERE id = $1', [id]);
    await until('it is back', () => cache.lookup([node!.id]).nodes[0]?.pool === node!.pool);
  });

  test('leaves no room for those of the source: they wait for their delta, and nothing fails', async () => {
    const cache = await open();
    await cache.revoke(Array.from({ length: 4_096 }, (_, i) => i.toString(16).padStart(64, '0')));
    const [node] = cache.select({ count: 1 }).nodes;
    const id = Buffer.from(node!.id, 'hex');
    await postgres.client.query('UPDATE relays SET disqualified = now() WHERE id = $1', [id]);
    await until('it is gone', () => cache.lookup([node!.id]).unknown.length === 1);
    expect(cache.status()).toMatchObject({ revoked: 4_096, restarts: 0 });
    await postgres.client.query('UPDATE relays SET disqualified = NULL');
  });
});

describe('a node whose last contact gets too old', () => {
  const AGED = `UPDATE relays SET last_contact_success = now() - interval '1 hour' + interval '8 seconds'
                 WHERE id IN (SELECT id FROM relays WHERE vetted ORDER BY id LIMIT 5)
                 RETURNING encode(id, 'hex')`;

  async function openAged(connectionString: string): Promise<{ cache: Cache; ids: string[] }> {
    const { client, end } = await connected(connectionString);
    await client.query(
      "UPDATE relays SET disqualified = NULL, last_contact_success = now() + interval '1 day'",
    );
    const aged = await client.query({ text: AGED, rowMode: 'array' });
    const cache = await open({
      source: postgresSource({ connectionString, ...RELAY_SOURCE }),
    });
    await end();
    return { cache, ids: (aged.rows as [string][]).map(([id]) => id) };
  }

  const poolsOf = (cache: Cache, ids: readonly string[]) => cache.lookup(ids).nodes.map(node => node?.pool);

  test('leaves selections by itself, and comes back when it has checked in', async () => {
    const { cache, ids } = await openAged(postgres.connectionString);
    expect(poolsOf(cache, ids)).toEqual(ids.map(() => 'vetted'));
    await until('they have left', () => poolsOf(cache, ids).every(pool => pool === 'ineligible'));
    expect(cache.status().refreshes.succeeded).toBe(1);
    await postgres.client.query('UPDATE relays SET last_contact_success = now() WHERE id = ANY ($1)', [
      ids.map(id => Buffer.from(id, 'hex')),
    ]);
    await until('they are back', () => poolsOf(cache, ids).every(pool => pool === 'vetted'));
    expect(cache.status().refreshes.succeeded).toBe(1);
  });

  test('that has checked in meanwhile stays, though nobody was told', async () => {
    const { cache, ids } = await openAged(postgres.connectionString);
    // Not by the triggers, so that only the question at the end of its time can tell.
    await postgres.client.query('ALTER TABLE relays DISABLE TRIGGER USER');
    await postgres.client.query('UPDATE relays SET last_contact_success = now()');
    await postgres.client.query('ALTER TABLE relays ENABLE TRIGGER USER');
    const opened = performance.now();
    await until('their time is over, and they were asked about', () => performance.now() - opened > 10_000);
    expect(poolsOf(cache, ids)).toEqual(ids.map(() => 'vetted'));
  });

  test('stays while the source does not answer: nobody can check in', async () => {
    const server = await startTestPostgres();
    let stopped = false;
    try {
      await createRelayTable(server.client);
      const { cache, ids } = await openAged(server.connectionString);
      await server.stop();
      stopped = true;
      await until('their time is over, and asking has failed', () => cache.status().deltas.failed > 0);
      expect(poolsOf(cache, ids)).toEqual(ids.map(() => 'vetted'));
      expect(cache.select({ count: 110 }).nodes).toHaveLength(110);
    } finally {
      if (!stopped) await server.stop();
    }
  });
});

async function connected(connectionString: string) {
  const client = await connectClient(connectionString, 'sortition test');
  return { client, end: () => client.end() };
}
