/**
 * A fleet whose leader dies, sleeps, loses its election's session, or leaves: another one leads soon, nothing
 * is lost, and whoever comes back does no harm.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FleetProcess } from '../support/fleet-process.ts';
import { FleetScene, untilAsked } from '../support/fleet-scene.ts';
import { until } from '../support/until.ts';

const REPLICAS = 3;
/** The lease is 2 s; what the election takes is measured by the bench, on an idle machine. */
const NEW_LEADER_MS = 20_000;

let scene: FleetScene;
beforeAll(async () => {
  scene = await FleetScene.start('redis');
  await scene.addAll(REPLICAS);
});
afterAll(() => scene?.stop());

const others = (than: FleetProcess) => scene.living.filter(replica => replica !== than);

/** Another replica leads, in a higher epoch; returns it. */
async function successor(of: FleetProcess, epoch: number): Promise<FleetProcess> {
  const next = () => others(of).find(({ isLeader, fleet }) => isLeader && fleet!.epoch > epoch);
  await until('another one leads', () => next() !== undefined, NEW_LEADER_MS);
  return next()!;
}

describe('a fleet', () => {
  test('has another leader soon when its own is killed, and goes on', async () => {
    const leader = await scene.leader();
    const { epoch } = leader.fleet!;
    await scene.churn();
    await leader.kill();
    await scene.churn();
    await successor(leader, epoch);
    await scene.converged();
    // In its place comes another process.
    await scene.add();
    await scene.churn();
    await scene.converged();
  });

  test('has another leader while its own sleeps, which follows when it wakes', async () => {
    const leader = await scene.leader();
    const { epoch } = leader.fleet!;
    const { terms } = leader.fleet!.counters;
    leader.pause();
    // It is told of these only when it wakes.
    await scene.churn(2);
    const next = await successor(leader, epoch);
    await scene.converged(undefined, others(leader));
    const { epoch: nextEpoch } = next.fleet!;
    await scene.churn();
    leader.resume();
    await scene.churn();
    await until('it follows', () => leader.fleet?.role === 'follower');
    await scene.converged();
    expect(next.isLeader).toBe(true);
    expect(next.fleet!.epoch).toBe(nextEpoch);
    expect(leader.fleet!.epoch).toBe(nextEpoch);
    expect(leader.fleet!.counters.terms).toBe(terms);
  });

  test('has a leader again when the server ends the session of its election', async () => {
    const { epoch } = (await scene.leader()).fleet!;
    const { rows } = await scene.postgres.client.query(
      `SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity
        WHERE application_name = 'sortition election'`,
    );
    expect((rows as { n: number }[])[0]!.n).toBeGreaterThanOrEqual(1);
    await scene.churn();
    await until(
      'somebody leads a new epoch',
      () => scene.living.some(({ isLeader, fleet }) => isLeader && fleet!.epoch > epoch),
      NEW_LEADER_MS,
    );
    await scene.converged();
  });

  test('has another leader when its own leaves in order, and loses its sessions with it', async () => {
    const leader = await scene.leader();
    const { epoch } = leader.fleet!;
    await leader.close();
    await scene.churn();
    await successor(leader, epoch);
    await scene.converged();
    await scene.add();
    await scene.converged();
    // Whoever follows keeps none; a newcomer may have stood before it had heard of the leader.
    await untilAsked("the session is the leader's alone", async () => {
      const { rows } = await scene.postgres.client.query(
        `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'sortition election'`,
      );
      return (rows[0] as { n: number }).n === 1;
    });
  });
});
