/**
 * Revocations and their ends through what befalls a fleet, in simulated time: what was asked for last holds.
 * Random faults are `simulation.test.ts`'s.
 */
import { describe, expect, test } from 'vitest';
import { MemoryEngine } from '../../../src/workers/bus/memory-bus.ts';
import { AskQueue } from '../../../src/workers/fleet/ask-queue.ts';
import { Asks } from '../../../src/workers/fleet/asks.ts';
import { replicaTag } from '../../../src/workers/fleet/name-hash.ts';
import { loadFleet, ROOT } from '../../support/simulation/fleet-modules.ts';
import { type ToyFleet, ToyReplica } from '../../support/simulation/toy-replica.ts';
import { ToyOffices, ToySource } from '../../support/simulation/toy-source.ts';
import { idOf, LoadCount } from '../../support/simulation/toy-store.ts';
import { World } from '../../support/simulation/world.ts';

const KEY = 1;
const ID = idOf(KEY);
const HOUR_MS = 3_600_000;
const SEEDS = Array.from({ length: 30 }, (_, i) => i + 1);
/** All are in step. */
const QUIET_MS = 12_000;
/** Whatever was asked for is in the log, and a new leader leads. */
const SETTLED_MS = 10_000;
const STEP_MS = 20;

interface Scene {
  readonly fleet: ToyFleet;
  readonly replicas: readonly ToyReplica[];
  readonly leader: ToyReplica;
  readonly followers: readonly ToyReplica[];
  run(ms: number): Promise<void>;
  runUntil(isSo: () => boolean): Promise<void>;
}

async function sceneOf(seed: number): Promise<Scene> {
  const modules = await loadFleet(ROOT);
  const world = new World(seed);
  const nowMs = () => world.nowMs;
  const clock = { nowMs, unixMs: nowMs, after: (ms: number, work: () => void) => world.after(ms, work) };
  const source = new ToySource(world, 20);
  const fleet: ToyFleet = {
    modules,
    world,
    source,
    offices: new ToyOffices(world, source, 2),
    engine: new MemoryEngine({ clock, recordBytesMax: 2 ** 20 }),
    loads: new LoadCount(),
    times: modules.FLEET_TIMES,
    limits: modules.FLEET_LIMITS,
    key: undefined,
  };
  const schemas = { written: 1, oldest: 1, read: 1 };
  const replicas = ['a', 'b', 'c', 'd'].map(
    name => new ToyReplica(fleet, { name, schemas, layout: 1, disk: undefined, key: undefined }),
  );
  const run = async (ms: number) => {
    await world.run(world.nowMs + ms);
    expect(world.failure).toBeUndefined();
  };
  await run(QUIET_MS);
  const leader = replicas.find(replica => replica.status().role === 'leader')!;
  return {
    fleet,
    replicas,
    leader,
    followers: replicas.filter(replica => replica !== leader),
    run,
    runUntil: async isSo => {
      for (let ms = 0; !isSo(); ms += STEP_MS) {
        expect(ms).toBeLessThan(SETTLED_MS);
        await run(STEP_MS);
      }
    },
  };
}

const revoke = (by: ToyReplica) => by.revoke([{ id: ID, holdMs: HOUR_MS }]);
const restore = (by: ToyReplica) => by.revoke([{ id: ID, holdMs: 0 }]);
const isOut = ({ store }: ToyReplica) => store.isRevoked(KEY);

describe('the heartbeat of one who asked for an end does not end a later revocation', () => {
  test.each(['lives', 'has died'])('when it %s, and another leads', async state => {
    for (const seed of SEEDS) {
      const { leader, followers, run, runUntil } = await sceneOf(seed);
      const [asking, other, third] = followers as [ToyReplica, ToyReplica, ToyReplica];
      revoke(other);
      await run(SETTLED_MS);
      restore(asking);
      await runUntil(() => ![leader, other, third].some(isOut));
      if (state === 'has died') asking.kill();
      revoke(other);
      const living = [leader, other, third];
      await runUntil(() => living.every(isOut) && living.every(replica => replica.status().askCount === 0));
      leader.kill();
      await run(SETTLED_MS);
      expect([seed, isOut(other), isOut(third)]).toEqual([seed, true, true]);
    }
  });
});

describe('who was cut off while a revocation ended', () => {
  test('lets the node in when it is back', async () => {
    for (const seed of SEEDS.slice(0, 5)) {
      const { replicas, followers, run } = await sceneOf(seed);
      const [away, other] = followers as [ToyReplica, ToyReplica];
      revoke(other);
      await run(SETTLED_MS);
      Object.assign(away.road.faults, { isRequestCut: true, isReplyCut: true });
      restore(other);
      await run(SETTLED_MS);
      expect(replicas.filter(isOut)).toEqual([away]);
      Object.assign(away.road.faults, { isRequestCut: false, isReplyCut: false });
      await run(SETTLED_MS);
      expect(replicas.filter(isOut)).toEqual([]);
    }
  });
});

test('who is lost lets a node in when it is in step again, and tells nobody of it before', async () => {
  for (const seed of SEEDS.slice(0, 10)) {
    const { fleet, replicas, leader, followers, run, runUntil } = await sceneOf(seed);
    const [lost, other] = followers as [ToyReplica, ToyReplica];
    revoke(other);
    await run(SETTLED_MS);
    lost.store.times.failure = 1;
    await runUntil(() => {
      fleet.source.change();
      return lost.status().lost !== undefined;
    });
    restore(other);
    await run(SETTLED_MS);
    expect([seed, ...replicas.filter(isOut)]).toEqual([seed, lost]);
    // Whoever leads now asks all for what they know.
    leader.kill();
    fleet.engine.wipe();
    await run(SETTLED_MS);
    expect([seed, ...replicas.filter(isOut)]).toEqual([seed, lost]);
    lost.store.times.failure = 0;
    await run(SETTLED_MS);
    expect([seed, ...replicas.filter(isOut)]).toEqual([seed]);
  }
});

describe('what the source confirms to a leader ends', () => {
  /** As the loader does that has read it. */
  function confirm(leader: ToyReplica, to: string): void {
    leader.store.revoke([{ id: ID, holdMs: 0 }]);
    leader.member.fulfilled([ID], to, Number.POSITIVE_INFINITY);
  }

  /** From what is held to content that cannot be sent as changes. */
  function changeOf(leader: ToyReplica): { from: string; readAtMs: number } {
    const { digest, readAtMs } = leader.store.held()!;
    return { from: digest, readAtMs };
  }

  async function revokedScene(): Promise<Scene> {
    const scene = await sceneOf(1);
    revoke(scene.followers[0]!);
    await scene.runUntil(() => scene.replicas.every(isOut));
    return scene;
  }

  test('with the content that is in the log', async () => {
    const { leader, replicas, run } = await revokedScene();
    confirm(leader, leader.store.held()!.digest);
    await run(1_000);
    expect(replicas.filter(isOut)).toEqual([]);
  });

  test('not before that content, and with a chain that starts anew instead of it', async () => {
    const { leader, followers, replicas, run } = await revokedScene();
    confirm(leader, 'f'.repeat(32));
    await run(1_000);
    expect(followers.filter(isOut)).toEqual(followers);
    leader.member.changed({ ...changeOf(leader), to: 'f'.repeat(32) });
    await run(SETTLED_MS);
    expect(replicas.filter(isOut)).toEqual([]);
  });

  test('not when it was asked for again before that content is in the log', async () => {
    const { leader, followers, replicas, run } = await revokedScene();
    const other = 'e'.repeat(32);
    confirm(leader, other);
    revoke(followers[1]!);
    await run(SETTLED_MS);
    leader.member.changed({ ...changeOf(leader), to: other });
    await run(SETTLED_MS);
    expect(replicas.filter(isOut)).toEqual(replicas);
  });

  test('not when another leads before it is in the log', async () => {
    const { leader, followers, run } = await revokedScene();
    Object.assign(leader.road.faults, { isRequestCut: true, isReplyCut: true });
    confirm(leader, leader.store.held()!.digest);
    await run(SETTLED_MS);
    Object.assign(leader.road.faults, { isRequestCut: false, isReplyCut: false });
    await run(SETTLED_MS);
    expect(followers.filter(isOut)).toEqual(followers);
  });
});

describe('asks', () => {
  const clock = { nowMs: () => 0, unixMs: () => 0, after: () => () => undefined };
  const ids = Array.from({ length: 4_096 }, (_, i) => idOf(10 + i));

  test('of operators stay when all that is known is told', () => {
    const asks = new Asks(clock, replicaTag('a'));
    asks.ask([{ id: ID, holdMs: 0 }]);
    asks.tell(ids.map(id => ({ id, holdMs: HOUR_MS })));
    expect(asks.has(ID)).toBe(true);
    expect(asks.count).toBe(ids.length);
  });

  test('for less than what the log says, and for more, make the longer time hold here', () => {
    const asks = new Asks(clock, replicaTag('a'));
    asks.ask([{ id: ID, holdMs: 1_000 }]);
    expect(asks.asHere({ id: ID, holdMs: 0 })).toBeUndefined();
    expect(asks.asHere({ id: ID, holdMs: 10 })?.holdMs).toBe(1_000);
    expect(asks.asHere({ id: ID, holdMs: HOUR_MS })?.holdMs).toBe(HOUR_MS);
    expect(asks.answered([{ replica: replicaTag('b'), number: 1 }])).toBe(false);
    expect(asks.answered([{ replica: replicaTag('a'), number: 1 }])).toBe(true);
    expect(asks.asHere({ id: ID, holdMs: 0 })?.holdMs).toBe(0);
  });

  test('that leaders before have written are not written again', () => {
    const queue = new AskQueue(clock, [{ replica: replicaTag('a'), number: 2 }]);
    queue.hear('a', [
      { number: 2, id: ID, holdMs: 0 },
      { number: 3, id: ids[0]!, holdMs: HOUR_MS },
    ]);
    expect(queue.next(10)).toEqual([{ id: ids[0], holdMs: HOUR_MS }]);
  });

  test('that were confirmed end with their content, or with what comes instead of it', () => {
    const queue = new AskQueue(clock, []);
    const end = (id: Uint8Array) => ({ id, holdMs: 0 });
    queue.confirm([ids[0]!], 'a', 1);
    queue.confirm([ids[1]!], 'b', 1);
    queue.confirm([ids[2]!], 'a', 1);
    queue.wrote('a');
    expect(queue.next(10)).toEqual([end(ids[0]!)]);
    queue.skipTo('c');
    queue.confirm([ids[3]!], 'd', 1);
    queue.wrote('b');
    expect(queue.next(10)).toHaveLength(1);
    queue.wrote('c');
    expect(queue.next(10)).toEqual(ids.slice(0, 3).map(end));
    queue.wrote('d');
    expect(queue.next(10)).toEqual(ids.slice(0, 4).map(end));
  });

  test('that were confirmed for the same content end together', () => {
    const queue = new AskQueue(clock, []);
    queue.confirm([ids[0]!], 'a', 1);
    queue.confirm([ids[1]!], 'a', 1);
    queue.wrote('a');
    expect(queue.next(10).map(({ id }) => id)).toEqual(ids.slice(0, 2));
  });

  test('are not confirmed by a source that was asked before they were heard', () => {
    let nowMs = 100;
    const queue = new AskQueue({ ...clock, nowMs: () => nowMs }, []);
    const revocations = ids.slice(0, 2).map((id, i) => ({ id, holdMs: HOUR_MS, number: i + 1 }));
    queue.hear('a', revocations);
    nowMs = 200;
    queue.confirm([ids[0]!], 'a', 50);
    queue.confirm([ids[1]!], 'b', 150);
    // Both are on their way into the log.
    queue.take(queue.next(10));
    queue.wrote('a');
    queue.wrote('b');
    expect(queue.next(10)).toEqual([{ id: ids[1], holdMs: 0 }]);
  });
});
