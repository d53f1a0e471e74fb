/**
 * What must hold in every simulated run: at any moment, and a while after all faults have ended. What the
 * store checks of itself stands in `toy-store.ts`.
 */
import { comparePositions, type LogPosition } from '../../../src/workers/bus/bus.ts';
import type { ToyFleet, ToyReplica } from './toy-replica.ts';
import { text } from './toy-store.ts';

/** Nodes that are revoked and let back in again and again. */
export const CONTENDED_KEYS: readonly number[] = [1, 2, 3, 4];

/** A revocation that was asked for somewhere. */
export interface AskedRevocation {
  readonly key: number;
  readonly untilMs: number;
  /** While it runs, it must see to it that all know. */
  readonly by: ToyReplica;
}

/** A revocation, or the end of one (0 ms), of a node that others may be asked for too. */
export interface ContendedAsk {
  readonly key: number;
  readonly by: ToyReplica;
  readonly atMs: number;
  readonly holdMs: number;
}

/** Two asks of different replicas that are farther apart come to the leader in their order. */
const ORDER_MS = 3_000;
/** Rounding of the virtual clocks. */
const TOLERANCE_MS = 2;
/** A revocation ends by several clocks. */
const END_TOLERANCE_MS = 200;
/** Records are read so late, by those who were cut off or have been started since. */
const LATE_MS = 15_000;

export class Checks {
  readonly #fleet: ToyFleet;
  readonly #places = new Map<ToyReplica, LogPosition>();
  /** Wall clocks were set: ages that rest on them prove nothing. */
  areClocksSet = false;
  /** The bus gave old answers as new ones: so nothing proves an age. */
  areAnswersOld = false;
  oldestAgeErrorMs = 0;

  constructor(fleet: ToyFleet) {
    this.#fleet = fleet;
  }

  /** At any moment. */
  always(replicas: readonly ToyReplica[]): void {
    const { loads, offices } = this.#fleet;
    if (loads.most > offices.permitCount) this.#fail(`${loads.most} replicas load at once`);
    for (const replica of replicas) {
      if (!replica.isRunning) continue;
      this.#checkPlace(replica);
      this.#checkAge(replica);
    }
  }

  #checkPlace(replica: ToyReplica): void {
    const { position } = replica.status();
    const before = this.#places.get(replica);
    if (position === undefined) return;
    if (before !== undefined && comparePositions(position, before) < 0) {
      this.#fail(`${replica.start.name} goes back from ${text(before)} to ${text(position)}`);
    }
    this.#places.set(replica, position);
  }

  #checkAge(replica: ToyReplica): void {
    const { world, source } = this.#fleet;
    const { ageMs, digest, isAgeProven } = replica.status();
    if (ageMs === undefined || digest === undefined || this.areAnswersOld) return;
    if (!isAgeProven && this.areClocksSet) return;
    const lastHadAtMs = source.lastHadAtMs(digest) ?? world.nowMs;
    const trueAgeMs = Math.max(0, world.nowMs - lastHadAtMs);
    if (ageMs < trueAgeMs - TOLERANCE_MS) {
      this.#fail(
        `${replica.start.name} says ${ageMs.toFixed(1)} ms of what is ${trueAgeMs.toFixed(1)} ms old`,
      );
    }
  }

  /** When faults have been over for long enough. `missing`: what is not as it should be yet. */
  settled(
    replicas: readonly ToyReplica[],
    strangers: readonly ToyReplica[],
    revocations: readonly AskedRevocation[],
  ): string | undefined {
    const { source } = this.#fleet;
    const table = source.read().digest;
    for (const replica of replicas) {
      const { digest, lost } = replica.status();
      const { name } = replica.start;
      if (digest !== table)
        return `${name} holds ${digest?.slice(0, 8)}, the table is ${table.slice(0, 8)} (${lost})`;
      if (lost !== undefined) return `${name} is not in step: ${lost}`;
    }
    const leaders = replicas.filter(replica => replica.status().role === 'leader');
    if (leaders.length !== 1) return `${leaders.length} replicas lead`;
    const stranger = strangers.find(
      ({ isRunning, member }) => isRunning && member.status().role === 'leader',
    );
    if (stranger !== undefined) return `${stranger.start.name} leads`;
    return this.#missingRevocation(replicas, revocations) ?? this.#disagreement(replicas);
  }

  /** Whatever was asked for where, and in which order: all say the same of a node, but for when it ends. */
  #disagreement(replicas: readonly ToyReplica[]): string | undefined {
    for (const key of CONTENDED_KEYS) {
      const left = replicas.map(replica => replica.store.revokedForMs(key));
      const [shortestMs, longestMs] = [Math.min(...left), Math.max(...left)];
      const [back, out] = [shortestMs, longestMs].map(ms => replicas[left.indexOf(ms)]!.start.name);
      if (longestMs <= END_TOLERANCE_MS || shortestMs > 0) continue;
      // Who has read of it later holds it longer.
      if (longestMs - shortestMs <= LATE_MS) continue;
      return `${back} has ${key}, which ${out} holds out for ${longestMs} ms`;
    }
    return undefined;
  }

  /** Without faults, what was asked for last is so. */
  lastAsked(replicas: readonly ToyReplica[], asks: readonly ContendedAsk[]): string | undefined {
    const { nowMs } = this.#fleet.world;
    for (const key of CONTENDED_KEYS) {
      const asked = asks.filter(ask => ask.key === key);
      const last = asked.at(-1);
      const isFirst = asked.every(({ by, atMs }) => by === last?.by || atMs < last!.atMs - ORDER_MS);
      if (last === undefined || !isFirst) continue;
      const leftMs = Math.max(0, last.atMs + last.holdMs - nowMs);
      // It is about to end, or has just ended.
      if (last.holdMs > 0 && leftMs < ORDER_MS) continue;
      const wrong = replicas.find(({ store }) => store.isRevoked(key) !== leftMs > 0);
      if (wrong === undefined) continue;
      const what = `${last.by.start.name} asked last that ${key} is out for ${last.holdMs} ms`;
      return `${what}, and ${wrong.start.name} says ${wrong.store.revokedForMs(key)} ms`;
    }
    return undefined;
  }

  #missingRevocation(
    replicas: readonly ToyReplica[],
    revocations: readonly AskedRevocation[],
  ): string | undefined {
    const { nowMs } = this.#fleet.world;
    for (const { key, untilMs, by } of revocations) {
      if (untilMs < nowMs + END_TOLERANCE_MS || !replicas.includes(by)) continue;
      const ignorant = replicas.find(replica => !replica.store.isRevoked(key));
      if (ignorant === undefined) continue;
      return `${ignorant.start.name} does not know that ${by.start.name} was told to revoke ${key}`;
    }
    return undefined;
  }

  #fail(what: string): void {
    this.#fleet.world.fail(what);
  }
}
