/**
 * The faults of simulations, by name: each begins, and what it returns ends it. A run draws some of them, at
 * random times, for random replicas.
 */
import type { MemoryEngine } from '../../../src/workers/bus/memory-bus.ts';
import type { Random } from '../../../src/workers/fleet/clock.ts';
import type { Checks } from './checks.ts';
import type { RoadFaults } from './fault-road.ts';
import type { ToyFleet, ToyReplica } from './toy-replica.ts';

/** What faults act on. */
export interface Stage {
  readonly fleet: ToyFleet;
  readonly checks: Checks;
  readonly random: Random;
  /** All of this run. */
  readonly faults: readonly string[];
  replicas(): readonly ToyReplica[];
  /** Starts a process in place of one that was killed; with what is on its disk, or without. */
  restart(
    replica: ToyReplica,
    options: { hasDisk: boolean; isUpgraded?: boolean; isRekeyed?: boolean },
  ): void;
  /** Starts a process more, with another key than the fleet; what is returned ends it. */
  addStranger(): () => void;
}

/** Faults of keys. */
export const REKEYING = 'all are given another key';
export const STRANGERS = 'somebody has another key';
export const STRANGE_LEADER = 'somebody with another key leads';
const ALONE = 'bus and election are away at the start';
/** Whoever starts without anything has loaded by then, if the source can be read. */
const ALONE_MS_MAX = 6_000;
const STRANGE_LEAD_MS = 4_000;
const WISHING_MS = 1_000;
const STRANGER_EVERY_MS = 300;

export type Fault = (stage: Stage) => () => void;

function pick<T>(items: readonly T[], random: Random): T {
  return items[Math.floor(items.length * random())]!;
}

/** Some of the replicas: one, many, or all. */
function some(stage: Stage): readonly ToyReplica[] {
  const replicas = stage.replicas();
  const share = stage.random();
  if (share < 0.3) return [pick(replicas, stage.random)];
  if (share < 0.6) return replicas;
  return replicas.filter(() => stage.random() < 0.5);
}

function leaders(stage: Stage): readonly ToyReplica[] {
  return stage
    .replicas()
    .filter(replica => replica.cell.state !== 'dead' && replica.status().role === 'leader');
}

/** The leader, mostly, or anybody. */
function victim(stage: Stage): ToyReplica {
  const [leader] = leaders(stage);
  return leader !== undefined && stage.random() < 0.7 ? leader : pick(stage.replicas(), stage.random);
}

function onRoads(change: Partial<RoadFaults>, choose: (stage: Stage) => readonly ToyReplica[] = some): Fault {
  return stage => {
    const chosen = choose(stage);
    for (const { road } of chosen) Object.assign(road.faults, change);
    const undone = Object.fromEntries(Object.entries(change).map(([key, value]) => [key, notA(value)]));
    return () => {
      for (const { road } of chosen) Object.assign(road.faults, undone);
    };
  };
}

const notA = (value: number | boolean) => (typeof value === 'number' ? 0 : false);
const everyone = (stage: Stage) => stage.replicas();
const leadersOnly = (stage: Stage) => leaders(stage);
const nothing = (): void => undefined;

function onEngine(work: (engine: MemoryEngine) => void): Fault {
  return ({ fleet }) => {
    work(fleet.engine);
    return nothing;
  };
}

function goBack(stage: Stage): () => void {
  const { engine } = stage.fleet;
  const copy = engine.copy();
  const { setbacks } = engine;
  // Not forward again, to what a setback meanwhile had taken away.
  return () => {
    if (engine.setbacks === setbacks) engine.restore(copy);
  };
}

function stale(stage: Stage): () => void {
  stage.checks.areAnswersOld = true;
  stage.fleet.engine.fallBehind();
  return onRoads({ staleness: 0.5 })(stage);
}

function swizzle(stage: Stage): () => void {
  const { world } = stage.fleet;
  const ends: (() => void)[] = [];
  // One after the other is cut off, and comes back in another order.
  for (const replica of stage.replicas()) {
    ends.push(
      world.after(2_000 * stage.random(), () => {
        replica.road.faults.isRequestCut = true;
        replica.road.faults.isReplyCut = true;
      }),
    );
    world.after(2_000 + 2_000 * stage.random(), () => heal(replica));
  }
  return () => {
    for (const end of ends) end();
    for (const replica of stage.replicas()) heal(replica);
  };
}

function heal({ road }: ToyReplica): void {
  road.faults.isRequestCut = false;
  road.faults.isReplyCut = false;
}

function kill(stage: Stage): () => void {
  const killed = victim(stage);
  if (killed.cell.state === 'dead') return nothing;
  killed.kill(stage.random() < 0.3);
  const hasDisk = stage.random() < 0.5;
  return () => stage.restart(killed, { hasDisk });
}

function killMany(stage: Stage): () => void {
  const killed = some(stage).filter(({ cell }) => cell.state !== 'dead');
  for (const replica of killed) replica.kill();
  return () => {
    for (const replica of killed) stage.restart(replica, { hasDisk: stage.random() < 0.5 });
  };
}

function pause(stage: Stage): () => void {
  const { cell } = victim(stage);
  cell.pause();
  return () => cell.resume();
}

/** One after the other is replaced by a program of another version, in the order that comes. */
function rollingUpgrade(stage: Stage): () => void {
  const upgrade = (replica: ToyReplica) => {
    if (!stage.replicas().includes(replica)) return;
    replica.kill();
    stage.restart(replica, { hasDisk: stage.random() < 0.5, isUpgraded: true });
  };
  for (const replica of stage.replicas())
    stage.fleet.world.after(6_000 * stage.random(), () => upgrade(replica));
  return nothing;
}

/** One after the other is replaced by one that has another key. */
function rekey(stage: Stage): () => void {
  const change = (replica: ToyReplica) => {
    if (!stage.replicas().includes(replica)) return;
    replica.kill();
    stage.restart(replica, { hasDisk: stage.random() < 0.5, isRekeyed: true });
  };
  for (const replica of stage.replicas())
    stage.fleet.world.after(6_000 * stage.random(), () => change(replica));
  return nothing;
}

/** It comes to a fleet that has a leader, and stays, mostly. */
function addStranger(stage: Stage): () => void {
  const stays = stage.random() < 0.7;
  let end: (() => void) | undefined;
  let isOver = false;
  const add = () => {
    if (isOver) return;
    if (leaders(stage).length > 0) end = stage.addStranger();
    else stage.fleet.world.after(STRANGER_EVERY_MS, add);
  };
  add();
  return () => {
    isOver = true;
    if (!stays) end?.();
  };
}

/** Whoever starts now reaches neither bus nor election, and has nothing. */
function startAlone(stage: Stage): () => void {
  const end = onRoads({ isRequestCut: true, isReplyCut: true }, everyone)(stage);
  const mend = cutDatabase(everyone)(stage);
  const alone = pick(stage.replicas(), stage.random);
  alone.kill();
  stage.restart(alone, { hasDisk: false });
  const started = stage.replicas().at(-1)!;
  started.database.isCut = true;
  Object.assign(started.road.faults, { isRequestCut: true, isReplyCut: true });
  const { world } = stage.fleet;
  const sinceMs = world.nowMs;
  return () => {
    const hasNothing = started.isRunning && started.store.held() === undefined;
    const isLong = world.nowMs - sinceMs > ALONE_MS_MAX;
    if (hasNothing && isLong && stage.faults.every(name => name === ALONE))
      world.fail(`${started.start.name} has nothing, and the source is there`);
    end();
    mend();
    started.database.isCut = false;
    heal(started);
  };
}

/** It was there first, and the others come to a log that they cannot read. */
function strangeLeader(stage: Stage): () => void {
  const { engine, world, offices } = stage.fleet;
  for (const replica of stage.replicas()) replica.kill();
  engine.wipe();
  offices.drop();
  stage.addStranger();
  world.after(STRANGE_LEAD_MS * (1 + stage.random()), () => {
    for (const replica of stage.replicas()) {
      if (replica.cell.state === 'dead') stage.restart(replica, { hasDisk: stage.random() < 0.5 });
    }
  });
  return nothing;
}

/** Its last heartbeat goes on wishing for a snapshot; then the others need one. */
function dieWishing(stage: Stage): () => void {
  const { engine, world } = stage.fleet;
  const old = pick(stage.replicas(), stage.random);
  old.kill();
  engine.evict('pointer');
  engine.evict('blobs');
  stage.restart(old, { hasDisk: false });
  const wishing = stage.replicas().at(-1)!;
  const die = () => {
    if (wishing.cell.state !== 'dead') wishing.kill();
  };
  world.after(WISHING_MS * stage.random(), die);
  return () => {
    die();
    stage.restart(wishing, { hasDisk: false });
    engine.evict('log');
  };
}

/** Somebody else writes into the log: nonsense, or what a key of their own sealed. */
function forge(stage: Stage): () => void {
  const { engine, modules } = stage.fleet;
  const count = 1 + Math.floor(4 * stage.random());
  for (let i = 0; i < count; i++) {
    const last = engine.last() ?? { epoch: 0, seq: 0 };
    const jump = stage.random() < 0.3 ? 1000 : 0;
    const position = { epoch: last.epoch + jump, seq: last.seq + 1 };
    const forger = new modules.Sealer({ fleet: 'toy', key: new Uint8Array(32).fill(9) });
    const body = Uint8Array.from({ length: 60 }, () => Math.floor(256 * stage.random()));
    engine.append({ position, bytes: forger.seal({ place: 'log', kind: 2, position }, body) });
  }
  return nothing;
}

function tellToReload(stage: Stage): () => void {
  for (const leader of leaders(stage)) leader.member.reloadAll(300, 'a fault');
  return nothing;
}

function stepClocks(stage: Stage): () => void {
  stage.checks.areClocksSet = true;
  for (const { cell } of some(stage)) cell.skewMs += 7_200_000 * (stage.random() - 0.5);
  return nothing;
}

function slow(stage: Stage): () => void {
  const chosen = some(stage);
  for (const { store } of chosen) store.times.publishMs = 600;
  return () => {
    for (const { store } of chosen) store.times.publishMs = 3;
  };
}

function failing(stage: Stage): () => void {
  const chosen = some(stage);
  for (const { store } of chosen) store.times.failure = 0.4;
  return () => {
    for (const { store } of chosen) store.times.failure = 0;
  };
}

function cutDatabase(choose: (stage: Stage) => readonly ToyReplica[]): Fault {
  return stage => {
    const chosen = choose(stage);
    for (const { database } of chosen) database.isCut = true;
    return () => {
      for (const { database } of chosen) database.isCut = false;
    };
  };
}

function sourceDown({ fleet }: Stage): () => void {
  fleet.source.isDown = true;
  return () => {
    fleet.source.isDown = false;
  };
}

function sourceMute({ fleet }: Stage): () => void {
  fleet.source.isMute = true;
  return () => {
    fleet.source.isMute = false;
  };
}

function atOnce(work: (stage: Stage) => void): Fault {
  return stage => {
    work(stage);
    return nothing;
  };
}

/** Every fault, by its name. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  'the bus is down': onRoads({ isRequestCut: true, isReplyCut: true }, everyone),
  'replicas are cut off from the bus': onRoads({ isRequestCut: true, isReplyCut: true }),
  'replicas do not reach the bus': onRoads({ isRequestCut: true }),
  'replicas do not hear the bus': onRoads({ isReplyCut: true }),
  'the leader is cut off from the bus': onRoads({ isRequestCut: true, isReplyCut: true }, leadersOnly),
  'the leader does not hear the bus': onRoads({ isReplyCut: true }, leadersOnly),
  'calls are lost': onRoads({ loss: 0.2 }),
  'records are lost': onRoads({ recordLoss: 0.2 }),
  'half of everything comes twice': onRoads({ duplication: 0.5 }),
  'records come in another order': onRoads({ reordering: 0.4 }),
  'old records come again': onRoads({ replay: 0.3 }),
  'bytes are damaged': onRoads({ damage: 0.1 }),
  'the bus is slow': onRoads({ delayMs: 250 }),
  'answers are old': stale,
  swizzle,
  'the bus loses everything': onEngine(engine => engine.wipe()),
  'the bus goes back in time': goBack,
  'the pointer is evicted': onEngine(engine => engine.evict('pointer')),
  'blobs are evicted': onEngine(engine => engine.evict('blobs')),
  'the log is evicted': onEngine(engine => engine.evict('log')),
  'heartbeats are evicted': onEngine(engine => engine.evict('beats')),
  'a process is killed': kill,
  'processes are killed': killMany,
  'a process stands still': pause,
  'the leader loses its lock unheard': atOnce(({ fleet }) => fleet.offices.drop()),
  'the database is set back': atOnce(({ fleet }) => fleet.offices.setBack()),
  'the database is down': sourceDown,
  'changes are not told of': sourceMute,
  'replicas are cut off from the database': cutDatabase(some),
  'the leader is cut off from the database': cutDatabase(leadersOnly),
  'somebody dies while it wishes for a snapshot': dieWishing,
  'somebody forges records': forge,
  'all are told to reload': tellToReload,
  'wall clocks are set': stepClocks,
  'replicas are slow': slow,
  'publishing fails': failing,
  'a rolling upgrade': rollingUpgrade,
  [ALONE]: startAlone,
  [REKEYING]: rekey,
  [STRANGERS]: addStranger,
  [STRANGE_LEADER]: strangeLeader,
};
