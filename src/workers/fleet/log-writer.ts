/**
 * Writes the records of one leader's epoch, one at a time, each until the bus has it for sure. Loader thread.
 *
 * **Invariants.** A position is never written with two different contents: what was not acknowledged is
 * written again as it is, or never. The epoch is this leader's alone: one that may have been begun by
 * somebody else is left, and a higher one begun.
 */
import { assert } from '../../engine/assert.ts';
import { comparePositions, type LogPosition, type LogRecord } from '../bus/bus.ts';
import { Backoff, linkedAbort, Stopped, sleep, unlessStopped } from './clock.ts';
import type { Term } from './election/election.ts';
import { isBusError, type ReplicaState } from './replica-state.ts';
import { readBeats } from './wire/beat.ts';
import {
  encodeRecord,
  type FleetRecord,
  type RecordBody,
  type SourceRead,
  type Stamp,
} from './wire/records.ts';

export type TermEnd =
  /** The replica was told to. */
  | 'stopped'
  | 'lease-lost'
  /** Somebody with a higher position has written. */
  | 'fenced'
  /** The bus cannot be reached. */
  | 'bus-lost'
  /** Replicas live in a higher epoch. */
  | 'outnumbered'
  /** Most heartbeats have another seal: nobody would read what is written. */
  | 'among-strangers';

/** Ends an office, from wherever that is found. */
export class TermOver extends Error {
  override readonly name = 'TermOver';
  readonly end: TermEnd;

  constructor(end: TermEnd) {
    super(end);
    this.end = end;
  }
}

/** No real election counts so far; whoever writes a higher one is not listened to. */
const EPOCH_MAX = 2 ** 52;
const EPOCH_ATTEMPTS_MAX = 16;
/** What is read back may have been damaged on the way: so often, and it is believed. */
const STRANGE_MAX = 2;

export class LogWriter {
  readonly term: Term;
  readonly #state: ReplicaState;
  readonly #backoff: Backoff;
  /** The log was empty before this epoch. */
  readonly isFirst: boolean;
  #position: LogPosition;
  #acknowledgedAtMs: number;
  /** An attempt to write the next record may have worked without our hearing of it. */
  #isUncertain = false;
  /** Times that something else was read back. */
  #strangeCount = 0;

  private constructor(state: ReplicaState, term: Term, { position, isFirst }: Begun) {
    const { clock, random, times } = state.context;
    this.term = term;
    this.#state = state;
    this.isFirst = isFirst;
    this.#position = position;
    this.#acknowledgedAtMs = clock.nowMs();
    this.#backoff = new Backoff(random, { firstMs: times.backoffFirstMs, longestMs: times.backoffLongestMs });
  }

  /** Begins an epoch above every other. Throws `TermOver`. */
  static async begin(state: ReplicaState, term: Term, signal: AbortSignal): Promise<LogWriter> {
    const { clock, random, times } = state.context;
    const backoff = new Backoff(random, { firstMs: times.backoffFirstMs, longestMs: times.backoffLongestMs });
    const startedAtMs = clock.nowMs();
    for (let attempt = 0; attempt < EPOCH_ATTEMPTS_MAX; attempt++) {
      try {
        const begun = await beginEpoch(state, term, signal);
        if (begun !== undefined) return new LogWriter(state, term, begun);
      } catch (error) {
        if (error instanceof Stopped) throw new TermOver('lease-lost');
        if (!isBusError(error)) throw error;
        state.busFailed(error);
      }
      if (clock.nowMs() - startedAtMs > times.busLostMs) break;
      await sleep(clock, backoff.nextMs(), signal);
    }
    throw new TermOver('bus-lost');
  }

  /** Of the last record that the bus has. */
  get position(): LogPosition {
    return this.#position;
  }

  get epoch(): number {
    return this.#position.epoch;
  }

  /** A record for now, behind the last one. */
  record<T extends RecordBody>(body: T, read: SourceRead | undefined): T & { readonly stamp: Stamp } {
    const { clock } = this.#state.context;
    const stamp: Stamp = {
      sentAtMs: clock.nowMs(),
      sentUnixMs: clock.unixMs(),
      previous: this.#position,
      acknowledgedAtMs: this.#acknowledgedAtMs,
      read,
    };
    return { ...body, stamp };
  }

  /** Writes `record`, just made, and resolves when the bus has it. Throws `TermOver`. */
  async write(record: FleetRecord, signal: AbortSignal): Promise<LogPosition> {
    const { clock, times, bus, sealer } = this.#state.context;
    assert(record.stamp.previous === this.#position, 'another record was written since this one was made');
    const position = { epoch: this.#position.epoch, seq: this.#position.seq + 1 };
    const bytes = encodeRecord(record, position, sealer);
    assert(bytes.byteLength <= bus.recordBytesMax, () => `a ${record.kind} of ${bytes.byteLength} bytes`);
    const startedAtMs = clock.nowMs();
    while (!(await this.#append({ position, bytes }, signal))) {
      if (clock.nowMs() - startedAtMs > times.busLostMs) throw new TermOver('bus-lost');
      await sleep(clock, this.#backoff.nextMs(), signal);
    }
    this.#backoff.worked();
    this.#isUncertain = false;
    this.#strangeCount = 0;
    this.#state.readUpTo(this.#position, position);
    this.#position = position;
    this.#acknowledgedAtMs = clock.nowMs();
    this.#state.epochSeen = Math.max(this.#state.epochSeen, position.epoch);
    return position;
  }

  /** True when the bus has it. */
  async #append(record: LogRecord, signal: AbortSignal): Promise<boolean> {
    const { bus } = this.#state.context;
    this.checkTerm(signal);
    try {
      await unlessStopped(bus.append(record), signal);
      this.#state.busWorked();
      return true;
    } catch (error) {
      if (error instanceof Stopped) this.checkTerm(signal);
      if (!isBusError(error)) throw error;
      this.#state.busFailed(error);
      if (error.code === 'BUS_FENCED') return await this.#isWritten(record, signal);
      this.#isUncertain = true;
      return false;
    }
  }

  /**
   * The bus refused a position. Was it that an attempt before, whose answer was lost, had written it? Reads
   * it back: whoever else may write into the log could have been faster. Throws `TermOver`.
   */
  async #isWritten(record: LogRecord, signal: AbortSignal): Promise<boolean> {
    if (!this.#isUncertain) throw new TermOver('fenced');
    const { bus, clock, times } = this.#state.context;
    const reading = linkedAbort(signal);
    const cancel = clock.after(times.idleEveryMs, () => reading.controller.abort());
    try {
      for await (const records of bus.follow(this.#position, reading.signal)) {
        if (isSame(records[0], record)) return true;
        if (++this.#strangeCount > STRANGE_MAX) throw new TermOver('fenced');
        return false;
      }
    } catch (error) {
      if (!isBusError(error)) throw error;
      this.#state.busFailed(error);
      if (error.code === 'BUS_GAP') throw new TermOver('fenced');
    } finally {
      cancel();
      reading.controller.abort();
      reading.unlink();
    }
    this.checkTerm(signal);
    return false;
  }

  /** Throws `TermOver` when this leader is none any more. */
  checkTerm(signal: AbortSignal): void {
    if (!this.term.stillHeld() || this.term.lost.aborted) throw new TermOver('lease-lost');
    if (signal.aborted) throw new TermOver('stopped');
  }
}

function isSame(found: LogRecord | undefined, { position, bytes }: LogRecord): boolean {
  return (
    found !== undefined &&
    comparePositions(found.position, position) === 0 &&
    Buffer.compare(found.bytes, bytes) === 0
  );
}

/** An epoch that is this leader's. */
interface Begun {
  readonly position: LogPosition;
  readonly isFirst: boolean;
}

/** Undefined when somebody else was there first, or may have been: the next attempt is for a higher epoch. */
async function beginEpoch(state: ReplicaState, term: Term, signal: AbortSignal): Promise<Begun | undefined> {
  const { bus, clock, identity, sealer } = state.context;
  const last = await unlessStopped(bus.last(), signal);
  const known = [state.epochSeen, last?.epoch ?? 0, await highestBeatEpoch(state, signal)];
  const epoch = Math.max(term.epoch, ...known.filter(seen => seen < EPOCH_MAX).map(seen => seen + 1));
  state.epochSeen = epoch;
  if (!term.stillHeld()) throw new TermOver('lease-lost');
  const position = { epoch, seq: 0 };
  const stamp: Stamp = { sentAtMs: clock.nowMs(), sentUnixMs: clock.unixMs(), previous: last };
  const record: FleetRecord = { kind: 'epoch', leader: identity.replica, stamp };
  const bytes = encodeRecord(record, position, sealer);
  try {
    await unlessStopped(bus.append({ position, bytes }), signal);
  } catch (error) {
    if (isBusError(error) && error.code === 'BUS_FENCED') return undefined;
    throw error;
  }
  state.busWorked();
  return { position, isFirst: last === undefined };
}

/** Replicas that live in a higher epoch would drop what is written in a lower one. */
async function highestBeatEpoch(state: ReplicaState, signal: AbortSignal): Promise<number> {
  const { bus, sealer } = state.context;
  // One that cannot be read says nothing.
  const { known } = readBeats(await unlessStopped(bus.beats(), signal), sealer);
  return Math.max(0, ...known.map(({ epoch }) => epoch).filter(epoch => epoch < EPOCH_MAX));
}
