/**
 * Being contacted recently is a time to live: who leaves selections by the passing of time alone, though
 * nothing is written. Nodes are kept in segments of one second by the end of their online window, as Segcache
 * (Yang, Yue, Rashmi; NSDI 2021) keeps what expires: a segment is looked at once, when it is over, and no
 * node by itself. What is over is not taken out but asked about: the source knows who has checked in since,
 * and where it does not answer nobody could check in, so nobody expires. Loader thread.
 */
import { ID_BYTES, ID_WORDS } from '../../native-layout/snapshot-row.ts';
import { ABSENT, FIELD, type FieldRows } from '../engine/snapshot/field-rows.ts';
import { parseIdDigits } from '../engine/snapshot/node-id.ts';
import type { NodeRow } from '../engine/snapshot/node-row.ts';
import type { RowSink } from './source-reader.ts';

/** Width of a segment. */
const SEGMENT_MS = 1_000;
/** While a read goes on, its clock is not known yet: by so much its estimate may be wrong. */
const CLOCK_SLACK_MS = 60_000;
const IDS_FIRST = 16;
const MICROS_PER_MS = 1_000;
const CONTACT_BYTES = 8;
const HIGH_WORD = 2 ** 32;
/** 2000-01-01 UTC as Unix milliseconds: where the clock of sources begins. */
const SOURCE_EPOCH_MS = 946_684_800_000;

/** Ids one behind the other, in memory that grows. */
class IdList {
  #bytes = new Uint8Array(IDS_FIRST * ID_BYTES);
  #end = 0;

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  add(id: Uint8Array): void {
    if (this.#end === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#end);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(id, this.#end);
    this.#end += ID_BYTES;
  }
}

/** When a read of the source began, by two clocks. */
export interface ReadClock {
  /** The machine's monotonic clock. */
  readonly beganMs: number;
  /** The source's own, microseconds since 2000-01-01 UTC. */
  readonly micros: number;
}

/** Which nodes leave when. */
export class ContactExpiry {
  readonly #onlineWindowMs: number;
  readonly #horizonMs: number;
  /** By the number of the segment, in seconds of the monotonic clock. */
  #segments = new Map<number, IdList>();
  #clock: ReadClock | undefined;

  /** `horizonMs`: who leaves later than that after a read is left out; another read is to come before. */
  constructor(onlineWindowMs: number, horizonMs: number) {
    this.#onlineWindowMs = onlineWindowMs;
    this.#horizonMs = horizonMs;
  }

  /** Reads the contact times of rows on their way to `sink`, in a read that begins now. */
  watch(sink: RowSink, nowMs: number): ContactReading {
    const { beganMs, micros } = this.#clock ?? {
      beganMs: nowMs,
      micros: (Date.now() - SOURCE_EPOCH_MS) * MICROS_PER_MS,
    };
    const sinceMs = nowMs - beganMs + this.#horizonMs + CLOCK_SLACK_MS - this.#onlineWindowMs;
    return new ContactReading(sink, micros + sinceMs * MICROS_PER_MS);
  }

  /** Takes what a read found. `isWhole`: of all nodes; what was known before is forgotten. */
  settle(reading: ContactReading, clock: ReadClock, isWhole: boolean): void {
    if (isWhole) this.#segments = new Map();
    this.#clock = clock;
    for (const [id, contactMicros] of reading.found()) {
      // The source's clock was read after the read began: this is early, never late. Then it is asked twice.
      const leavesInMs = (contactMicros - clock.micros) / MICROS_PER_MS + this.#onlineWindowMs;
      if (leavesInMs <= this.#horizonMs) this.#add(Math.ceil((clock.beganMs + leavesInMs) / SEGMENT_MS), id);
    }
  }

  /** When the next segment is over, monotonic; Infinity when there is none. */
  nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const segment of this.#segments.keys()) next = Math.min(next, segment);
    return next * SEGMENT_MS;
  }

  /** Before this moment, monotonic, nobody has left who has not been taken out of here; or Infinity. */
  settledMs(): number {
    return this.nextMs() - SEGMENT_MS;
  }

  /** Takes out the ids of all segments that are over, 32 bytes each. */
  takeOver(nowMs: number): Uint8Array {
    const over: Uint8Array[] = [];
    for (const [segment, ids] of this.#segments) {
      if (segment * SEGMENT_MS > nowMs) continue;
      over.push(ids.bytes);
      this.#segments.delete(segment);
    }
    return Buffer.concat(over);
  }

  #add(segment: number, id: Uint8Array): void {
    let ids = this.#segments.get(segment);
    if (ids === undefined) {
      ids = new IdList();
      this.#segments.set(segment, ids);
    }
    ids.add(id);
  }
}

/** The nodes of one read that can be chosen, and were last contacted before a given time. */
export class ContactReading implements RowSink {
  readonly #sink: RowSink;
  readonly #beforeMicros: number;
  readonly #ids = new IdList();
  readonly #contacts: number[] = [];
  readonly #parsed = new Uint32Array(ID_WORDS);
  readonly #parsedBytes = new Uint8Array(this.#parsed.buffer);

  constructor(sink: RowSink, beforeMicros: number) {
    this.#sink = sink;
    this.#beforeMicros = beforeMicros;
  }

  append(row: NodeRow): void {
    this.#sink.append(row);
  }

  appendFields(rows: FieldRows): void {
    this.#read(rows);
    this.#sink.appendFields(rows);
  }

  *found(): Generator<readonly [id: Uint8Array, contactMicros: number]> {
    const ids = this.#ids.bytes;
    for (const [i, contact] of this.#contacts.entries()) {
      yield [ids.subarray(i * ID_BYTES, (i + 1) * ID_BYTES), contact];
    }
  }

  #read({ format, bytes, view, places, count, attributes }: FieldRows): void {
    const width = 2 * (FIELD.attributes + attributes);
    for (let row = 0, at = 0; row < count; row++, at += width) {
      const from = places[at + 2 * FIELD.lastContact]!;
      if (from === ABSENT || places[at + 2 * FIELD.ineligible] !== ABSENT) continue;
      if (places[at + 2 * FIELD.lastContact + 1]! - from !== CONTACT_BYTES) continue;
      const contact = view.getInt32(from, false) * HIGH_WORD + view.getUint32(from + 4, false);
      if (contact >= this.#beforeMicros) continue;
      const id = places[at + 2 * FIELD.id]!;
      const given = places[at + 2 * FIELD.id + 1]! - id;
      if (format.id === 'bytes') {
        if (given === ID_BYTES) this.#add(bytes.subarray(id, id + ID_BYTES), contact);
      } else if (given === 2 * ID_BYTES && parseIdDigits(bytes, id, this.#parsed)) {
        this.#add(this.#parsedBytes, contact);
      }
    }
  }

  #add(id: Uint8Array, contactMicros: number): void {
    this.#ids.add(id);
    this.#contacts.push(contactMicros);
  }
}
