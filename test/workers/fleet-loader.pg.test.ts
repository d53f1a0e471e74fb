/**
 * What a fleet makes of demands on one loader: who answers, who refuses, and what followers make of
 * revocations.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openCache } from '../../src/workers/cache.ts';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import { connectClient } from '../../src/workers/source/postgres/client.ts';
import { runTriggerScript, triggerScript } from '../../src/workers/source/postgres/triggers/install.ts';
import { postgresSource } from '../../src/workers/source/postgres-source.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { createRelayTable, RELAY_SOURCE } from '../support/relay-table.ts';
import { until } from '../support/until.ts';

let postgres: TestPostgres;
const caches: Cache[] = [];
let fleets = 0;
let leader: Cache;
let follower: Cache;

beforeAll(async () => {
  postgres = await startTestPostgres();
  await createRelayTable(postgres.client);
  const source = { ...RELAY_SOURCE, kind: 'postgres', connectionString: postgres.connectionString } as const;
  const request = { attributes: [], remove: false, signal: new AbortController().signal };
  await runTriggerScript(source, request, await triggerScript(source, request));
});
afterAll(() => postgres?.stop());

/** Two caches of a fleet of their own: the first may lead, the second only if it is told that it may. */
async function openFleet({ secondMayLead = false } = {}): Promise<void> {
  const name = `fleet-${++fleets}`;
  const fleet = { name, bus: { kind: 'postgres', url: postgres.connectionString } } as const;
  leader = await open({ fleet });
  await until('the first leads', () => leader.status().fleet?.role === 'leader');
  follower = await open({ fleet: { ...fleet, mayLead: secondMayLead } });
  await inStep();
}

async function open(options: Partial<CacheOptions>): Promise<Cache> {
  const cache = await openCache({
    source: postgresSource({ connectionString: postgres.connectionString, ...RELAY_SOURCE }),
    capacity: { nodes: 20_000 },
    refresh: { everyMs: 3_600_000 },
    ...options,
  });
  caches.push(cache);
  return cache;
}

const digest = (cache: Cache) => cache.status().fleet?.digest;

function inStep(): Promise<void> {
  return until('the second holds what the first holds', () => {
    const { fleet } = follower.status();
    return fleet !== undefined && fleet.lost === undefined && digest(leader) === fleet.digest;
  });
}

beforeEach(() => openFleet());
afterEach(async () => {
  await Promise.all(caches.splice(0).map(cache => cache.close()));
  await postgres.client.query('UPDATE relays SET disqualified = NULL');
});

describe('a replica that follows', () => {
  test('refuses what only the one that reads can do, and says so', async () => {
    expect(await follower.refresh()).toMatchObject({ ok: false, error: { code: 'NOT_LEADER' } });
    await expect(follower.override(['drop'], 60_000)).rejects.toMatchObject({ code: 'NOT_LEADER' });
  });

  test('holds a revocation until the leader says that the source has confirmed it', async () => {
    const [node] = leader.select({ count: 1 }).nodes;
    const id = Buffer.from(node!.id, 'hex');
    await follower.revoke([node!.id]);
    await until('both hold it', () => leader.status().revoked === 1 && follower.status().revoked === 1);
    await postgres.client.query('UPDATE relays SET port = port % 60000 + 1 WHERE id = $1', [id]);
    const port = (cache: Cache) => cache.lookup([node!.id]).nodes[0]?.port;
    await until('both have its new port', () => [leader, follower].every(one => port(one) !== node!.port));
    expect([leader.status().revoked, follower.status().revoked]).toEqual([1, 1]);
    await postgres.client.query('UPDATE relays SET disqualified = now() WHERE id = $1', [id]);
    await until('neither holds it', () => leader.status().revoked + follower.status().revoked === 0);
    expect(follower.lookup([node!.id]).unknown).toEqual([node!.id]);
  });

  test('drops a node that the source says is out, though nobody revoked it', async () => {
    const [node] = follower.select({ count: 1 }).nodes;
    const id = Buffer.from(node!.id, 'hex');
    await postgres.client.query('UPDATE relays SET disqualified = now() WHERE id = $1', [id]);
    await until('it is gone', () => follower.lookup([node!.id]).unknown.length === 1);
    await postgres.client.query('UPDATE relays SET disqualified = NULL WHERE id = $1', [id]);
    await until('it is back', () => follower.lookup([node!.id]).nodes[0]?.pool === node!.pool);
    expect([leader.status().revoked, follower.status().revoked]).toEqual([0, 0]);
  });
});

describe('a replica that loses its lease while a load hangs', () => {
  test('answers whoever waits for a load, and follows; both go on when the table can be read', async () => {
    await Promise.all(caches.splice(0).map(cache => cache.close()));
    await openFleet({ secondMayLead: true });
    const other = await connectClient(postgres.connectionString, 'sortition test');
    try {
      await other.query('BEGIN');
      await other.query('LOCK TABLE relays IN ACCESS EXCLUSIVE MODE');
      const first = leader.refresh();
      await until('it loads', () => leader.status().state === 'loading');
      const second = leader.refresh();
      await until('it leads no longer', async () => {
        await postgres.client.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'sortition election'`,
        );
        return leader.status().fleet?.role === 'follower';
      });
      expect(await first).toMatchObject({ ok: false });
      expect(await second).toMatchObject({ ok: false, error: { code: 'NOT_LEADER' } });
    } finally {
      await other.query('ROLLBACK');
      await other.end();
    }
    const roles = () => [leader, follower].map(cache => cache.status().fleet?.role);
    await until('there is one leader', () => roles().toSorted().join() === 'follower,leader');
    if (leader.status().fleet?.role === 'follower') [leader, follower] = [follower, leader];
    expect(await leader.refresh()).toMatchObject({ ok: true });
    await inStep();
  });
});
