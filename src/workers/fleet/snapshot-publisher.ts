/**
 * Keeps a snapshot on the bus from which a newcomer can start: taken at one moment of the chain, put aside
 * while the log goes on, then announced in the log, behind all revocations of that time, and pointed to. The
 * last two are kept, and the log from the older one on. Also looks whether the bus still has what was
 * written. Loader thread.
 */
import { hash } from 'node:crypto';
import { comparePositions, LOG_START, type LogPosition } from '../bus/bus.ts';
import type { AskQueue } from './ask-queue.ts';
import { Backoff, Bell, Stopped, sleep, unlessStopped } from './clock.ts';
import { type LogWriter, TermOver } from './log-writer.ts';
import { isBusError, type ReplicaState } from './replica-state.ts';
import {
  type BlobReference,
  encodePointer,
  type FleetSnapshotRecord,
  revokeRecords,
  type SnapshotRecord,
} from './wire/records.ts';

/** Content at a moment of the chain. */
interface Capture {
  readonly asOf: LogPosition;
  readonly digest: string;
  readonly bytes: Uint8Array;
  readonly readAtMs: number;
  readonly isProven: boolean;
}

interface Kept {
  readonly asOf: LogPosition;
  /** Empty where a leader before this one published it: its blob goes away by itself. */
  readonly name: string;
}

/** Deltas of fewer bytes together are no reason for a snapshot, however small that is. */
const DELTA_BYTES_MIN = 2 ** 20;
const SPREAD_MS_MAX = 60_000;
const KEPT_COUNT = 2;

interface PublisherParts {
  readonly asks: AskQueue;
  readonly asksForRevocations: boolean;
  /** `writeReady` has something to do, or `capture` is asked for. */
  readonly onReady: () => void;
}

export class SnapshotPublisher {
  readonly #state: ReplicaState;
  readonly #writer: LogWriter;
  readonly #asks: AskQueue;
  readonly #asksForRevocations: boolean;
  readonly #ready: () => void;
  readonly #bell: Bell;
  #wanted: string | undefined;
  /** The bus has lost this position and what is before it: nobody could read on from there. */
  #lostUpTo: LogPosition = LOG_START;
  #capture: Capture | undefined;
  /** Put aside, to be announced. */
  #stored: { readonly capture: Capture; readonly blob: BlobReference } | undefined;
  /** Announced, to be pointed to. */
  #announced: FleetSnapshotRecord | undefined;
  #pointNotBeforeMs = Number.NEGATIVE_INFINITY;
  readonly #backoff: Backoff;
  /** Announced and pointed to, oldest first. */
  #kept: Kept[] = [];
  #records = 0;
  #deltas = 0;
  #deltaBytes = 0;
  #snapshotBytes = 0;
  #publishedAtMs: number;
  #hasPublished = false;

  constructor(state: ReplicaState, writer: LogWriter, { asks, asksForRevocations, onReady }: PublisherParts) {
    const { random, times } = state.context;
    this.#backoff = new Backoff(random, { firstMs: times.backoffFirstMs, longestMs: times.backoffLongestMs });
    this.#state = state;
    this.#writer = writer;
    this.#asks = asks;
    this.#asksForRevocations = asksForRevocations;
    this.#ready = onReady;
    this.#bell = new Bell(state.context.clock);
    this.#publishedAtMs = state.context.clock.nowMs();
  }

  /** Bus and log have a snapshot by this leader. */
  get hasPublished(): boolean {
    return this.#hasPublished;
  }

  want(reason: string): void {
    this.#wanted ??= reason;
    this.#ready();
  }

  countRecord(): void {
    this.#records++;
    this.#consider();
  }

  countDelta(byteCount: number): void {
    this.#deltas++;
    this.#deltaBytes += byteCount;
  }

  /** What is held is the content of the log at `asOf`. */
  capture(asOf: LogPosition): void {
    const isBusy = this.#capture !== undefined || this.#stored !== undefined || this.#announced !== undefined;
    if (this.#wanted === undefined || isBusy || comparePositions(asOf, this.#lostUpTo) <= 0) return;
    const { store } = this.#state.context;
    const held = store.held();
    const packed = store.snapshot();
    if (held === undefined || packed === undefined || packed.digest !== held.digest) return;
    this.#capture = { ...packed, asOf, readAtMs: held.readAtMs, isProven: this.#state.isReadProven };
    this.#wanted = undefined;
    this.#records = 0;
    this.#deltas = 0;
    this.#deltaBytes = 0;
    this.#bell.ring();
  }

  /** Until `signal` aborts: puts captures aside, and looks after what is there. Throws `TermOver`. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#store(signal), this.#audit(signal)]);
  }

  /** Stores a blob under a name of its own. Undefined when the bus does not take it. Throws `TermOver`. */
  async put(prefix: string, bytes: Uint8Array, signal: AbortSignal): Promise<BlobReference | undefined> {
    const { bus, clock, random, times } = this.#state.context;
    const backoff = new Backoff(random, { firstMs: times.backoffFirstMs, longestMs: times.backoffLongestMs });
    const sha256 = hash('sha256', bytes, 'buffer');
    for (;;) {
      // What an attempt left half done is in nobody's way.
      const name = `${prefix}-${Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0')}`;
      try {
        await unlessStopped(bus.putBlob(name, bytes, times.blobExpiresMs), signal);
        this.#state.busWorked();
        return { name, byteLength: bytes.byteLength, sha256 };
      } catch (error) {
        if (error instanceof Stopped) throw new TermOver('lease-lost');
        if (!isBusError(error)) throw error;
        this.#state.busFailed(error);
        if (error.code === 'BUS_TOO_LARGE') return undefined;
      }
      await sleep(clock, backoff.nextMs(), signal);
      this.#writer.checkTerm(signal);
    }
  }

  /** Announces what was put aside, or points to it. False when there is nothing to do. Throws `TermOver`. */
  async writeReady(signal: AbortSignal): Promise<boolean> {
    if (this.#announced !== undefined) return await this.#pointTo(this.#announced, signal);
    const stored = this.#stored;
    if (stored === undefined) return false;
    await this.#writeRevocations(signal);
    const record = this.#record(stored.capture, stored.blob);
    await this.#writer.write(record, signal);
    this.#stored = undefined;
    this.#announced = record;
    return true;
  }

  async #pointTo(record: FleetSnapshotRecord, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#state.context;
    if (clock.nowMs() < this.#pointNotBeforeMs) return false;
    if (!(await this.#point(record, signal))) {
      this.#pointNotBeforeMs = clock.nowMs() + this.#backoff.nextMs();
      return false;
    }
    this.#backoff.worked();
    this.#announced = undefined;
    this.#snapshotBytes = record.blob.byteLength;
    this.#publishedAtMs = clock.nowMs();
    this.#hasPublished = true;
    this.#state.report('snapshot-published', `${record.blob.name}, ${record.blob.byteLength} bytes`);
    this.#kept.push({ asOf: record.asOf, name: record.blob.name });
    await this.#forgetOld(signal);
    return true;
  }

  /**
   * For those who start from the snapshot: the records before it, with revocations in them, are not read. And
   * for those who have missed the end of one (`RevocationList`): so nothing else is written before the record
   * that announces it.
   */
  async #writeRevocations(signal: AbortSignal): Promise<void> {
    const { bus } = this.#state.context;
    const answers = this.#asks.answers({ isAll: true });
    for (const record of revokeRecords(this.#state.revocations(), answers, bus.recordBytesMax))
      await this.#writer.write(this.#writer.record(record, undefined), signal);
  }

  #record(capture: Capture, blob: BlobReference): FleetSnapshotRecord {
    const { clock, identity, limits, store } = this.#state.context;
    const seconds = (this.#state.replicaCount * blob.byteLength) / limits.fetchBytesPerSecond;
    const body: SnapshotRecord = {
      kind: 'snapshot',
      asOf: capture.asOf,
      digest: capture.digest,
      blob,
      layout: identity.layout,
      program: identity.program,
      spreadMs: Math.min(SPREAD_MS_MAX, Math.ceil(1000 * seconds)),
      asksForRevocations: this.#asksForRevocations,
      isListWhole: !store.hasDropped(),
    };
    const agoMs = Math.max(0, clock.nowMs() - capture.readAtMs);
    return this.#writer.record(body, { agoMs, isProven: capture.isProven });
  }

  /** False when it did not work now. */
  async #point(record: FleetSnapshotRecord, signal: AbortSignal): Promise<boolean> {
    const { bus, sealer } = this.#state.context;
    try {
      await unlessStopped(bus.point({ position: record.asOf, bytes: encodePointer(record, sealer) }), signal);
      this.#state.busWorked();
      return true;
    } catch (error) {
      if (error instanceof Stopped) throw new TermOver('lease-lost');
      if (!isBusError(error)) throw error;
      this.#state.busFailed(error);
      if (error.code === 'BUS_FENCED') throw new TermOver('fenced');
      return false;
    }
  }

  /** Best effort: blobs go away by themselves, and a log that is too long is trimmed with the next one. */
  async #forgetOld(signal: AbortSignal): Promise<void> {
    const { bus } = this.#state.context;
    while (this.#kept.length > KEPT_COUNT) {
      const old = this.#kept.shift()!;
      try {
        await unlessStopped(bus.trim(this.#kept[0]!.asOf), signal);
        if (old.name !== '') await unlessStopped(bus.deleteBlob(old.name), signal);
      } catch (error) {
        if (error instanceof Stopped) throw new TermOver('lease-lost');
        if (!isBusError(error)) throw error;
        this.#state.busFailed(error);
      }
    }
  }

  #consider(): void {
    const { clock, limits, times } = this.#state.context;
    const bytesMax = Math.max(DELTA_BYTES_MIN, limits.deltaBytesRatio * this.#snapshotBytes);
    if (this.#deltas >= limits.deltasPerSnapshot) this.want('many deltas');
    else if (this.#records >= limits.recordsPerSnapshot) this.want('many records');
    else if (this.#deltaBytes >= bytesMax) this.want('large deltas');
    else if (clock.nowMs() - this.#publishedAtMs >= times.blobExpiresMs / 3)
      this.want('the last one expires');
  }

  async #store(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const capture = this.#capture;
      if (capture === undefined) {
        await this.#bell.wait(Number.POSITIVE_INFINITY, signal);
        continue;
      }
      const { epoch, seq } = capture.asOf;
      const blob = await this.#putOrStop(`snapshot-${epoch}-${seq}`, capture.bytes, signal);
      this.#capture = undefined;
      if (blob === undefined) continue;
      this.#stored = { capture, blob };
      this.#ready();
    }
  }

  async #putOrStop(
    prefix: string,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<BlobReference | undefined> {
    const blob = await this.put(prefix, bytes, signal);
    if (blob === undefined) {
      this.#state.report('refused', `the bus takes no snapshot of ${bytes.byteLength} bytes`);
    }
    return blob;
  }

  /** Does the bus still have what this leader wrote, and does it point somewhere? */
  async #audit(signal: AbortSignal): Promise<void> {
    const { clock, times, random } = this.#state.context;
    const pace = new Bell(clock);
    while (!signal.aborted) {
      try {
        await this.#auditOnce(signal);
      } catch (error) {
        if (error instanceof Stopped) return;
        if (!isBusError(error)) throw error;
        this.#state.busFailed(error);
      }
      await pace.wait(times.auditEveryMs * (0.5 + random() / 2), signal);
    }
  }

  async #auditOnce(signal: AbortSignal): Promise<void> {
    const { bus } = this.#state.context;
    const written = this.#writer.position;
    const last = await unlessStopped(bus.last(), signal);
    this.#state.busWorked();
    if (last !== undefined && last.epoch > written.epoch) throw new TermOver('fenced');
    if (last === undefined || comparePositions(last, written) < 0) {
      this.#lostUpTo = written;
      this.want('the bus has lost data');
    }
    const pointed = this.#kept.at(-1)?.asOf;
    const pointer = await unlessStopped(bus.pointer(), signal);
    if (pointer === undefined || (pointed !== undefined && comparePositions(pointer.position, pointed) < 0)) {
      this.want('the pointer is lost');
    } else if (this.#kept.length === 0) {
      this.#kept.push({ asOf: pointer.position, name: '' });
    }
  }
}
