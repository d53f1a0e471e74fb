/**
 * Leads the fleet for one term: publishes what the loader publishes, in order, and keeps the bus such that
 * any replica can join or come back. Loader thread.
 *
 * **Invariants.** The log's content is `#chain` after its last record; every delta goes from there. A change
 * that cannot be sent as one (too many wait, or one is missing) restarts the chain: the log says what the
 * content is now, and a snapshot of it follows. Nothing is written without a held lease, nor after the bus
 * refused a position.
 */
import type { Beat, LogPosition } from '../bus/bus.ts';
import { AskQueue } from './ask-queue.ts';
import { Bell, linkedAbort, Stopped, unlessStopped } from './clock.ts';
import { type LogWriter, type TermEnd, TermOver } from './log-writer.ts';
import { isBusError, type ReplicaState } from './replica-state.ts';
import { SnapshotPublisher } from './snapshot-publisher.ts';
import { type Ask, type FleetBeat, readBeats } from './wire/beat.ts';
import {
  type BlobReference,
  RECORD_OVERHEAD_BYTES,
  type RecordBody,
  type ReloadRecord,
  revocationsPerRecord,
  revokeRecords,
  type SourceRead,
} from './wire/records.ts';

/** Content `to` was published here, by these changes to content `from`. */
export interface Change {
  readonly from: string;
  readonly to: string;
  /** Absent: there is no delta for it. */
  readonly bytes?: Uint8Array | undefined;
  /** When the read of the source began that says so, monotonic. */
  readonly readAtMs: number;
  /** When it was asked about what has changed, or all of it: no earlier than `readAtMs`. */
  readonly askedAtMs?: number | undefined;
}

interface Pending extends Change {
  readonly bytes: Uint8Array;
}

/** A node that the source has told of is out by itself for so long; by then the delta is there. */
const OUT_HOLD_MS = 10_000;
/** More at once are for the delta, which is there as soon and says it in fewer bytes. */
const OUT_AT_ONCE_MAX = 16;
/** Nodes that wait to be told of: more are for the delta. */
const OUT_MAX = 256;
/** Readings of the heartbeats in a row that find mostly those of strangers. */
const STRANGE_READINGS_MAX = 3;
/** Heartbeats of a large fleet are read so much more seldom. */
const READ_BEATS_MS_PER_REPLICA = 5;

export class Leader {
  readonly #state: ReplicaState;
  readonly #writer: LogWriter;
  readonly #bell: Bell;
  readonly #startedAtMs: number;
  readonly #snapshots: SnapshotPublisher;
  /** What the log's content is; undefined while this leader does not know it. */
  #chain: string | undefined;
  /** When the source was read for it. */
  #chainReadAtMs = Number.NEGATIVE_INFINITY;
  /** What it will be when everything that waits is written. */
  #tail: string | undefined;
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #mustRestart: boolean;
  #reload: Omit<ReloadRecord, 'kind'> | undefined;
  #idleAtMs: number;
  /** Nodes that the source has told of, to be written. */
  #out: { readonly id: Uint8Array; readonly sinceMs: number }[] = [];
  #strangeReadings = 0;
  /** Heartbeats of another seal, as they were read last. */
  #strangers = new Map<string, { readonly text: string; readonly isLiving: boolean }>();
  /** Revocations that are to be written, of this replica and of others. */
  readonly #asks: AskQueue;
  readonly #asksForRevocations: boolean;
  #isOutnumbered = false;
  #wishPauseMs: number;
  #grantedAtMs = Number.NEGATIVE_INFINITY;
  /** Those who wished for it, and have gone on since. */
  #grantedTo: ReadonlySet<string> = new Set();

  /**
   * `knows.content`: what is held is the content of the log up to the writer's position.
   * `knows.revocations`: all records up to there were read.
   */
  constructor(
    state: ReplicaState,
    writer: LogWriter,
    knows: { readonly content: boolean; readonly revocations: boolean },
  ) {
    const { clock, store, times } = state.context;
    this.#state = state;
    this.#writer = writer;
    this.#bell = new Bell(clock);
    this.#startedAtMs = clock.nowMs();
    this.#idleAtMs = clock.nowMs();
    this.#mustRestart = !knows.content;
    this.#asksForRevocations = !knows.revocations;
    this.#asks = new AskQueue(clock, state.answers());
    this.#asks.hear(state.context.identity.replica, state.asks.list());
    this.#chain = knows.content ? store.held()?.digest : undefined;
    this.#chainReadAtMs = store.held()?.readAtMs ?? Number.NEGATIVE_INFINITY;
    this.#tail = this.#chain;
    this.#wishPauseMs = times.wishPauseMs;
    this.#snapshots = new SnapshotPublisher(state, writer, {
      asks: this.#asks,
      asksForRevocations: !knows.revocations,
      onReady: () => this.#bell.ring(),
    });
  }

  /** The content of the log, as far as this leader wrote it. */
  get chain(): string | undefined {
    return this.#mustRestart ? undefined : this.#chain;
  }

  get position(): LogPosition {
    return this.#writer.position;
  }

  /** The loader has published. */
  changed(change: Change): void {
    this.#bell.ring();
    if (this.#mustRestart || change.to === this.#tail) return;
    const { limits, bus } = this.#state.context;
    const { bytes } = change;
    const bytesMax = Math.min(bus.blobBytesMax, limits.pendingBytes - this.#pendingBytes);
    const fits = bytes !== undefined && bytes.byteLength <= bytesMax;
    if (!fits || change.from !== this.#tail || this.#pending.length >= limits.pendingDeltas) {
      this.#restartChain('a change that cannot be sent as one');
      return;
    }
    this.#pending.push({ ...change, bytes });
    this.#pendingBytes += bytes.byteLength;
    this.#tail = change.to;
  }

  /** This was asked for here (`ReplicaState.ask`). */
  asked(asks: readonly Ask[]): void {
    this.#asks.hear(this.#state.context.identity.replica, asks);
    this.#bell.ring();
  }

  /** The source has confirmed their revocations, in content `to`: they end when that is in the log. */
  fulfilled(ids: readonly Uint8Array[], to: string, askedAtMs: number): void {
    this.#asks.confirm(ids, to, askedAtMs);
    // The log's content restarts: what it will be is what is held then.
    if (this.#mustRestart) this.#asks.skipTo(to);
    if (this.#pending.length === 0 && !this.#mustRestart && this.#chain === to) this.#asks.wrote(to);
    this.#bell.ring();
  }

  /** The loader has found the content still right. */
  wake(): void {
    this.#bell.ring();
  }

  /** The source has told of these nodes, and they are out of selections here: ahead of their delta. */
  takenOut(ids: readonly Uint8Array[]): void {
    if (ids.length > OUT_AT_ONCE_MAX) return;
    const sinceMs = this.#state.context.clock.nowMs();
    this.#out.push(...ids.slice(0, OUT_MAX - this.#out.length).map(id => ({ id, sinceMs })));
    this.#bell.ring();
  }

  reload(spreadMs: number, reason: string): void {
    this.#reload = { spreadMs, reason };
    this.#bell.ring();
  }

  /** Until the term is over. */
  async run(signal: AbortSignal): Promise<TermEnd> {
    const ending = linkedAbort(signal, this.#writer.term.lost);
    const works = [
      this.#write(ending.signal),
      this.#readBeats(ending.signal),
      this.#snapshots.run(ending.signal),
    ];
    const results = await Promise.allSettled(
      works.map(work => work.finally(() => ending.controller.abort())),
    );
    ending.unlink();
    const errors = results.flatMap(result =>
      result.status === 'rejected' ? [result.reason as unknown] : [],
    );
    for (const error of errors) if (!(error instanceof TermOver)) throw error;
    if (signal.aborted) return 'stopped';
    // The others were stopped by the one that found out.
    const ends = errors.map(error => (error as TermOver).end).filter(found => found !== 'stopped');
    return ends[0] ?? 'lease-lost';
  }

  async #write(signal: AbortSignal): Promise<void> {
    const { clock } = this.#state.context;
    while (!signal.aborted) {
      this.#writer.checkTerm(signal);
      if (this.#isOutnumbered) throw new TermOver('outnumbered');
      if (this.#strangeReadings >= STRANGE_READINGS_MAX) throw new TermOver('among-strangers');
      if (await this.#writeNext(signal)) continue;
      await this.#bell.wait(this.#idleAtMs - clock.nowMs(), signal);
    }
  }

  /** The most urgent thing there is to write; false when there is none. */
  async #writeNext(signal: AbortSignal): Promise<boolean> {
    const { clock, store } = this.#state.context;
    if ((await this.#writeOut(signal)) || (await this.#writeAsked(signal))) return true;
    // What this machine has read in this term is of its own clock.
    if (this.#isFresh()) this.#state.isReadProven = true;
    if (this.#mustRestart && this.#isFresh()) return await this.#writeRestart(signal);
    const change = this.#pending[0];
    if (change !== undefined) return await this.#writeChange(change, signal);
    const held = store.held();
    if (!this.#mustRestart && held !== undefined && held.digest === this.#chain) {
      this.#chainReadAtMs = held.readAtMs;
      this.#snapshots.capture(this.#writer.position);
    }
    if (await this.#snapshots.writeReady(signal)) return this.#wrote();
    if (this.#reload !== undefined) return await this.#writeReload(this.#reload, signal);
    if (clock.nowMs() < this.#idleAtMs) return false;
    await this.#record(this.#idle(this.#mustRestart ? undefined : this.#chain), signal);
    return true;
  }

  #idle(digest: string | undefined): RecordBody {
    const { replicaCount } = this.#state;
    return { kind: 'idle', digest, replicaCount, asksForRevocations: this.#asksForRevocations };
  }

  async #record(body: RecordBody, signal: AbortSignal, readAtMs = this.#chainReadAtMs): Promise<void> {
    await this.#writer.write(this.#writer.record(body, this.#read(readAtMs)), signal);
    this.#wrote();
  }

  #wrote(): true {
    const { clock, store, times } = this.#state.context;
    this.#idleAtMs = clock.nowMs() + times.idleEveryMs;
    this.#snapshots.countRecord();
    if (!this.#mustRestart) {
      if (store.held()?.digest === this.#chain) this.#state.arrive(this.#writer.position);
      else this.#state.moveTo(this.#writer.position);
    }
    return true;
  }

  #read(readAtMs: number): SourceRead | undefined {
    if (!Number.isFinite(readAtMs)) return undefined;
    const agoMs = Math.max(0, this.#state.context.clock.nowMs() - readAtMs);
    return { agoMs, isProven: this.#state.isReadProven };
  }

  /** Before everything else; unless the bus took so long that the delta will be there as soon. */
  async #writeOut(signal: AbortSignal): Promise<boolean> {
    const { bus, clock } = this.#state.context;
    const nowMs = clock.nowMs();
    this.#out = this.#out.filter(({ sinceMs }) => nowMs - sinceMs < OUT_HOLD_MS);
    const out = this.#out.slice(0, revocationsPerRecord(bus.recordBytesMax));
    const last = out.at(-1);
    if (last === undefined) return false;
    const revocations = out.map(({ id }) => ({ id, holdMs: OUT_HOLD_MS }));
    await this.#record({ kind: 'revoke', revocations, answers: [], outSinceMs: last.sinceMs }, signal);
    this.#out = this.#out.filter(one => !out.includes(one));
    return true;
  }

  /** Then what somebody asked for, and the ends of what the source has confirmed. */
  async #writeAsked(signal: AbortSignal): Promise<boolean> {
    const { bus } = this.#state.context;
    const revocations = this.#asks.next(revocationsPerRecord(bus.recordBytesMax));
    this.#asks.take(revocations);
    const answers = this.#asks.answers({ isAll: false });
    const records = revokeRecords(revocations, answers, bus.recordBytesMax);
    for (const record of records) {
      await this.#record(record, signal);
      this.#state.obey(record);
    }
    this.#asks.answered(answers);
    return records.length > 0;
  }

  /** Has the source been read in this term? What was held before may be older than the log. */
  #isFresh(): boolean {
    const held = this.#state.context.store.held();
    return held !== undefined && held.readAtMs >= this.#startedAtMs;
  }

  #restartChain(reason: string): void {
    this.#mustRestart = true;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#tail = undefined;
    this.#state.report('chain-restarted', reason);
  }

  async #writeRestart(signal: AbortSignal): Promise<boolean> {
    const held = this.#state.context.store.held()!;
    // What is published from now on, also while this is being written, goes from here.
    this.#mustRestart = false;
    this.#chain = held.digest;
    this.#chainReadAtMs = held.readAtMs;
    this.#tail = held.digest;
    this.#asks.skipTo(held.digest);
    this.#snapshots.want('the chain was restarted');
    await this.#record(this.#idle(held.digest), signal);
    this.#asks.wrote(held.digest);
    return true;
  }

  async #writeChange(change: Pending, signal: AbortSignal): Promise<boolean> {
    const { from, to, readAtMs, askedAtMs } = change;
    const payload = await this.#payload(change, signal);
    // While the payload was put aside, the chain may have been restarted.
    if (payload === undefined || this.#pending[0] !== change) return true;
    await this.#writer.write(
      this.#writer.record({ kind: 'delta', from, to, payload, askedAtMs }, this.#read(readAtMs)),
      signal,
    );
    if (this.#pending[0] === change) {
      this.#pending.shift();
      this.#pendingBytes -= change.bytes.byteLength;
    }
    if (!this.#mustRestart) {
      this.#chain = to;
      this.#chainReadAtMs = readAtMs;
      this.#asks.wrote(to);
    }
    this.#snapshots.countDelta(change.bytes.byteLength);
    return this.#wrote();
  }

  /** The changes themselves where they fit into a record, else a blob of them. */
  async #payload(change: Pending, signal: AbortSignal): Promise<Uint8Array | BlobReference | undefined> {
    const { bus } = this.#state.context;
    if (change.bytes.byteLength + RECORD_OVERHEAD_BYTES <= bus.recordBytesMax) return change.bytes;
    const { epoch, seq } = this.#writer.position;
    const blob = await this.#snapshots.put(`delta-${epoch}-${seq + 1}`, change.bytes, signal);
    if (blob === undefined && this.#pending[0] === change)
      this.#restartChain('a change that the bus does not take');
    return blob;
  }

  async #writeReload(order: Omit<ReloadRecord, 'kind'>, signal: AbortSignal): Promise<boolean> {
    await this.#record({ kind: 'reload', ...order }, signal);
    if (this.#reload === order) this.#reload = undefined;
    return true;
  }

  /** Reads the heartbeats: how many live, what they need, and what they were asked for. */
  async #readBeats(signal: AbortSignal): Promise<void> {
    const { bus, clock, times } = this.#state.context;
    const pace = new Bell(clock);
    while (!signal.aborted) {
      try {
        const beats = await unlessStopped(bus.beats(), signal);
        this.#state.busWorked();
        const { known, refusals, strange } = readBeats(beats, this.#state.context.sealer);
        for (const { reason } of refusals) this.#state.counters.refused[reason]++;
        const areMostStrange = this.#livingOf(strange) > beats.length - strange.length;
        this.#strangeReadings = areMostStrange ? this.#strangeReadings + 1 : 0;
        this.#heard(known);
      } catch (error) {
        if (error instanceof Stopped) return;
        if (!isBusError(error)) throw error;
        this.#state.busFailed(error);
      }
      const { replicaCount } = this.#state;
      await pace.wait(Math.max(times.readBeatsEveryMs, replicaCount * READ_BEATS_MS_PER_REPLICA), signal);
    }
  }

  /** How many have spoken since this leader first read them: what the dead have left is not counted. */
  #livingOf(strange: readonly Beat[]): number {
    const seen = this.#strangers;
    this.#strangers = new Map();
    let living = 0;
    for (const { replica, bytes } of strange) {
      const text = Buffer.from(bytes).toString('latin1');
      const before = seen.get(replica);
      const isLiving = before !== undefined && (before.isLiving || before.text !== text);
      this.#strangers.set(replica, { text, isLiving });
      if (isLiving) living++;
    }
    return living;
  }

  #heard(beats: readonly FleetBeat[]): void {
    const { identity } = this.#state.context;
    this.#state.replicaCount = Math.max(1, beats.length);
    const others = beats.filter(({ replica }) => replica !== identity.replica);
    this.#isOutnumbered = others.some(({ epoch }) => epoch > this.#writer.epoch);
    // Of its own layout there is one already, or it cannot help.
    const { hasPublished } = this.#snapshots;
    this.#grant(others.filter(({ wish }) => wish !== 'none' && !(wish === 'layout' && hasPublished)));
    for (const { replica, asks } of others) {
      this.#asks.hear(replica, asks);
    }
    this.#bell.ring();
  }

  /**
   * A snapshot for those who wish for one; ever more seldom while the same ones go on, of whom some may have
   * died wishing.
   */
  #grant(wishing: readonly FleetBeat[]): void {
    const { clock, times } = this.#state.context;
    const names = new Set(wishing.map(({ replica }) => replica));
    const areSame = wishing.every(({ replica }) => this.#grantedTo.has(replica));
    if (names.size === 0 || !areSame) this.#wishPauseMs = times.wishPauseMs;
    if (areSame) this.#grantedTo = names;
    if (names.size === 0 || clock.nowMs() < this.#grantedAtMs + this.#wishPauseMs) return;
    if (areSame) this.#wishPauseMs = Math.min(2 * this.#wishPauseMs, times.wishPauseLongestMs);
    this.#grantedTo = names;
    this.#grantedAtMs = clock.nowMs();
    this.#snapshots.want(`${wishing.length} replicas wish for one, such as ${wishing[0]!.replica}`);
  }
}
