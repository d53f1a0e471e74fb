/**
 * A bus in memory: for simulations, and for tests that need no engine. All clients of a `MemoryEngine` share
 * what it holds. Time is given from outside; faults too, as a road that every call and every record takes, so
 * that one seed gives one run. Any thread, one thread.
 *
 * The engine can lose what it holds, go back to an older copy, and forget single things: what real ones do.
 */
import { assert } from '../../engine/assert.ts';
import { type FleetClock, systemClock } from '../fleet/clock.ts';
import {
  type Beat,
  type Bus,
  BusError,
  comparePositions,
  LOG_START,
  type LogPointer,
  type LogPosition,
  type LogRecord,
} from './bus.ts';

/** How one call fares between its client and the engine. */
export interface Journey {
  readonly requestMs: number;
  readonly replyMs: number;
  /** The engine never hears of it. */
  readonly isRequestLost: boolean;
  /** The engine does it, and the client never hears so. */
  readonly isReplyLost: boolean;
  /** The engine gets it a second time, so much later; nobody waits for that answer. */
  readonly againMs: number | undefined;
}

export type MemoryCall = Exclude<keyof Bus, 'description' | 'recordBytesMax' | 'blobBytesMax' | 'close'>;

/** What lies between a client and the engine. Absent: nothing, and calls are answered in the same turn. */
export interface MemoryRoad {
  journey(call: MemoryCall): Journey;
  /** What arrives of the records that the engine sent: fewer, damaged, twice, in another order. */
  arriving(records: readonly LogRecord[]): readonly LogRecord[];
  /** What arrives of other bytes that the engine sent. */
  damaged(bytes: Uint8Array): Uint8Array;
  /** Whether this call is answered from an older copy of the engine, as a lagging replica of it would. */
  isStale(call: MemoryCall): boolean;
}

interface Entry extends LogRecord {
  readonly previous: LogPosition;
}

interface Expiring {
  readonly bytes: Uint8Array;
  readonly expiresAtMs: number;
}

/** Everything that an engine holds. */
interface Contents {
  log: Entry[];
  /** Newest position that the log ever had. */
  last: LogPosition;
  pointer: LogPointer | undefined;
  readonly blobs: Map<string, Expiring>;
  readonly beats: Map<string, Expiring>;
}

/** A reader that waits for records. */
interface Waiter {
  readonly after: LogPosition;
  readonly wake: () => void;
}

export interface MemoryEngineOptions {
  readonly clock?: FleetClock;
  readonly recordBytesMax?: number;
  readonly blobBytesMax?: number;
}

const RECORD_BYTES_MAX = 2 ** 20;
const BLOB_BYTES_MAX = 2 ** 30;
/** Of a pointer and of a heartbeat. */
const NOTE_BYTES_MAX = 64 * 1024;
const NAME_BYTES_MAX = 200;
/** Records that a reader is given at a time. */
const READ_RECORDS_MAX = 32;

export class MemoryEngine {
  readonly clock: FleetClock;
  readonly recordBytesMax: number;
  readonly blobBytesMax: number;
  #contents: Contents = emptyContents();
  /** What stale answers are given from. */
  #older: Contents = this.#contents;
  readonly #waiters = new Set<Waiter>();
  #setbacks = 0;

  constructor(options: MemoryEngineOptions = {}) {
    this.clock = options.clock ?? systemClock;
    this.recordBytesMax = options.recordBytesMax ?? RECORD_BYTES_MAX;
    this.blobBytesMax = options.blobBytesMax ?? BLOB_BYTES_MAX;
  }

  append(record: LogRecord): void {
    const { last, log } = this.#contents;
    if (comparePositions(record.position, last) <= 0) {
      throw new BusError('BUS_FENCED', `${text(record.position)} is not above ${text(last)}`);
    }
    log.push({ position: record.position, bytes: record.bytes.slice(), previous: last });
    this.#contents.last = record.position;
    for (const waiter of this.#waiters)
      if (comparePositions(record.position, waiter.after) > 0) waiter.wake();
  }

  last(isStale = false): LogPosition | undefined {
    const { last } = isStale ? this.#older : this.#contents;
    return last.epoch === 0 && last.seq === 0 ? undefined : last;
  }

  /** The next records; none when there are none yet. Throws BUS_GAP. */
  recordsAfter(after: LogPosition): readonly LogRecord[] {
    const { log, last } = this.#contents;
    const order = comparePositions(last, after);
    if (order < 0) throw new BusError('BUS_GAP', `the log ends at ${text(last)}, before ${text(after)}`);
    if (order === 0) return [];
    const first = firstAfter(log, after);
    const previous = log[first]?.previous;
    if (previous === undefined || comparePositions(previous, after) !== 0) {
      throw new BusError('BUS_GAP', `records after ${text(after)} are gone`);
    }
    return log.slice(first, first + READ_RECORDS_MAX).map(({ position, bytes }) => ({ position, bytes }));
  }

  /** Calls back when there may be news about records after `after`; the function returned ends that. */
  watch(after: LogPosition, wake: () => void): () => void {
    const waiter = { after, wake };
    this.#waiters.add(waiter);
    return () => this.#waiters.delete(waiter);
  }

  trim(before: LogPosition): void {
    const { log } = this.#contents;
    // The newest record stays: it is what `last` says.
    log.splice(0, Math.min(firstAtOrAfter(log, before), Math.max(0, log.length - 1)));
  }

  putBlob(name: string, bytes: Uint8Array, expiresMs: number): void {
    this.#contents.blobs.set(name, this.#expiring(bytes, expiresMs));
  }

  getBlob(name: string): Uint8Array<ArrayBuffer> | undefined {
    const blob = this.#contents.blobs.get(name);
    return blob === undefined || this.#isExpired(blob) ? undefined : copied(blob.bytes);
  }

  deleteBlob(name: string): void {
    this.#contents.blobs.delete(name);
  }

  point(pointer: LogPointer): void {
    const old = this.#contents.pointer;
    if (old !== undefined && comparePositions(pointer.position, old.position) < 0) {
      throw new BusError(
        'BUS_FENCED',
        `${text(pointer.position)} is below the pointer, ${text(old.position)}`,
      );
    }
    this.#contents.pointer = { position: pointer.position, bytes: copied(pointer.bytes) };
  }

  pointer(isStale = false): LogPointer | undefined {
    return (isStale ? this.#older : this.#contents).pointer;
  }

  beat({ replica, bytes }: Beat, expiresMs: number): void {
    this.#contents.beats.set(replica, this.#expiring(bytes, expiresMs));
  }

  beats(): readonly Beat[] {
    const { beats } = this.#contents;
    for (const [replica, beat] of beats) if (this.#isExpired(beat)) beats.delete(replica);
    return Array.from(beats, ([replica, { bytes }]) => ({ replica, bytes }));
  }

  /** Everything that is held now, to come back to later. */
  copy(): Contents {
    return copiedContents(this.#contents);
  }

  /** How often it went back to a copy, or lost everything. */
  get setbacks(): number {
    return this.#setbacks;
  }

  /** Goes back to a copy. */
  restore(copy: Contents): void {
    this.#setbacks++;
    this.#contents = copiedContents(copy);
    for (const waiter of this.#waiters) waiter.wake();
  }

  /** Loses everything. */
  wipe(): void {
    this.restore(emptyContents());
  }

  /** From now on stale answers are given as of now. */
  fallBehind(): void {
    this.#older = copiedContents(this.#contents);
  }

  /** Forgets single things, as an engine does that is short of memory. */
  evict(what: 'pointer' | 'blobs' | 'log' | 'beats'): void {
    if (what === 'pointer') this.#contents.pointer = undefined;
    else if (what === 'log') this.#contents.log = [];
    else this.#contents[what].clear();
    for (const waiter of this.#waiters) waiter.wake();
  }

  #expiring(bytes: Uint8Array, expiresMs: number): Expiring {
    return { bytes: copied(bytes), expiresAtMs: this.clock.nowMs() + expiresMs };
  }

  #isExpired({ expiresAtMs }: Expiring): boolean {
    return expiresAtMs <= this.clock.nowMs();
  }
}

export interface MemoryBusOptions {
  /** The client's own clock; absent: the engine's. */
  readonly clock?: FleetClock;
  readonly road?: MemoryRoad;
  /** A call without an answer fails after this. */
  readonly timeoutMs?: number;
  /** A silent log is asked anew after this. */
  readonly waitMs?: number;
}

/** One client. */
export class MemoryBus implements Bus {
  readonly description = 'memory';
  readonly #engine: MemoryEngine;
  readonly #clock: FleetClock;
  readonly #road: MemoryRoad | undefined;
  readonly #timeoutMs: number;
  readonly #waitMs: number;
  readonly #closing = new AbortController();

  constructor(engine: MemoryEngine, options: MemoryBusOptions = {}) {
    this.#engine = engine;
    this.#clock = options.clock ?? engine.clock;
    this.#road = options.road;
    this.#timeoutMs = options.timeoutMs ?? 1_000;
    this.#waitMs = options.waitMs ?? 1_000;
  }

  get recordBytesMax(): number {
    return this.#engine.recordBytesMax;
  }

  get blobBytesMax(): number {
    return this.#engine.blobBytesMax;
  }

  async append(record: LogRecord): Promise<void> {
    assertPosition(record.position);
    checkSize('a record', record.bytes, this.recordBytesMax);
    await this.#call('append', () => this.#engine.append(record));
  }

  async last(): Promise<LogPosition | undefined> {
    const isStale = this.#road?.isStale('last');
    return await this.#call('last', () => this.#engine.last(isStale));
  }

  async *follow(after: LogPosition, signal: AbortSignal): AsyncGenerator<readonly LogRecord[], void> {
    assertPosition(after);
    if (this.#closing.signal.aborted) throw unavailable('the bus is closed');
    let cursor = after;
    while (!signal.aborted) {
      const records = await this.#read(cursor, signal);
      if (signal.aborted || this.#closing.signal.aborted) return;
      const newest = records.at(-1);
      if (newest === undefined) continue;
      cursor = newest.position;
      const arriving = this.#road?.arriving(records) ?? records;
      if (arriving.length > 0)
        yield arriving.map(({ position, bytes }) => ({ position, bytes: copied(bytes) }));
    }
  }

  async trim(before: LogPosition): Promise<void> {
    assertPosition(before);
    await this.#call('trim', () => this.#engine.trim(before));
  }

  async putBlob(name: string, bytes: Uint8Array, expiresMs: number): Promise<void> {
    assertName('a blob', name);
    checkSize('a blob', bytes, this.blobBytesMax);
    await this.#call('putBlob', () => this.#engine.putBlob(name, bytes, expiresMs));
  }

  async getBlob(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    assertName('a blob', name);
    const bytes = await this.#call('getBlob', () => this.#engine.getBlob(name));
    return bytes === undefined ? undefined : this.#arriving(bytes);
  }

  async deleteBlob(name: string): Promise<void> {
    assertName('a blob', name);
    await this.#call('deleteBlob', () => this.#engine.deleteBlob(name));
  }

  async point(pointer: LogPointer): Promise<void> {
    assertPosition(pointer.position);
    checkSize('a pointer', pointer.bytes, NOTE_BYTES_MAX);
    await this.#call('point', () => this.#engine.point(pointer));
  }

  async pointer(): Promise<LogPointer | undefined> {
    const isStale = this.#road?.isStale('pointer');
    const pointer = await this.#call('pointer', () => this.#engine.pointer(isStale));
    return pointer === undefined ? undefined : { ...pointer, bytes: this.#arriving(pointer.bytes) };
  }

  async beat(beat: Beat, expiresMs: number): Promise<void> {
    assertName('a replica', beat.replica);
    checkSize('a heartbeat', beat.bytes, NOTE_BYTES_MAX);
    await this.#call('beat', () => this.#engine.beat(beat, expiresMs));
  }

  async beats(): Promise<readonly Beat[]> {
    const beats = await this.#call('beats', () => this.#engine.beats());
    return beats.map(({ replica, bytes }) => ({ replica, bytes: this.#arriving(bytes) }));
  }

  async advice(): Promise<readonly string[]> {
    return await this.#call('advice', () => []);
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  #arriving(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    return copied(this.#road === undefined ? bytes : this.#road.damaged(bytes));
  }

  /** One question and its answer. */
  async #call<T>(call: MemoryCall, work: () => T): Promise<T> {
    if (this.#closing.signal.aborted) throw unavailable('the bus is closed');
    if (this.#road === undefined) return work();
    const journey = this.#road.journey(call);
    return await new Promise<T>((resolve, reject) => {
      const cancel = this.#clock.after(this.#timeoutMs, () => reject(unavailable(`no answer to ${call}`)));
      const answer = (settle: () => void) => {
        if (journey.isReplyLost) return;
        this.#clock.after(journey.replyMs, () => {
          cancel();
          settle();
        });
      };
      if (journey.isRequestLost) return;
      this.#engine.clock.after(journey.requestMs, () => outcomeOf(work, resolve, reject, answer));
      if (journey.againMs === undefined) return;
      this.#engine.clock.after(journey.requestMs + journey.againMs, () =>
        outcomeOf(work, ignore, ignore, answer),
      );
    });
  }

  /** The next records after `after`; none after a while without any, or when `signal` aborts. */
  async #read(after: LogPosition, signal: AbortSignal): Promise<readonly LogRecord[]> {
    const journey = this.#road?.journey('follow');
    return await new Promise((resolve, reject) => {
      let unwatch = ignore;
      const finish = (settle: () => void) => {
        unwatch();
        cancel();
        signal.removeEventListener('abort', stop);
        this.#closing.signal.removeEventListener('abort', stop);
        settle();
      };
      const stop = () => finish(() => resolve([]));
      const limitMs = this.#waitMs + this.#timeoutMs;
      const cancel = this.#clock.after(limitMs, () => finish(() => reject(unavailable('the log is silent'))));
      signal.addEventListener('abort', stop);
      this.#closing.signal.addEventListener('abort', stop);
      const answer = (settle: () => void) => {
        unwatch();
        if (journey === undefined) finish(settle);
        else if (!journey.isReplyLost) this.#clock.after(journey.replyMs, () => finish(settle));
      };
      const ask = () => {
        unwatch = this.#await(
          after,
          records => answer(() => resolve(records)),
          error => answer(() => reject(error)),
        );
      };
      if (journey === undefined) ask();
      else if (!journey.isRequestLost) this.#engine.clock.after(journey.requestMs, ask);
    });
  }

  /** Calls back once, with records, with none after `waitMs`, or with an error. */
  #await(
    after: LogPosition,
    found: (records: readonly LogRecord[]) => void,
    failed: (error: unknown) => void,
  ): () => void {
    let unwatch = ignore;
    const look = (isLast: boolean) => {
      try {
        const records = this.#engine.recordsAfter(after);
        if (records.length === 0 && !isLast) return;
        end();
        found(records);
      } catch (error) {
        end();
        failed(error);
      }
    };
    const cancel = this.#engine.clock.after(this.#waitMs, () => look(true));
    const end = () => {
      unwatch();
      cancel();
    };
    unwatch = this.#engine.watch(after, () => look(false));
    look(false);
    return end;
  }
}

function outcomeOf<T>(
  work: () => T,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
  answer: (settle: () => void) => void,
): void {
  try {
    const value = work();
    answer(() => resolve(value));
  } catch (error) {
    answer(() => reject(error));
  }
}

const ignore = (): void => undefined;

function emptyContents(): Contents {
  return { log: [], last: LOG_START, pointer: undefined, blobs: new Map(), beats: new Map() };
}

/** Bytes are never changed in place: they can be shared. */
function copiedContents({ log, last, pointer, blobs, beats }: Contents): Contents {
  return { log: [...log], last, pointer, blobs: new Map(blobs), beats: new Map(beats) };
}

function firstAfter(log: readonly Entry[], position: LogPosition): number {
  let at = log.length;
  // Readers are nearly always at the end.
  while (at > 0 && comparePositions(log[at - 1]!.position, position) > 0) at--;
  return at;
}

function firstAtOrAfter(log: readonly Entry[], position: LogPosition): number {
  const at = log.findIndex(entry => comparePositions(entry.position, position) >= 0);
  return at < 0 ? log.length : at;
}

function copied(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

function text({ epoch, seq }: LogPosition): string {
  return `${epoch}-${seq}`;
}

function unavailable(detail: string): BusError {
  return new BusError('BUS_UNAVAILABLE', detail);
}

function checkSize(what: string, bytes: Uint8Array, bytesMax: number): void {
  if (bytes.byteLength <= bytesMax) return;
  throw new BusError(
    'BUS_TOO_LARGE',
    `${what} of ${bytes.byteLength} bytes is over the limit of ${bytesMax}`,
  );
}

function assertPosition({ epoch, seq }: LogPosition): void {
  const isPosition = Number.isSafeInteger(epoch) && Number.isSafeInteger(seq) && epoch >= 0 && seq >= 0;
  assert(isPosition, () => `${epoch}-${seq} is no log position`);
}

function assertName(what: string, name: string): void {
  const bytes = Buffer.byteLength(name);
  assert(bytes > 0 && bytes <= NAME_BYTES_MAX, () => `the name of ${what} has ${bytes} bytes`);
}
