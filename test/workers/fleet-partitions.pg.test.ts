/**
 * A fleet some of whose replicas are cut off, from the bus or the database, one way or both, or sleep: the
 * others go on, whoever is cut off serves what it has, and all have the content of the table soon after.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FleetProcess } from '../support/fleet-process.ts';
import { FleetScene, sound, untilAsked } from '../support/fleet-scene.ts';
import type { Directions } from '../support/tcp-fault-proxy.ts';
import { until } from '../support/until.ts';

const REPLICAS = 3;
const WAYS: readonly Directions[] = ['toServer', 'toClient', 'both'];
/** A leader that is cut off is missed, and another one found. */
const NEW_LEADER_MS = 10_000;

let scene: FleetScene;
beforeAll(async () => {
  scene = await FleetScene.start('redis');
  await scene.addAll(REPLICAS);
});
afterAll(() => scene?.stop());

const others = (than: FleetProcess) => scene.living.filter(replica => replica !== than);

const agesOf = (replicas: readonly FleetProcess[]) =>
  Promise.all(replicas.map(async replica => (await replica.ask('report')).ageMs));

/** Waits until what they serve has grown older by so much, and looks whether they serve it well. */
async function olderBy(ms: number, replicas: readonly FleetProcess[]): Promise<void> {
  const before = await agesOf(replicas);
  await untilAsked(`they are ${ms} ms older`, async () =>
    (await agesOf(replicas)).every((ageMs, i) => ageMs >= before[i]! + ms),
  );
  await Promise.all(replicas.map(sound));
}

describe('a follower that the bus is cut off from', () => {
  test.each(WAYS)('(%s) serves what it has, ever older, and is back in step afterwards', async directions => {
    await scene.leader();
    const [cutOff] = scene.followers;
    cutOff!.ways.toBus.swallow(directions);
    await scene.churn(2);
    await scene.converged(undefined, others(cutOff!));
    const failures = cutOff!.fleet!.counters.busFailed;
    await until('it has noticed', () => cutOff!.fleet!.counters.busFailed > failures);
    await olderBy(500, [cutOff!]);
    await scene.churn();
    cutOff!.ways.toBus.mend();
    await scene.converged();
  });
});

describe('a leader that is cut off', () => {
  test.each(WAYS)(
    'from the bus (%s) makes place for another, and follows it afterwards',
    async directions => {
      const leader = await scene.leader();
      const { epoch } = leader.fleet!;
      leader.ways.toBus.swallow(directions);
      await scene.churn();
      await newLeader(leader, epoch);
      await scene.churn();
      await scene.converged(undefined, others(leader));
      await sound(leader);
      leader.ways.toBus.mend();
      await scene.converged();
      expect(leader.isLeader).toBe(false);
    },
  );

  test.each(WAYS)(
    'from the database (%s) makes place for another, and follows it at once',
    async directions => {
      const leader = await scene.leader();
      const { epoch } = leader.fleet!;
      leader.ways.toPostgres.swallow(directions);
      await newLeader(leader, epoch);
      await scene.churn();
      // It needs the database for nothing any more.
      await scene.converged();
      leader.ways.toPostgres.mend();
      await scene.churn();
      await scene.converged();
    },
  );

  async function newLeader(than: FleetProcess, epoch: number): Promise<void> {
    const isNew = ({ isLeader, fleet }: FleetProcess) => isLeader && fleet!.epoch > epoch;
    await until('another one leads', () => others(than).some(isNew), NEW_LEADER_MS);
  }
});

describe('a fleet', () => {
  test('whose database is away serves what it has, ever older, and goes on when it is back', async () => {
    for (const { ways } of scene.living) {
      ways.toPostgres.refuse();
      ways.toPostgres.cut();
    }
    await until('nobody leads', () => scene.living.every(({ isLeader }) => !isLeader));
    await scene.churn(2);
    await olderBy(3_000, scene.living);
    for (const { ways } of scene.living) ways.toPostgres.mend();
    await scene.converged();
  });

  test('one of which has slept for ten seconds has it back in step when it wakes', async () => {
    await scene.leader();
    const [sleeper] = scene.followers;
    sleeper!.pause();
    const wakesAtMs = performance.now() + 10_000;
    while (performance.now() < wakesAtMs) {
      await scene.churn();
      await scene.converged(undefined, others(sleeper!));
    }
    sleeper!.resume();
    await scene.converged();
  });
});
