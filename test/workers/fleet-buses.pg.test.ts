/**
 * A fleet of four processes on each bus, without faults: hours of churn reach all of them, as does a
 * revocation that any of them is asked for, and its end.
 */
import { describe, expect, test } from 'vitest';
import { connectClient } from '../../src/workers/source/postgres/client.ts';
import type { FleetProcess } from '../support/fleet-process.ts';
import { BUS_KINDS, FleetScene, untilAsked } from '../support/fleet-scene.ts';
import { until } from '../support/until.ts';

const REPLICAS = 4;
const HOURS = 40;
/** After so many, everybody has to be where the table is. */
const HOURS_AT_ONCE = 4;
const SHORT_HOLD_MS = 600_000;

describe.each(BUS_KINDS)('a fleet over %s', kind => {
  test('has the content of the table on every replica, hour after hour, by one loader', async () => {
    const scene = await FleetScene.start(kind);
    try {
      await scene.addAll(REPLICAS);
      const leader = await scene.leader();
      for (let hour = 0; hour < HOURS; hour += HOURS_AT_ONCE) {
        await scene.churn(HOURS_AT_ONCE);
        await scene.converged();
      }
      expect(await scene.leader()).toBe(leader);
      for (const replica of scene.followers) {
        const { status } = await replica.ask('report');
        expect(status.refreshes).toEqual({ succeeded: 0, failed: 0 });
        // The bus may have been slow once where much else runs: that is no fault of it.
        const { counters } = status.fleet!;
        expect(counters, JSON.stringify(status.fleetNews)).toMatchObject({
          ownLoads: 0,
          mismatch: 0,
          hole: 0,
          gap: 0,
        });
        expect(status.fleet!.counters.deltasTaken).toBeGreaterThan(10);
      }
      await revokesEverywhere(scene);
      await dropsEverywhere(scene);
      await scene.converged();
    } finally {
      await scene.stop();
    }
  });
});

/** Asks a follower and has the leader take it back, then the other way round. */
async function revokesEverywhere(scene: FleetScene): Promise<void> {
  const { rows } = await scene.postgres.client.query(
    `SELECT encode(id, 'hex') AS id FROM relays WHERE vetted ORDER BY id LIMIT 1`,
  );
  const { id } = rows[0] as { id: string };
  const both = [scene.followers[0]!, await scene.leader()] as const;
  for (const [asked, other] of [both, both.toReversed() as [FleetProcess, FleetProcess]]) {
    expect(await asked.ask('revoke', { ids: [id] })).toEqual({ revoked: 1, notEligible: 0, already: 0 });
    expect(await asked.ask('canBePicked', { id })).toMatchObject({ isPicked: false });
    await all(scene, 'the node is out', id, false);
    // Over a generation in which the source has it as before.
    await scene.churn();
    await scene.converged();
    await all(scene, 'the node is out', id, false);
    expect(await other.ask('restore', { ids: [id] })).toBe(1);
    await all(scene, 'the node is back', id, true);
    // Again, for less time than before.
    await asked.ask('revoke', { ids: [id], holdMs: SHORT_HOLD_MS });
    await all(scene, 'the node is out', id, false);
    await other.ask('restore', { ids: [id] });
    await all(scene, 'the node is back', id, true);
    await until('all was said', () => scene.living.every(({ fleet }) => fleet!.askCount === 0));
  }
}

/** What the source says is out leaves every replica ahead of the delta, which cannot be read yet. */
async function dropsEverywhere(scene: FleetScene): Promise<void> {
  const { client, connectionString } = scene.postgres;
  const { rows } = await client.query(
    `SELECT encode(id, 'hex') AS id FROM relays WHERE vetted ORDER BY id DESC LIMIT 1`,
  );
  const { id } = rows[0] as { id: string };
  const locker = await connectClient(connectionString, 'sortition test');
  const digests = () => scene.living.map(({ digest }) => digest);
  const before = digests();
  try {
    await client.query('BEGIN');
    await client.query(`UPDATE relays SET disqualified = now() WHERE id = decode($1, 'hex')`, [id]);
    await locker.query('BEGIN');
    const locked = locker.query('LOCK TABLE relays IN ACCESS EXCLUSIVE MODE');
    await untilAsked('somebody waits for the table', async () => {
      const waiting = `SELECT pid FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`;
      return (await client.query(waiting)).rows.length > 0;
    });
    await client.query('COMMIT');
    await locked;
    await all(scene, 'the node is out', id, false);
    expect(digests()).toEqual(before);
  } finally {
    await locker.end();
  }
  await scene.converged();
  await all(scene, 'the node is out', id, false);
  await client.query(`UPDATE relays SET disqualified = NULL WHERE id = decode($1, 'hex')`, [id]);
  // By then nobody holds it out any more.
  await all(scene, 'the node is back', id, true);
  for (const replica of scene.living) {
    const { status } = await replica.ask('report');
    expect(status.revoked).toBe(0);
  }
}

async function all(scene: FleetScene, what: string, id: string, isPicked: boolean): Promise<void> {
  for (const replica of scene.living) {
    await untilAsked(`${what} on ${replica.name}`, async () => {
      return (await replica.ask('canBePicked', { id })).isPicked === isPicked;
    });
  }
}
