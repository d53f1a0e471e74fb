/**
 * Follows the fleet's log, for one period between two offices of this replica: applies what fits to what it
 * holds, and nothing else. Loader thread.
 *
 * **Rules.**
 * - A record at or below the cursor is dropped: nothing is read twice, and no older epoch after a newer one.
 * - A delta is applied only to the very content that it was made from. One that leads to what is held already
 *   is skipped. Anything else makes the replica lost: it reads on (revocations are for all), and a snapshot
 *   or a record that fits brings it back in step.
 * - A record that cannot be read counts as not come. Every record names the one before it; where that is not
 *   the one that was read, the log is read again from there, and only after several tries as it is.
 * - `place` (`ReplicaState`) never goes back; a snapshot from before it is not taken.
 */
import { type BusError, comparePositions, LOG_START, type LogPosition, type LogRecord } from '../bus/bus.ts';
import { Backoff, Bell, Exclusive, linkedAbort, Stopped, sleep, unlessStopped } from './clock.ts';
import { isBusError, messageOf, type ReplicaState, rethrowAssertion } from './replica-state.ts';
import { RevocationList } from './revocation-list.ts';
import { SelfLoader } from './self-loader.ts';
import { isBlob, SnapshotFetcher } from './snapshot-fetcher.ts';
import {
  type BlobReference,
  type DeltaRecord,
  decodeRecord,
  type FleetRecord,
  type FleetSnapshotRecord,
  idText,
  type RevokeRecord,
  type Stamp,
} from './wire/records.ts';
import { isRefusal } from './wire/seal.ts';

/** Times that the log is read again from where something is missing. */
const REREADS_MAX = 3;

export class Follower {
  readonly #state: ReplicaState;
  readonly #exclusive = new Exclusive();
  readonly #fetcher: SnapshotFetcher;
  readonly #loads: SelfLoader;
  readonly #revocationList = new RevocationList();
  readonly #backoff: Backoff;
  readonly #progress: Bell;
  readonly #probeBell: Bell;
  /** The last record that was read; where reading goes on. */
  #cursor: LogPosition | undefined;
  /** The reading that is under way; aborted, it starts anew at the cursor. */
  #reading = new AbortController();
  #heardAtMs: number;
  /** The cursor behind which something was missing, and how often. */
  #missing: { readonly after: LogPosition | undefined; tries: number } = { after: undefined, tries: 0 };
  /** Gaps in a row that the pointer did not help over. */
  #gapCount = 0;
  /** After a gap nothing has come yet. */
  #hasGap = false;
  /** Where the newest pointer led from which nothing can be read. */
  #deadEnd: LogPosition = LOG_START;
  /** Where reading began by the pointer, until something was read from there. */
  #pointedTo: LogPosition | undefined;
  /** A snapshot was taken: reading goes on behind it at once. */
  #hasMoved = false;

  constructor(state: ReplicaState) {
    const { clock, random, times } = state.context;
    this.#state = state;
    this.#cursor = state.place;
    this.#heardAtMs = clock.nowMs();
    this.#backoff = new Backoff(random, { firstMs: times.backoffFirstMs, longestMs: times.backoffLongestMs });
    this.#progress = new Bell(clock);
    this.#probeBell = new Bell(clock);
    this.#fetcher = new SnapshotFetcher(state, this.#exclusive, record => this.#tookSnapshot(record));
    this.#loads = new SelfLoader(state, this.#exclusive, hasChanged => this.#loadedItself(hasChanged));
  }

  /** Until `signal` aborts. When it has resolved, nothing of this follower touches the store any more. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#read(signal),
      this.#probe(signal),
      this.#fetcher.run(signal),
      this.#loads.run(signal),
    ]);
    // What had begun to publish is waited for.
    await this.#exclusive.run(async () => undefined);
  }

  /** Every record up to `position` was read, or given up. */
  hasRead(position: LogPosition): boolean {
    return this.#cursor !== undefined && comparePositions(this.#cursor, position) >= 0;
  }

  /**
   * Waits until the log is read up to `position` and the replica is in step; true when it is, within
   * `timeoutMs`.
   */
  async caughtUp(position: LogPosition, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#state.context;
    const endMs = clock.nowMs() + timeoutMs;
    const isThere = () => this.hasRead(position) && this.#state.lost === undefined;
    while (!isThere() && clock.nowMs() < endMs && !signal.aborted) {
      await this.#progress.wait(endMs - clock.nowMs(), signal);
    }
    return isThere();
  }

  /** Reads the log, and starts anew when it ends, for whatever reason. */
  async #read(signal: AbortSignal): Promise<void> {
    const { clock } = this.#state.context;
    while (!signal.aborted) {
      try {
        const after = await this.#startOfReading(signal);
        if (after !== undefined) await this.#readAfter(after, signal);
      } catch (error) {
        if (error instanceof Stopped) return;
        if (!isBusError(error)) throw error;
        this.#readFailed(error);
      }
      if (!this.#hasMoved) await sleep(clock, this.#backoff.nextMs(), signal);
      this.#hasMoved = false;
    }
  }

  #readFailed(error: BusError): void {
    if (error.code === 'BUS_GAP') {
      this.#gapCount++;
      this.#hasGap = true;
      if (this.#pointedTo !== undefined) this.#deadEnd = this.#pointedTo;
      this.#pointedTo = undefined;
      this.#state.counters.gap++;
      this.#state.leaderClock.forgetProbe();
      this.#state.report('lost', error.message);
    } else {
      this.#state.busFailed(error);
    }
  }

  /** Where to read from; undefined when there is nothing to read yet. */
  async #startOfReading(signal: AbortSignal): Promise<LogPosition | undefined> {
    const last = await this.#askForLast(signal);
    if (this.#cursor !== undefined && this.#gapCount === 0) return this.#cursor;
    const pointed = await this.#fetcher.pointer(signal);
    const { context, isReplacing } = this.#state;
    if (pointed !== undefined && this.#leadsOn(pointed.asOf)) {
      // Another leader may not know of what was in the records that are gone.
      const isOther = this.#cursor !== undefined && this.#cursor.epoch !== pointed.asOf.epoch;
      if (isOther) this.#state.tellRevocations();
      this.#pointedTo = pointed.asOf;
      this.#jumpToBegin(pointed.asOf);
      if (context.store.held()?.digest === pointed.digest && !isReplacing) {
        this.#arrive(pointed.asOf, pointed.stamp);
      } else {
        this.#lose('the log has gone on without this replica');
        this.#fetcher.announce(pointed);
      }
      return pointed.asOf;
    }
    if (this.#gapCount > 0) this.#state.tellRevocations();
    return this.#startWithoutPointer(last);
  }

  /** Reading goes on somewhere else; it may be in the middle of a list of revocations. */
  #jumpTo(position: LogPosition): LogPosition {
    this.#revocationList.interrupted();
    this.#cursor = position;
    return position;
  }

  /** To where a snapshot begins, or the log: no list goes on from there. */
  #jumpToBegin(position: LogPosition): LogPosition {
    this.#revocationList.begins();
    this.#cursor = position;
    return position;
  }

  #leadsOn(asOf: LogPosition): boolean {
    const { place } = this.#state;
    if (place !== undefined && comparePositions(asOf, place) < 0) return false;
    return comparePositions(asOf, this.#deadEnd) > 0;
  }

  #startWithoutPointer(last: LogPosition | undefined): LogPosition | undefined {
    const cursor = this.#cursor;
    if (cursor === undefined) {
      this.#lose('there is no snapshot yet');
      return this.#jumpToBegin(LOG_START);
    }
    // Another leader may go on from what was read before.
    this.#state.ownReadAtMs ??= this.#state.context.store.held()?.readAtMs;
    this.#lose('the bus has lost data');
    this.#state.wishFor('newer');
    const isBehind = last === undefined || comparePositions(last, cursor) < 0;
    if (isBehind && this.#state.place !== undefined) return undefined;
    if (isBehind) this.#jumpToBegin(LOG_START);
    // Where we were, once more; and if that is a gap again, from what is new.
    if (this.#gapCount <= 1) return this.#cursor;
    this.#gapCount = 0;
    this.#state.missed();
    return this.#jumpTo(last ?? LOG_START);
  }

  async #readAfter(after: LogPosition, signal: AbortSignal): Promise<void> {
    const { bus, clock } = this.#state.context;
    const reading = linkedAbort(signal);
    this.#reading = reading.controller;
    this.#heardAtMs = clock.nowMs();
    try {
      for await (const records of bus.follow(after, reading.signal)) {
        this.#state.busWorked();
        this.#backoff.worked();
        this.#heardAtMs = clock.nowMs();
        this.#gapCount = 0;
        this.#hasGap = false;
        this.#pointedTo = undefined;
        for (const record of records) {
          if (reading.signal.aborted) return;
          await this.#receive(record, reading.signal);
        }
      }
    } finally {
      reading.unlink();
    }
  }

  /** Takes in a record; the cursor moves over it unless the log is to be read again. */
  async #receive({ position, bytes }: LogRecord, reading: AbortSignal): Promise<void> {
    const cursor = this.#cursor ?? LOG_START;
    if (comparePositions(position, cursor) <= 0) return this.#drop(position, cursor);
    const record = this.#decode(bytes, position);
    if (record === 'unreadable') {
      this.#readAgain(cursor);
      return;
    }
    if (record === 'skip') {
      this.#state.leaderHeard(position.epoch);
      this.#jumpTo(position);
      return this.#lose('a record that this program cannot read');
    }
    const { previous } = record.stamp;
    if (previous !== undefined && comparePositions(previous, cursor) > 0) {
      if (this.#readAgain(cursor)) return;
      this.#state.counters.hole++;
      this.#revocationList.interrupted();
      this.#state.missed();
      this.#lose('records are missing in the log');
    }
    if (this.#state.leaderClock.heard(position, cursor, record.stamp)) this.#probeBell.ring();
    this.#state.leaderHeard(position.epoch);
    await this.#apply(record, position, reading);
    // Meanwhile a snapshot may have set the cursor somewhere else.
    if (reading.aborted) return;
    this.#cursor = position;
    if (this.#state.lost === undefined) this.#state.moveTo(position);
    this.#progress.ring();
  }

  #drop(position: LogPosition, cursor: LogPosition): void {
    if (position.epoch < cursor.epoch) this.#state.counters.staleEpoch++;
    else this.#state.counters.duplicate++;
  }

  #decode(bytes: Uint8Array, position: LogPosition): FleetRecord | 'unreadable' | 'skip' {
    try {
      return decodeRecord(bytes, position, this.#state.context.sealer);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#state.refuse(error.reason, error.message);
      // Only a record with the right seal may move the cursor: anybody could write one at the end of time.
      if (error.isAuthentic) return 'skip';
      this.#state.strangerHeard(position);
      return 'unreadable';
    }
  }

  /** Reads the log again from the cursor. False when that was tried often enough. */
  #readAgain(cursor: LogPosition): boolean {
    const { after } = this.#missing;
    if (after === undefined || comparePositions(after, cursor) !== 0)
      this.#missing = { after: cursor, tries: 0 };
    if (this.#missing.tries >= REREADS_MAX) return false;
    this.#missing.tries++;
    this.#state.report('bus-failed', `something is missing after ${cursor.epoch}-${cursor.seq}`);
    this.#reading.abort();
    return true;
  }

  async #apply(record: FleetRecord, position: LogPosition, reading: AbortSignal): Promise<void> {
    const out = this.#revocationList.read(record);
    const isNews = this.#state.readUpTo(record.stamp.previous ?? this.#cursor ?? LOG_START, position);
    switch (record.kind) {
      case 'epoch':
        return;
      case 'delta':
        return await this.#applyDelta(record, position, reading);
      case 'snapshot':
        this.#state.madeUp();
        if (record.asksForRevocations) this.#tellRevocations(position.epoch);
        if (out !== undefined && isNews && record.isListWhole) this.#listed(out);
        return this.#fetcher.announce(record);
      case 'revoke':
        if (isNews) this.#revoke(record, position.epoch);
        return;
      case 'idle':
        this.#state.replicaCount = Math.max(1, record.replicaCount);
        if (record.asksForRevocations) this.#tellRevocations(position.epoch);
        return this.#compare(record.digest, position, record.stamp);
      case 'reload':
        return this.#loads.told(record.spreadMs);
    }
  }

  #revoke(record: RevokeRecord, epoch: number): void {
    const { revocations, outSinceMs } = record;
    if (outSinceMs === undefined) this.#state.obey(record);
    else this.#state.takeOut(revocations, epoch, outSinceMs);
  }

  /** All others are over, but for those of which the leader is yet to hear. */
  #listed(out: ReadonlySet<string>): void {
    const { asks } = this.#state;
    const over = this.#state.revocations().filter(({ id }) => !out.has(idText(id)) && !asks.has(id));
    this.#state.end(over.map(({ id }) => id));
  }

  /** Once in an epoch. */
  #tellRevocations(epoch: number): void {
    if (this.#state.toldEpoch === epoch) return;
    this.#state.toldEpoch = epoch;
    this.#state.tellRevocations();
  }

  /** The log says that the content is `digest` now. */
  #compare(digest: string | undefined, position: LogPosition, stamp: Stamp): void {
    const { context, isReplacing } = this.#state;
    if (digest === undefined) return;
    if (context.store.held()?.digest !== digest) this.#mismatch();
    else if (!isReplacing) this.#arrive(position, stamp);
  }

  async #applyDelta(
    record: DeltaRecord & { stamp: Stamp },
    position: LogPosition,
    reading: AbortSignal,
  ): Promise<void> {
    const { context, isReplacing } = this.#state;
    if (isReplacing) return this.#lose('the log went on while its content was being replaced');
    const held = context.store.held()?.digest;
    if (held === record.to) return this.#arrive(position, record.stamp);
    if (held !== record.from) return this.#mismatch();
    const { payload } = record;
    const bytes = payload instanceof Uint8Array ? payload : await this.#payload(payload, reading);
    if (bytes === undefined) return;
    await this.#exclusive.run(async () => {
      // A snapshot may have been taken while the bytes were on their way: then the log is read again.
      if (reading.aborted) return;
      await this.#take(record, bytes, position);
    });
  }

  /** Throws `BusError` where it may be had later: then the record is read again. */
  async #payload(blob: BlobReference, reading: AbortSignal): Promise<Uint8Array | undefined> {
    const { bus } = this.#state.context;
    let fault = 'is not there';
    try {
      const bytes = await unlessStopped(bus.getBlob(blob.name), reading);
      this.#state.busWorked();
      if (bytes !== undefined && isBlob(bytes, blob)) return bytes;
      if (bytes !== undefined) fault = 'is damaged';
    } catch (error) {
      if (error instanceof Stopped) return undefined;
      if (!isBusError(error) || error.code !== 'BUS_CORRUPT') throw error;
      fault = error.message;
    }
    this.#lose(`the changes "${blob.name}": ${fault}`);
    return undefined;
  }

  /** Runs alone. */
  async #take(
    record: DeltaRecord & { stamp: Stamp },
    bytes: Uint8Array,
    position: LogPosition,
  ): Promise<void> {
    const { store, clock } = this.#state.context;
    const held = store.held();
    if (held?.digest !== record.from || this.#state.isReplacing) return this.#mismatch();
    const now = { nowMs: clock.nowMs(), unixMs: clock.unixMs() };
    const time = this.#state.leaderClock.readTime(position.epoch, record.stamp, now);
    const read = time ?? { readAtMs: held.readAtMs, isProven: this.#state.isReadProven };
    const answered = this.#state.answeredBy(position.epoch, record.askedAtMs);
    const provenance = { ...read, position, answered };
    try {
      await store.takeDelta(bytes, record, provenance);
    } catch (error) {
      rethrowAssertion(error);
      return this.#refusedDelta(error, position);
    }
    this.#state.forgetAnswered(position.epoch, record.askedAtMs);
    this.#state.isReadProven = provenance.isProven;
    this.#state.counters.deltasTaken++;
    this.#arrive(position, record.stamp);
  }

  #refusedDelta(error: unknown, position: LogPosition): void {
    const what = `the changes at ${position.epoch}-${position.seq}`;
    const detail = `${what}: ${messageOf(error)}`;
    if (isRefusal(error)) {
      this.#state.refuse(error.reason, detail);
      // No snapshot from before it leads over it.
      this.#state.poisonedAt = position;
    }
    this.#lose(detail);
  }

  #arrive(position: LogPosition, stamp: Stamp): void {
    const { clock } = this.#state.context;
    const now = { nowMs: clock.nowMs(), unixMs: clock.unixMs() };
    this.#state.confirm(this.#state.leaderClock.readTime(position.epoch, stamp, now));
    this.#state.arrive(position);
    this.#loads.satisfied();
    this.#progress.ring();
  }

  #mismatch(): void {
    if (this.#state.lost !== undefined) return;
    this.#state.counters.mismatch++;
    this.#lose('what is held is not what the log goes on from');
  }

  #lose(reason: string): void {
    this.#state.lose(reason);
    this.#fetcher.wake();
  }

  #tookSnapshot(record: FleetSnapshotRecord): void {
    this.#state.arrive(record.asOf);
    this.#loads.satisfied();
    this.#jumpToBegin(record.asOf);
    // The log is read from there: what came meanwhile was not applied.
    this.#hasMoved = true;
    this.#reading.abort();
    this.#progress.ring();
  }

  #loadedItself(hasChanged: boolean): void {
    const { store } = this.#state.context;
    const held = store.held();
    if (hasChanged) {
      this.#state.ownReadAtMs = held?.readAtMs;
      this.#lose('it has loaded from the source itself');
    }
    this.#fetcher.wake();
  }

  /** Asks for the newest position now and then: as proof of ages, and to see whether reading has stalled. */
  async #probe(signal: AbortSignal): Promise<void> {
    const { clock, random, times } = this.#state.context;
    let nextAtMs = clock.nowMs() + times.probeEveryMs * random();
    while (!signal.aborted) {
      const stalledAtMs = this.#heardAtMs + times.stallMs;
      await this.#probeBell.wait(Math.min(nextAtMs, stalledAtMs) - clock.nowMs(), signal);
      if (signal.aborted) return;
      nextAtMs = clock.nowMs() + times.probeEveryMs * (0.5 + random() / 2);
      try {
        const last = await this.#askForLast(signal);
        const cursor = this.#cursor;
        const hasMore = cursor !== undefined && last !== undefined && comparePositions(last, cursor) !== 0;
        if (hasMore && clock.nowMs() - this.#heardAtMs >= times.stallMs) this.#reading.abort();
      } catch (error) {
        if (error instanceof Stopped) return;
        if (!isBusError(error)) throw error;
        this.#state.busFailed(error);
      }
      if (clock.nowMs() - this.#heardAtMs >= times.stallMs) this.#heardAtMs = clock.nowMs();
    }
  }

  async #askForLast(signal: AbortSignal): Promise<LogPosition | undefined> {
    const { bus, clock } = this.#state.context;
    const askedAtMs = clock.nowMs();
    const last = await unlessStopped(bus.last(), signal);
    this.#state.busWorked();
    const cursor = this.#cursor;
    const hasLostData = cursor !== undefined && comparePositions(last ?? LOG_START, cursor) < 0;
    // After a gap, what the bus has lost may still be on its way to us, and look new.
    if (hasLostData || this.#hasGap) this.#state.leaderClock.forgetProbe();
    else this.#state.leaderClock.probed(askedAtMs, last);
    return last;
  }
}
