/**
 * A fleet whose bus is not there, goes away, loses everything or parts of it: every replica serves what it
 * has, with its true age, and has the content of the table soon after the bus is as it should be.
 */

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBus } from '../../src/workers/bus/open-bus.ts';
import { lockKey } from '../../src/workers/fleet/election/election-session.ts';
import { encodeBeat, type FleetBeat } from '../../src/workers/fleet/wire/beat.ts';
import { Sealer } from '../../src/workers/fleet/wire/seal.ts';
import { connectClient } from '../../src/workers/source/postgres/client.ts';
import { type Harm, harmOf } from '../support/fleet-harm.ts';
import { anyBeat } from '../support/fleet-messages.ts';
import type { FleetProcess } from '../support/fleet-process.ts';
import { FLEET, FleetScene, sound, untilAsked } from '../support/fleet-scene.ts';
import { until } from '../support/until.ts';

const REPLICAS = 3;
/** Between two snapshots for a replica that does not take them; before the next it is twice as long. */
const SELDOM_MS = 3_000;
/** Longer than any test here. */
const DEAD_MS = 60_000;

describe.each(['redis', 'nats'] as const)('a fleet whose bus (%s)', kind => {
  let scene: FleetScene;
  let harm: Harm;
  beforeAll(async () => {
    scene = await FleetScene.start(kind);
    harm = harmOf(kind, FLEET, () => scene.bus);
  });
  afterAll(() => scene?.stop());

  /** The bus cannot be reached by anybody while `meanwhile` runs. */
  async function withoutBus(meanwhile: () => Promise<void>): Promise<void> {
    for (const { ways } of scene.living) {
      ways.toBus.refuse();
      ways.toBus.cut();
    }
    try {
      await meanwhile();
    } finally {
      for (const { ways } of scene.living) ways.toBus.mend();
    }
  }

  test('is not there at the start is ready by own loads, as permits allow, and finds together', async () => {
    const holder = await connectClient(scene.postgres.connectionString, 'sortition test');
    // The only permit there is.
    await holder.query(`SELECT pg_advisory_lock(${lockKey(FLEET, 'load')}, 0)`);
    const replicas = await Promise.all(
      Array.from({ length: REPLICAS }, () =>
        scene.add({ fleet: { loadsAtOnce: 1 }, before: ({ toBus }) => toBus.refuse() }),
      ),
    );
    // Whoever asks for a permit connects for it, and for nothing else; the second time it was refused before.
    const hasAsked = ({ ways }: FleetProcess) => ways.toPostgres.acceptedCount >= 2;
    await until('all have asked for a permit', () => replicas.every(hasAsked));
    for (const { status } of replicas) expect(status!.refreshes.succeeded).toBe(0);
    await holder.end();
    await until('all have loaded', () => replicas.every(({ status }) => status!.refreshes.succeeded === 1));
    for (const { fleet } of replicas) expect(fleet!.role).toBe('follower');
    await Promise.all(replicas.map(sound));
    await scene.churn();
    for (const { ways } of replicas) ways.toBus.mend();
    // Nobody has ever led: it takes an election.
    await scene.leader();
    await scene.converged();
  });

  test('goes away for a while serves what it has, and older every moment', async () => {
    await withoutBus(async () => {
      await scene.churn(2);
      await until('nobody leads', () => scene.living.every(({ isLeader }) => !isLeader));
      const before = await ages();
      await scene.churn();
      await untilAsked('all are older', async () =>
        (await ages()).every((ageMs, i) => ageMs > before[i]! + 500),
      );
    });
    await scene.converged();
  });

  test('restarts with what it had goes on', async () => {
    await scene.churn();
    await scene.bus.restart!();
    await scene.churn();
    await scene.converged();
  });

  test('starts again without anything is filled again', async () => {
    await scene.churn();
    await scene.bus.wipe(FLEET);
    await scene.churn();
    await scene.converged();
    await joins();
  });

  test('loses everything under living connections is filled again', async () => {
    await harm.flush();
    await scene.churn();
    await scene.converged();
    await joins();
  });

  test.each(['evictBlobs', 'evictPointer', 'evictLog'] as const)(
    'loses a part (%s) has it again',
    async what => {
      await harm[what]();
      await scene.churn();
      await scene.converged();
      await joins();
    },
  );

  test('has the wish of a replica that has died for a snapshot lets nobody wait for it', async () => {
    const bus = await openBus(scene.bus.options({ fleet: FLEET }));
    const [any] = fc.sample(anyBeat, { numRuns: 1, seed: 1 }) as [FleetBeat];
    const dead: FleetBeat = { ...any, replica: 'dead', epoch: 0, asks: [], wish: 'newer' };
    const bytes = encodeBeat(dead, new Sealer({ fleet: FLEET, key: undefined }));
    try {
      await bus.beat({ replica: dead.replica, bytes }, DEAD_MS);
      const leader = await scene.leader();
      const publishedMs = () => leader.status!.fleetNews!['snapshot-published']!.atUnixMs;
      let lastMs = publishedMs();
      await until('it is granted seldom', () => {
        const pauseMs = publishedMs() - lastMs;
        lastMs += pauseMs;
        return pauseMs > SELDOM_MS;
      });
      await harm.evictLog();
      await scene.churn();
      await scene.converged();
      await bus.beat({ replica: dead.replica, bytes }, 1);
    } finally {
      await bus.close();
    }
  });

  test('answers nothing for a while goes on when it does', async () => {
    const failures = new Map(scene.living.map(replica => [replica, replica.fleet!.counters.busFailed]));
    await scene.bus.freeze!();
    try {
      await scene.churn(2);
      await until('all have noticed', () =>
        scene.living.every(replica => replica.fleet!.counters.busFailed > failures.get(replica)!),
      );
    } finally {
      await scene.bus.thaw!();
    }
    await scene.converged();
  });

  /** A newcomer gets all it needs of the bus; one of the others leaves for it. */
  async function joins(): Promise<void> {
    await scene.followers[0]!.close();
    const newcomer = await scene.add();
    await scene.converged(10_000);
    const { status } = await newcomer.ask('report');
    expect(status.fleet!.counters.snapshotsTaken).toBeGreaterThan(0);
  }

  async function ages(): Promise<number[]> {
    const ageOf = async (replica: FleetProcess) => {
      await sound(replica);
      return (await replica.ask('report')).ageMs;
    };
    return await Promise.all(scene.living.map(ageOf));
  }
});
