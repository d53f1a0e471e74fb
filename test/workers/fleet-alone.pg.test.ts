/**
 * A replica that nobody helps: neither bus nor election at its start; a loader thread that dies and knows
 * nothing of its fleet when it is there again.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { FleetProcess } from '../support/fleet-process.ts';
import { FleetScene, sound, untilAsked } from '../support/fleet-scene.ts';
import { until } from '../support/until.ts';

/** 10 to 20 seconds, and a pause between attempts. */
const UNPERMITTED_MS = 45_000;
const HOUR_MS = 3_600_000;

let scene: FleetScene;
beforeAll(async () => {
  scene = await FleetScene.start('redis');
});
afterAll(() => scene?.stop());
afterEach(() => scene.leave());

/** The thread that says so is the new one. */
function isBack({ status }: FleetProcess): boolean {
  const { fleet, restarts, state } = status!;
  return restarts === 1 && state === 'following' && fleet?.position !== undefined && fleet.lost === undefined;
}

/** A node of which the churn knows nothing. */
async function ownNode(): Promise<string> {
  const id = 'ab'.repeat(32);
  await scene.postgres.client.query(
    `INSERT INTO relays (id, ip, port, vetted, last_contact_success)
      VALUES (decode($1, 'hex'), '203.0.114.7', 1, true, now()) ON CONFLICT DO NOTHING`,
    [id],
  );
  await scene.converged();
  return id;
}

describe('a replica that starts while bus and election are away', () => {
  test('loads without a permit when it has waited long enough, and joins when they are there', async () => {
    const nowhere = { url: 'postgres://127.0.0.1:1/none' };
    const alone = await scene.add({ fleet: { election: nowhere }, before: ({ toBus }) => toBus.refuse() });
    await until('it has loaded', () => alone.fleet?.counters.ownLoads === 1, UNPERMITTED_MS);
    expect(alone.fleet!.counters.ownLoadsUnpermitted).toBe(1);
    await sound(alone);
    const { status } = await alone.ask('report');
    expect(status.fleet!.problems.map(({ about }) => about)).toContain('bus');
    alone.ways.toBus.mend();
    await scene.add();
    await scene.leader();
    await scene.churn();
    await scene.converged(UNPERMITTED_MS);
    expect((await alone.ask('report')).status.fleet!.problems).not.toContainEqual(
      expect.objectContaining({ about: 'bus' }),
    );
  });
});

describe('a replica whose loader thread dies', () => {
  test('finds what it serves in the log again, without a snapshot', async () => {
    await scene.addAll(2);
    await scene.leader();
    // So that the snapshot that newcomers are pointed to is an old one.
    await scene.churn(3);
    await scene.converged();
    const [follower] = scene.followers;
    const { digest } = follower!;
    await follower!.ask('killLoader');
    await until('it is in step again', () => isBack(follower!));
    expect(follower!.digest).toBe(digest);
    expect(follower!.fleet!.counters).toMatchObject({ snapshotsTaken: 0, ownLoads: 0 });
    await scene.churn();
    await scene.converged();
    expect(follower!.fleet!.counters.snapshotsTaken).toBe(0);
  });

  test('keeps out what was out, and tells nobody of what it cannot know', async () => {
    await scene.addAll(2);
    const leader = await scene.leader();
    const [follower] = scene.followers;
    const id = await ownNode();
    expect(await leader.ask('canBePicked', { id })).toMatchObject({ isPicked: true });
    await follower!.ask('revoke', { ids: [id], holdMs: HOUR_MS });
    const isPicked = async (of = scene.living) =>
      await Promise.all(of.map(async replica => (await replica.ask('canBePicked', { id })).isPicked));
    await untilAsked('it is out everywhere', async () => !(await isPicked()).includes(true));
    await follower!.ask('killLoader');
    expect(await isPicked([follower!])).toEqual([false]);
    await until('it is in step', () => isBack(follower!));
    expect(await isPicked([follower!])).toEqual([false]);
    await leader.ask('restore', { ids: [id] });
    await untilAsked('it is back everywhere', async () => !(await isPicked()).includes(false));
    // Whoever had asked for it would have done so again by now.
    await scene.churn(2);
    await scene.converged();
    expect(await isPicked()).toEqual([true, true]);
    // And it leads as well as any other.
    await leader.close();
    expect(await scene.leader()).toBe(follower);
    await scene.churn();
    await scene.converged();
    expect(await isPicked()).toEqual([true]);
  });
});
