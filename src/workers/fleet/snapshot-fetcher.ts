/**
 * Fetches snapshots from the bus while the replica is lost: at a random moment of a spread, and after
 * failures with backoff. What is damaged or missing is tried again, and the leader asked for another; what
 * can never work is not fetched twice. Loader thread.
 */
import { hash } from 'node:crypto';
import { comparePositions } from '../bus/bus.ts';
import { Backoff, Bell, type Exclusive, Stopped, unlessStopped } from './clock.ts';
import type { ReadTime } from './leader-clock.ts';
import { isBusError, messageOf, type ReplicaState, rethrowAssertion } from './replica-state.ts';
import { decodePointer, type FleetSnapshotRecord } from './wire/records.ts';
import { isRefusal } from './wire/seal.ts';

/** What is in the way of taking a snapshot. */
type Obstacle = 'behind' | 'older' | 'poison' | 'layout' | 'too-large';

export class SnapshotFetcher {
  readonly #state: ReplicaState;
  readonly #exclusive: Exclusive;
  readonly #taken: (record: FleetSnapshotRecord) => void;
  readonly #bell: Bell;
  readonly #backoff: Backoff;
  /** The newest that the log or the pointer told of. */
  #known: FleetSnapshotRecord | undefined;
  /** Name of a blob that could not be had: the pointer may name another by now. */
  #failedName: string | undefined;
  #dueAtMs: number | undefined;
  /** There is one, but not for this program: the log will tell of another. */
  #isUnfit = false;

  /** `taken` is called in the same turn in which the content of the record is held. */
  constructor(state: ReplicaState, exclusive: Exclusive, taken: (record: FleetSnapshotRecord) => void) {
    const { clock, random, times } = state.context;
    this.#state = state;
    this.#exclusive = exclusive;
    this.#taken = taken;
    this.#bell = new Bell(clock);
    this.#backoff = new Backoff(random, { firstMs: times.backoffFirstMs, longestMs: times.backoffLongestMs });
  }

  /** There is a snapshot. */
  announce(record: FleetSnapshotRecord): void {
    if (this.#known !== undefined && comparePositions(record.asOf, this.#known.asOf) <= 0) return;
    this.#known = record;
    this.#backoff.worked();
    this.#dueAtMs = undefined;
    this.#bell.ring();
  }

  /** The replica may be lost now. */
  wake(): void {
    this.#bell.ring();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, times } = this.#state.context;
    while (!signal.aborted) {
      const waitMs = this.#waitMs();
      if (waitMs > 0) {
        await this.#bell.wait(waitMs, signal);
        continue;
      }
      this.#isUnfit = false;
      const known = this.#known;
      const isDone = await this.#attempt(signal);
      if (signal.aborted) return;
      if (isDone) this.#backoff.worked();
      // Another one was announced meanwhile.
      if (this.#known !== known) continue;
      const pauseMs = this.#isUnfit ? times.beatEveryMs : this.#backoff.nextMs();
      this.#dueAtMs = isDone ? undefined : clock.nowMs() + pauseMs;
    }
  }

  /** Draws the moment when it is first asked after the replica was lost. Infinity while nothing is needed. */
  #waitMs(): number {
    const { context, lost, isReplacing, place } = this.#state;
    if (lost === undefined) this.#dueAtMs = undefined;
    if (lost === undefined || isReplacing) return Number.POSITIVE_INFINITY;
    const nowMs = context.clock.nowMs();
    // Whoever has nothing to serve does not wait.
    const spreadMs = context.store.held() === undefined ? 0 : this.#spreadMs();
    // What is held at the start may stand in the log: it is read first, and nothing has to be fetched then.
    const readFirstMs =
      context.store.held() === undefined || place !== undefined ? 0 : context.times.fetchSpreadMs;
    this.#dueAtMs ??= nowMs + readFirstMs + spreadMs * context.random();
    return this.#dueAtMs - nowMs;
  }

  #spreadMs(): number {
    return Math.max(this.#state.context.times.fetchSpreadMs, this.#known?.spreadMs ?? 0);
  }

  /** True when the replica holds a snapshot of the log, or is in step meanwhile. */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    try {
      const record = await this.#usable(signal);
      if (record === undefined) return false;
      const isHeld = this.#state.context.store.held()?.digest === record.digest;
      const bytes = isHeld ? undefined : await this.#fetch(record, signal);
      if (bytes === undefined && !isHeld) return false;
      return await this.#exclusive.run(() => this.#take(record, bytes, signal));
    } catch (error) {
      if (error instanceof Stopped) return false;
      if (!isBusError(error)) throw error;
      this.#state.busFailed(error);
      return false;
    }
  }

  /** The known snapshot, or what the pointer names, if it can be taken. */
  async #usable(signal: AbortSignal): Promise<FleetSnapshotRecord | undefined> {
    const known = this.#known;
    if (known !== undefined && known.blob.name !== this.#failedName && this.#obstacle(known) === undefined) {
      return known;
    }
    const pointed = await this.pointer(signal);
    if (this.#state.lost === undefined) return undefined;
    if (pointed === undefined) {
      this.#state.wishFor('newer');
      return undefined;
    }
    const obstacle = this.#obstacle(pointed);
    if (obstacle === undefined) return pointed;
    this.#complain(pointed, obstacle);
    return undefined;
  }

  /** What the bus points newcomers to; undefined where that is nothing, or nothing for us. */
  async pointer(signal: AbortSignal): Promise<FleetSnapshotRecord | undefined> {
    const { bus, sealer } = this.#state.context;
    const pointer = await unlessStopped(bus.pointer(), signal);
    this.#state.busWorked();
    if (pointer === undefined) return undefined;
    try {
      return decodePointer(pointer.bytes, pointer.position, sealer);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#state.refuse(error.reason, `the pointer: ${error.message}`);
      return undefined;
    }
  }

  #obstacle(record: FleetSnapshotRecord): Obstacle | undefined {
    const { context, place, poisonedAt, ownReadAtMs, poison } = this.#state;
    if (place !== undefined && comparePositions(record.asOf, place) < 0) return 'behind';
    if (poisonedAt !== undefined && comparePositions(record.asOf, poisonedAt) < 0) return 'behind';
    if (poison.has(record.blob.name)) return 'poison';
    if (record.layout !== context.identity.layout) return 'layout';
    if (record.blob.byteLength > context.bus.blobBytesMax) return 'too-large';
    if (ownReadAtMs === undefined) return undefined;
    const time = this.#readTime(record);
    return time === undefined || time.readAtMs < ownReadAtMs ? 'older' : undefined;
  }

  #complain(record: FleetSnapshotRecord, obstacle: Obstacle): void {
    const { identity, bus } = this.#state.context;
    this.#state.wishFor(obstacle === 'layout' ? 'layout' : 'newer');
    this.#isUnfit = obstacle !== 'behind' && obstacle !== 'older';
    if (obstacle === 'layout') {
      const theirs = `snapshots of layout ${record.layout}, by version ${record.program}`;
      const detail = `${theirs}; this one reads ${identity.layout}`;
      this.#state.refuse('layout', detail);
    } else if (obstacle === 'too-large') {
      const detail = `a snapshot of ${record.blob.byteLength} bytes; the bus carries ${bus.blobBytesMax}`;
      this.#state.refuse('too-large', detail);
    }
  }

  #readTime(record: FleetSnapshotRecord): ReadTime | undefined {
    const { clock } = this.#state.context;
    const now = { nowMs: clock.nowMs(), unixMs: clock.unixMs() };
    return this.#state.leaderClock.readTime(record.asOf.epoch, record.stamp, now);
  }

  async #fetch(record: FleetSnapshotRecord, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { name } = record.blob;
    let bytes: Uint8Array | undefined;
    try {
      bytes = await unlessStopped(this.#state.context.bus.getBlob(name), signal);
      this.#state.busWorked();
    } catch (error) {
      if (!isBusError(error) || error.code !== 'BUS_CORRUPT') throw error;
      return this.#failed(name, 'corrupt', error.message);
    }
    if (bytes === undefined) return this.#failed(name, 'missing', `the snapshot "${name}" is not there`);
    if (!isBlob(bytes, record.blob))
      return this.#failed(name, 'corrupt', `the snapshot "${name}" is damaged`);
    return bytes;
  }

  #failed(name: string, reason: 'missing' | 'corrupt', detail: string): undefined {
    this.#failedName = name;
    this.#state.refuse(reason, detail);
    this.#state.wishFor('blob');
    return undefined;
  }

  /** Runs alone. Things may have changed while the bytes were on their way. */
  async #take(
    record: FleetSnapshotRecord,
    bytes: Uint8Array | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { context, lost, isReplacing } = this.#state;
    if (signal.aborted || lost === undefined) return true;
    if (isReplacing || this.#obstacle(record) !== undefined) return false;
    if (context.store.held()?.digest === record.digest) {
      this.#arrive(record);
      return true;
    }
    if (bytes === undefined) return false;
    this.#state.replacingCount++;
    try {
      await this.#publish(record, bytes);
    } catch (error) {
      rethrowAssertion(error);
      return this.#refused(record, error);
    } finally {
      this.#state.replacingCount--;
    }
    this.#arrive(record);
    return true;
  }

  async #publish(record: FleetSnapshotRecord, bytes: Uint8Array): Promise<void> {
    const time = this.#readTime(record);
    const isProven = time?.isProven ?? false;
    // The wire takes no snapshot without a time.
    const readAtMs = time?.readAtMs ?? Number.NEGATIVE_INFINITY;
    // Of whom it answers nothing is said: the time of what was taken out ends by itself.
    const provenance = { position: record.asOf, readAtMs, isProven, answered: [] };
    await this.#state.context.store.takeSnapshot(bytes, record.digest, provenance);
    this.#state.isReadProven = isProven;
    this.#state.counters.snapshotsTaken++;
    this.#state.report('snapshot-taken', `${record.blob.name}, ${bytes.byteLength} bytes`);
  }

  #refused(record: FleetSnapshotRecord, error: unknown): false {
    const detail = `the snapshot "${record.blob.name}": ${messageOf(error)}`;
    if (isRefusal(error)) {
      this.#state.poisoned(record.blob.name);
      this.#state.refuse(error.reason, detail);
    } else {
      this.#state.report('refused', `${detail}; it is tried again`);
    }
    return false;
  }

  #arrive(record: FleetSnapshotRecord): void {
    this.#failedName = undefined;
    this.#state.confirm(this.#readTime(record));
    this.#taken(record);
  }
}

/** Are these the bytes that the leader wrote? */
export function isBlob(
  bytes: Uint8Array,
  blob: { readonly byteLength: number; readonly sha256: Uint8Array },
): boolean {
  if (bytes.byteLength !== blob.byteLength) return false;
  return hash('sha256', bytes, 'buffer').equals(blob.sha256);
}
