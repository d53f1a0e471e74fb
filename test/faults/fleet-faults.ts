/**
 * F25 to F34: what happens to the bus of a fleet and between its members. Whatever it is, the served one
 * serves what it has, with its true age, and is in step soon after; and the replicas have never seen what
 * they should not (`FleetScene.converged` asks them).
 */
import { openBus } from '../../src/workers/bus/open-bus.ts';
import { harmOf } from '../support/fleet-harm.ts';
import type { FleetProcess } from '../support/fleet-process.ts';
import { FLEET } from '../support/fleet-scene.ts';
import type { Directions, TcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import type { Fault, FaultRun } from './fault.ts';
import type { FleetServedScene } from './fleet-served-scene.ts';
import { FLEET_STEPS, placeOf, type Step } from './steps.ts';

type Run = FaultRun<FleetServedScene>;
type FleetFault = Fault<FleetServedScene>;

const CONVERGED_MS = 10_000;
const NEW_LEADER_MS = 10_000;
const DRIP_BYTES_PER_SECOND = 3_000;
const GARBAGE_BYTES = 300;

const busWays = ({ scene }: Run): TcpFaultProxy[] => [
  scene.ways.toBus,
  ...scene.fleet.living.map(({ ways }) => ways.toBus),
];

/** Mends, changes the table once more, and waits until all are in step. */
async function mended(run: Run, work: () => unknown): Promise<void> {
  const { scene } = run;
  await run.mend(
    async () => {
      await work();
      await scene.fleet.churn();
    },
    'the served one is in step',
    () => scene.isInStep(),
    CONVERGED_MS,
  );
  await scene.converged(CONVERGED_MS);
  run.check((await scene.status()).loader.restarts === 0, 'no loader thread has died of it');
}

async function busAway(run: Run): Promise<void> {
  const { scene, load } = run;
  for (const way of busWays(run)) {
    way.refuse();
    way.cut();
  }
  load.silentSince(performance.now());
  await scene.fleet.churn();
  await run.until(
    'it says that the bus has failed',
    async () => (await scene.member()).busFailure !== undefined,
  );
  await run.last();
  run.check((await scene.status()).ready, 'it is ready');
  await run.until(
    'the metric says that there is a problem with the bus',
    async () => (await scene.server.metric('fleet_problem{about="bus"}')) === 1,
  );
  await mended(run, () => {
    for (const way of busWays(run)) way.mend();
  });
}

async function busRestarts(run: Run): Promise<void> {
  const { scene } = run;
  await scene.fleet.churn();
  await scene.fleet.bus.restart?.();
  await run.last();
  await mended(run, () => undefined);
}

function partition(directions: Directions): FleetFault['run'] {
  return async run => {
    const { scene, load } = run;
    scene.ways.toBus.swallow(directions);
    // What is under way one way only may still come in before it notices.
    if (directions !== 'toServer') load.silentSince(performance.now());
    await scene.fleet.churn();
    await scene.fleet.converged(CONVERGED_MS);
    await run.last();
    run.check((await scene.status()).ready, 'it is ready');
    await mended(run, () => scene.ways.toBus.mend());
  };
}

async function flapping(run: Run): Promise<void> {
  const { scene } = run;
  const times = await run.repeat(async count => {
    const way = busWays(run)[count % busWays(run).length]!;
    way.cut();
    if (count % 2 === 0) await scene.fleet.churn();
  });
  run.note(`${times} connections of one or the other cut`);
  const { counters } = await scene.member();
  run.note(`${counters.duplicate} records came twice, ${counters.gap} gaps`);
  await mended(run, () => undefined);
}

/** Who has the bus's address may write what they want there. */
async function intruder(run: Run) {
  const { scene } = run;
  const { fleet } = scene.fleet.cacheOptions(scene.ways, {});
  const { host, port } = scene.fleet.bus.address;
  return openBus(scene.fleet.bus.options({ fleet: fleet!.name!, at: { host, port } }));
}

async function writtenTwice(run: Run): Promise<void> {
  const { scene } = run;
  const bus = await intruder(run);
  try {
    let refused = 0;
    await run.repeat(async () => {
      const position = await bus.last();
      await bus.append({ position: position!, bytes: new Uint8Array(GARBAGE_BYTES) }).catch(error => {
        if ((error as { code: string }).code === 'BUS_FENCED') refused++;
      });
      await scene.fleet.churn();
    });
    run.check(refused > 0, 'the engine takes no position twice');
  } finally {
    await bus.close();
  }
  await mended(run, () => undefined);
}

async function forged(run: Run): Promise<void> {
  const { scene } = run;
  const bus = await intruder(run);
  const before = (await scene.member()).counters;
  try {
    const bytes = Uint8Array.from({ length: GARBAGE_BYTES }, () => run.draw(256));
    await run.until('it has taken a position before the leader has', async () => {
      const { epoch, seq } = (await bus.last())!;
      return await bus.append({ position: { epoch, seq: seq + 1 }, bytes }).then(
        () => true,
        (error: { code?: string }) => {
          if (error.code !== 'BUS_FENCED') throw error;
          return false;
        },
      );
    });
    await run.until('it is refused, and counted', async () => {
      const { refused } = (await scene.member()).counters;
      const sum = (counts: object) =>
        Object.values(counts).reduce((all, count) => all + (count as number), 0);
      return sum(refused) > sum(before.refused);
    });
  } finally {
    await bus.close();
  }
  await run.last();
  await mended(run, () => undefined);
}

async function oversized(run: Run): Promise<void> {
  const { scene } = run;
  const bus = await intruder(run);
  try {
    const { epoch, seq } = (await bus.last())!;
    const bytes = new Uint8Array(bus.recordBytesMax + 1);
    const code = await bus.append({ position: { epoch, seq: seq + 1 }, bytes }).then(
      () => 'taken',
      error => (error as { code: string }).code,
    );
    run.check(code === 'BUS_TOO_LARGE', `it is refused as too large: ${code}`);
  } finally {
    await bus.close();
  }
  await run.last(0.5);
  await mended(run, () => scene.fleet.churn(3));
}

function evicted(what: 'evictLog' | 'evictBlobs' | 'flush'): FleetFault['run'] {
  return async run => {
    const { kind, fleet } = run.scene;
    await harmOf(kind, FLEET, () => fleet.bus)[what]();
    await run.last();
    await mended(run, () => undefined);
  };
}

/** Another one leads a higher epoch. */
async function successor(run: Run, of: FleetProcess, epoch: number): Promise<FleetProcess> {
  const next = () =>
    run.scene.fleet.living.find(
      replica => replica !== of && replica.isLeader && replica.fleet!.epoch > epoch,
    );
  await run.until('another one leads', () => next() !== undefined, NEW_LEADER_MS);
  return next()!;
}

async function twoLeaders(run: Run): Promise<void> {
  const { scene } = run;
  const leader = await scene.fleet.leader();
  const { epoch } = leader.fleet!;
  leader.pause();
  try {
    await scene.fleet.churn();
    await successor(run, leader, epoch);
    await run.last();
  } finally {
    leader.resume();
  }
  await run.until('the one that slept follows', () => leader.fleet?.role === 'follower', NEW_LEADER_MS);
  await mended(run, () => undefined);
}

/** What the old leader has sent arrives when another one leads. */
async function lateLeader(run: Run): Promise<void> {
  const { scene } = run;
  const leader = await scene.fleet.leader();
  const { epoch } = leader.fleet!;
  leader.ways.toBus.stall('toServer');
  await scene.fleet.churn();
  await successor(run, leader, epoch);
  await run.last(0.5);
  await mended(run, () => leader.ways.toBus.mend());
  run.check((await scene.member()).epoch > epoch, 'the served one is in the new epoch');
}

async function leaderKilled(run: Run): Promise<void> {
  const { scene } = run;
  const leader = await scene.fleet.leader();
  const { epoch } = leader.fleet!;
  await leader.kill();
  await scene.fleet.churn();
  await successor(run, leader, epoch);
  await run.last(0.5);
  await mended(run, () => undefined);
}

async function slowReplica(run: Run): Promise<void> {
  const { scene } = run;
  scene.ways.toBus.drip(DRIP_BYTES_PER_SECOND);
  await run.repeat(() => scene.fleet.churn());
  run.check((await scene.status()).ready, 'it is ready');
  await mended(run, () => scene.ways.toBus.mend());
}

/** The loader of the served one is ended while it takes what the bus brings. */
async function endedWhileTaking(run: Run): Promise<void> {
  const { scene } = run;
  const { server } = scene;
  for (const step of FLEET_STEPS as readonly Step[]) {
    const place = placeOf(step);
    const { restarts } = (await scene.status()).loader;
    await server.inside('set', { trap: { place, action: { kind: 'terminate' }, times: 1 } });
    await run.until(`its loader comes to "${step}"`, async () => {
      // A snapshot is taken when the log does not lead to the newest content.
      if (step === 'fleet: take snapshot') await lapse(run);
      await scene.fleet.churn();
      return (await server.inside('sprung', { place })) > 0;
    });
    run.hit(step);
    await run.until('it is started again', async () => (await scene.status()).loader.restarts > restarts);
    await run.until('it is in step', () => scene.isInStep());
  }
  await run.last(0.5);
  await run.mend(
    () => server.inside('clear'),
    'it is in step',
    () => scene.isInStep(),
  );
}

/** The log goes on without it for longer than the log is kept. */
async function lapse(run: Run): Promise<void> {
  const { kind, fleet } = run.scene;
  await harmOf(kind, FLEET, () => fleet.bus)
    .evictLog()
    .catch(() => undefined);
}

export const FLEET_FAULTS: readonly FleetFault[] = [
  { number: 'F25', name: 'bus away', run: busAway },
  { number: 'F25', name: 'bus restarts', run: busRestarts },
  { number: 'F26', name: 'partition: hears nothing of the bus', run: partition('toClient') },
  { number: 'F26', name: 'partition: both ways', run: partition('both') },
  { number: 'F26', name: 'flapping: connections cut in turn', run: flapping },
  { number: 'F27', name: 'a record written twice', run: writtenTwice },
  { number: 'F28', name: 'log lost: a gap', run: evicted('evictLog') },
  { number: 'F29', name: 'oversized record', run: oversized },
  { number: 'F30', name: 'forged record', run: forged },
  { number: 'F31', name: 'leader sleeps past its lease, and wakes', run: twoLeaders },
  { number: 'F31', name: 'leader killed', run: leaderKilled },
  { number: 'F32', name: 'what a stale leader sent comes late', run: lateLeader },
  { number: 'F33', name: 'bus loses its blobs', run: evicted('evictBlobs') },
  { number: 'F33', name: 'bus loses everything', run: evicted('flush') },
  { number: 'F34', name: 'slow replica (drip)', run: slowReplica },
  { number: 'F17', name: 'loader ended while it takes from the bus', run: endedWhileTaking },
];
