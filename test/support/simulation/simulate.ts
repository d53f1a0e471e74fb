/**
 * One simulated run: a fleet of real machines over a bus in memory, a table that changes, faults for a
 * while, and then none. The seed decides everything.
 */
import { MemoryEngine } from '../../../src/workers/bus/memory-bus.ts';
import type { Random } from '../../../src/workers/fleet/clock.ts';
import type { Schemas } from '../../../src/workers/fleet/wire/seal.ts';
import { type AskedRevocation, Checks, CONTENDED_KEYS, type ContendedAsk } from './checks.ts';
import { noFaults } from './fault-road.ts';
import { FAULTS, REKEYING, STRANGE_LEADER, STRANGERS, type Stage } from './faults.ts';
import { type FleetModules, type ReplicaStart, type ToyFleet, ToyReplica } from './toy-replica.ts';
import { ToyOffices, ToySource } from './toy-source.ts';
import { idOf, LoadCount } from './toy-store.ts';
import { World } from './world.ts';

export interface RunOptions {
  readonly seed: number;
  readonly modules: FleetModules;
  /** Absent: drawn. */
  readonly replicaCount?: number;
  /** Absent: drawn from all. */
  readonly faults?: readonly string[];
  /** Absent: as is right for the faults. */
  readonly settleMs?: number;
  readonly keepsTrace?: boolean;
}

export interface RunResult {
  readonly seed: number;
  readonly failure: string | undefined;
  readonly faults: readonly string[];
  readonly replicaCount: number;
  readonly traceHash: string;
  readonly trace: readonly string[];
  /** After the last fault, until every replica held the table. */
  readonly settledMs: number;
  readonly ownLoads: number;
  /** Sums of the counters of all processes that there were. */
  readonly counts: Readonly<Record<string, number>>;
  readonly virtualMs: number;
  readonly eventCount: number;
}

/** After faults end, every replica holds the table within this time. */
export const SETTLE_MS = 5_000;
/** Where keys are not what they should be, whoever reads nothing of the log waits before it may lead. */
const STRANGE_SETTLE_MS = 25_000;
export const STRANGENESS: readonly string[] = [REKEYING, STRANGERS, STRANGE_LEADER];
/** Where nothing else happens, somebody with the right key is always there to lead. */
const SPARING: readonly string[] = [STRANGERS, 'a process is killed', 'a process stands still'];

function settleMsOf(faults: readonly string[]): number {
  return faults.some(fault => STRANGENESS.includes(fault)) ? STRANGE_SETTLE_MS : SETTLE_MS;
}

const QUIET_MS = 1_500;
const FAULT_MS = { least: 200, most: 8_000 };
const FAULTY_MS = { least: 3_000, most: 15_000 };
const FAULTS_MOST = 6;
const SAMPLE_MS = 100;
const REPLICAS = { least: 3, most: 10 };
/** Now and then. */
const MANY_REPLICAS = { least: 20, most: 40 };
const MANY_CHANCE = 0.02;
const CHANGE_EVERY_MS = { least: 40, most: 1_500 };
const HOLD_MS = { least: 2_000, most: 40_000 };
const CONTEND_EVERY_MS = 1_500;
const RESTORE_CHANCE = 0.4;
/** Sooner than in life: runs are short. */
const UNPERMITTED_AFTER_MS = 1_500;
const NEXT_KEY = new Uint8Array(32).fill(8);
const STRANGE_KEY = new Uint8Array(32).fill(5);

const FIRST_SCHEMAS: Schemas = { written: 1, oldest: 1, read: 1 };
/** A later program: reads what the first one wrote, and may write what that one cannot read. */
const READABLE_SCHEMAS: Schemas = { written: 2, oldest: 1, read: 2 };
const NEWER_SCHEMAS: Schemas = { written: 2, oldest: 2, read: 2 };

class Run implements Stage {
  readonly fleet: ToyFleet;
  readonly checks: Checks;
  readonly random: Random;
  readonly faults: readonly string[];
  readonly #world: World;
  #replicas: ToyReplica[] = [];
  readonly #revocations: AskedRevocation[] = [];
  readonly #contended: ContendedAsk[] = [];
  readonly #upgrade: { schemas: Schemas; layout: number };
  /** Those that were killed too. */
  readonly #processes: ToyReplica[] = [];
  /** Those that have a key of their own, by mistake. */
  readonly #strangers: ToyReplica[] = [];
  readonly #settleMsMost: number;
  #isChanging = true;
  #settledMs = Number.POSITIVE_INFINITY;

  constructor(options: RunOptions) {
    const { seed, modules } = options;
    this.#world = new World(seed);
    this.#world.trace.isKept = options.keepsTrace === true;
    this.random = this.#world.stream();
    const draw = ({ least, most }: { least: number; most: number }) => least + (most - least) * this.random();
    const replicaCount =
      options.replicaCount ?? Math.floor(draw(this.random() < MANY_CHANCE ? MANY_REPLICAS : REPLICAS));
    this.faults = options.faults ?? this.#drawFaults();
    this.#settleMsMost = options.settleMs ?? settleMsOf(this.faults);
    this.fleet = this.#newFleet(modules, replicaCount);
    this.checks = new Checks(this.fleet);
    const schemas = this.random() < 0.5 ? READABLE_SCHEMAS : NEWER_SCHEMAS;
    this.#upgrade = { schemas, layout: this.random() < 0.5 ? 1 : 2 };
    for (let i = 0; i < replicaCount; i++)
      this.#start({ schemas: FIRST_SCHEMAS, layout: 1, disk: undefined, key: this.fleet.key });
  }

  replicas(): readonly ToyReplica[] {
    return this.#replicas;
  }

  restart(old: ToyReplica, { hasDisk, isUpgraded, isRekeyed }: Parameters<Stage['restart']>[1]): void {
    const at = this.#replicas.indexOf(old);
    if (at < 0) return;
    const { schemas, layout } = isUpgraded === true ? this.#upgrade : old.start;
    const key = isRekeyed === true ? NEXT_KEY : old.start.key;
    // A program does not read the file of another layout.
    const disk = hasDisk && layout === old.start.layout ? old.store.disk : undefined;
    this.#replicas.splice(at, 1);
    this.#start({ schemas, layout, disk, key });
  }

  addStranger(): () => void {
    // More than one, and nobody could say who is the stranger.
    if (this.#strangers.length > 0) return () => undefined;
    const start = { name: `stranger-${this.#strangers.length}`, schemas: FIRST_SCHEMAS, layout: 1 };
    const stranger = new ToyReplica(this.fleet, { ...start, disk: undefined, key: STRANGE_KEY });
    this.#strangers.push(stranger);
    return () => stranger.kill();
  }

  async run(): Promise<Omit<RunResult, 'seed'>> {
    const world = this.#world;
    this.#change();
    this.#sample();
    this.#revoke();
    this.#contend();
    const faultyMs = FAULTY_MS.least + (FAULTY_MS.most - FAULTY_MS.least) * this.random();
    this.#plan(faultyMs);
    // Some runs begin in the middle of a fault.
    const startMs = this.random() < 0.3 ? 0 : QUIET_MS;
    await world.run(startMs + faultyMs);
    this.#endFaults();
    const endedMs = world.nowMs;
    await this.#settle(endedMs);
    return {
      failure: world.failure,
      faults: this.faults,
      replicaCount: this.#replicas.length,
      traceHash: world.trace.hash,
      trace: world.trace.lines,
      settledMs: this.#settledMs,
      ownLoads: this.fleet.loads.total,
      counts: this.#counts(),
      virtualMs: world.nowMs,
      eventCount: world.eventCount,
    };
  }

  #counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const replica of this.#processes) {
      const { refused, ...counters } = replica.status().counters;
      const named = Object.entries(refused).map(([reason, count]) => [`refused ${reason}`, count] as const);
      for (const [name, count] of [...Object.entries(counters), ...named]) {
        counts[name] = (counts[name] ?? 0) + count;
      }
    }
    return counts;
  }

  #newFleet(modules: FleetModules, replicaCount: number): ToyFleet {
    const world = this.#world;
    const source = new ToySource(world, 10 + Math.floor(30 * this.random()));
    const clock = {
      nowMs: () => world.nowMs,
      unixMs: () => world.nowMs,
      after: (ms: number, callback: () => void) => world.after(ms, callback),
    };
    // Small limits: what they are for happens often.
    const isSmall = this.random() < 0.5;
    const limits = isSmall
      ? { deltasPerSnapshot: 5, recordsPerSnapshot: 12, pendingDeltas: 3, pendingBytes: 600 }
      : { deltasPerSnapshot: 40 };
    return {
      modules,
      world,
      source,
      offices: new ToyOffices(world, source, 1 + Math.floor(3 * this.random())),
      engine: new MemoryEngine({ clock, recordBytesMax: this.random() < 0.3 ? 600 : 2 ** 20 }),
      loads: new LoadCount(),
      times: {
        ...modules.FLEET_TIMES,
        startUnpermittedAfterMs: UNPERMITTED_AFTER_MS,
        loadAfterMs: this.random() < 0.3 ? 3_000 : undefined,
        ...(replicaCount > 100 ? { fetchSpreadMs: 1_000 } : {}),
      },
      limits: { ...modules.FLEET_LIMITS, ...limits },
      key: this.random() < 0.15 ? new Uint8Array(32).fill(7) : undefined,
    };
  }

  #start(start: Omit<ReplicaStart, 'name'>): void {
    const replica = new ToyReplica(this.fleet, { name: `replica-${this.#processes.length}`, ...start });
    replica.store.areTimesWrong = () => this.checks.areClocksSet || this.checks.areAnswersOld;
    this.#replicas.push(replica);
    this.#processes.push(replica);
  }

  #drawFaults(): string[] {
    const names = Object.keys(FAULTS);
    const count = 1 + Math.floor(FAULTS_MOST * this.random());
    return Array.from({ length: count }, () => names[Math.floor(names.length * this.random())]!);
  }

  #plan(faultyMs: number): void {
    for (const name of this.faults) {
      const beginMs = faultyMs * this.random();
      const longestMs = Math.min(FAULT_MS.most, faultyMs - beginMs);
      const lastsMs = Math.max(0, FAULT_MS.least + (longestMs - FAULT_MS.least) * this.random());
      this.#world.after(beginMs, () => {
        this.#world.note(`FAULT begins: ${name}`);
        const end = FAULTS[name]!(this);
        this.#world.after(lastsMs, () => {
          this.#world.note(`FAULT ends: ${name}`);
          end();
        });
      });
    }
  }

  #change(): void {
    const random = this.#world.stream();
    const { least, most } = CHANGE_EVERY_MS;
    const paceMs = least + (most - least) * random();
    const next = () => {
      if (!this.#isChanging) return;
      if (!this.fleet.source.isDown) this.fleet.source.change();
      this.#world.after(2 * paceMs * random(), next);
    };
    this.#world.after(paceMs, next);
  }

  /** Now and then somebody is told to revoke a node. */
  #revoke(): void {
    const random = this.#world.stream();
    let key = Math.max(...CONTENDED_KEYS);
    const next = () => {
      if (!this.#isChanging) return;
      const running = this.#replicas.filter(({ isRunning }) => isRunning);
      const by = running[Math.floor(running.length * random())];
      if (by !== undefined) {
        const holdMs = HOLD_MS.least + (HOLD_MS.most - HOLD_MS.least) * random();
        by.revoke([{ id: idOf(++key), holdMs }]);
        this.#revocations.push({ key, by, untilMs: this.#world.nowMs + holdMs });
      }
      this.#world.after(6_000 * random(), next);
    };
    this.#world.after(4_000 * random(), next);
  }

  /** A few nodes are revoked and let back in again and again, anywhere. */
  #contend(): void {
    const random = this.#world.stream();
    const next = () => {
      if (!this.#isChanging) return;
      const running = this.#replicas.filter(({ isRunning }) => isRunning);
      const by = running[Math.floor(running.length * random())];
      const key = CONTENDED_KEYS[Math.floor(CONTENDED_KEYS.length * random())]!;
      const holdMs =
        random() < RESTORE_CHANCE ? 0 : HOLD_MS.least + (HOLD_MS.most - HOLD_MS.least) * random();
      if (by !== undefined) {
        by.revoke([{ id: idOf(key), holdMs }]);
        this.#contended.push({ key, by, atMs: this.#world.nowMs, holdMs });
      }
      this.#world.after(CONTEND_EVERY_MS * 2 * random(), next);
    };
    this.#world.after(CONTEND_EVERY_MS, next);
  }

  #sample(): void {
    this.checks.always([...this.#replicas, ...this.#strangers]);
    const strangeLeader = this.#strangers.find(({ member }) => member.status().role === 'leader');
    if (strangeLeader !== undefined && this.faults.every(fault => SPARING.includes(fault)))
      this.#world.fail(`${strangeLeader.start.name} leads, with another key than the fleet`);
    this.#world.after(SAMPLE_MS, () => this.#sample());
  }

  #endFaults(): void {
    const { source } = this.fleet;
    this.#world.note('FAULTS are over');
    this.#isChanging = false;
    source.isDown = false;
    source.isMute = false;
    for (const replica of [...this.#replicas]) {
      replica.cell.resume();
      replica.road.faults = noFaults();
      replica.database.isCut = false;
      replica.store.times.publishMs = 3;
      replica.store.times.failure = 0;
      const isOld =
        this.faults.includes('a rolling upgrade') && replica.start.schemas !== this.#upgrade.schemas;
      const isRekeyed = this.faults.includes(REKEYING) && replica.start.key !== NEXT_KEY;
      if (replica.cell.state !== 'dead' && !isOld && !isRekeyed) continue;
      replica.kill();
      this.restart(replica, { hasDisk: this.random() < 0.5, isUpgraded: isOld, isRekeyed });
    }
  }

  async #settle(endedMs: number): Promise<void> {
    const world = this.#world;
    let missing: string | undefined = 'nothing was looked at';
    const settleMs = this.#settleMsMost;
    while (world.failure === undefined && world.nowMs < endedMs + settleMs) {
      await world.run(Math.min(world.nowMs + SAMPLE_MS, endedMs + settleMs));
      missing =
        this.checks.settled(this.#replicas, this.#strangers, this.#revocations) ??
        (this.faults.length === 0 ? this.checks.lastAsked(this.#replicas, this.#contended) : undefined);
      if (missing === undefined) {
        this.#settledMs = world.nowMs - endedMs;
        return;
      }
    }
    if (world.failure === undefined) world.fail(`${settleMs} ms after the last fault: ${missing}`);
  }
}

export async function simulate(options: RunOptions): Promise<RunResult> {
  return { seed: options.seed, ...(await new Run(options).run()) };
}
