/**
 * The records of a fleet's log, and their bytes: what the leader tells the replicas. Each is sealed
 * (`seal.ts`) together with its position. Reading one gives a record or throws `Refusal`; nothing is believed
 * half. Pure; any thread.
 */
import { REVOKED_ROWS_MAX } from '../../../../native-layout/snapshot-layout.ts';
import { ID_BYTES } from '../../../../native-layout/snapshot-row.ts';
import { assert } from '../../../engine/assert.ts';
import type { LogPosition } from '../../bus/bus.ts';
import { ByteReader, ByteWriter, isDigest, WireError } from './bytes.ts';
import { type Opened, Refusal, SCHEMA, type Sealer } from './seal.ts';

/** When the leader wrote a record, and what it knew then. All of its own monotonic clock but `sentUnixMs`. */
export interface Stamp {
  readonly sentAtMs: number;
  readonly sentUnixMs: number;
  /** The record before this one. Absent in the first one of a log. */
  readonly previous?: LogPosition | undefined;
  /** When the bus had acknowledged the record before, where this leader wrote it. */
  readonly acknowledgedAtMs?: number | undefined;
  /** The read of the source that says what the log now ends with. Absent while the leader cannot say. */
  readonly read?: SourceRead | undefined;
}

export interface SourceRead {
  /** How long before `sentAtMs` the read began, or longer. */
  readonly agoMs: number;
  /** False while the leader itself reckons it from wall clocks. */
  readonly isProven: boolean;
}

/** Bytes that are kept beside the log. */
export interface BlobReference {
  readonly name: string;
  readonly byteLength: number;
  /** 32 bytes. */
  readonly sha256: Uint8Array;
}

/** A node that is to be out of selections for so long, whatever the content says; 0: no longer. */
export interface Revocation {
  /** 32 bytes. */
  readonly id: Uint8Array;
  readonly holdMs: number;
}

/** All asks of a replica (`FleetBeat.asks`) up to this one are in the log. */
export interface Answer {
  /** `replicaTag` of its name. */
  readonly replica: string;
  readonly number: number;
}

/** A new leader begins. */
export interface EpochRecord {
  readonly kind: 'epoch';
  readonly leader: string;
}

/** Content `to` is content `from` with the changes of the payload. */
export interface DeltaRecord {
  readonly kind: 'delta';
  readonly from: string;
  readonly to: string;
  readonly payload: Uint8Array | BlobReference;
  /** When the source was asked about what has changed, by the leader's monotonic clock. */
  readonly askedAtMs?: number | undefined;
}

/** The content after record `asOf` can be had as a whole. Also what the pointer holds, at position `asOf`. */
export interface SnapshotRecord {
  readonly kind: 'snapshot';
  readonly asOf: LogPosition;
  readonly digest: string;
  readonly blob: BlobReference;
  /** LAYOUT_VERSION of the bytes. */
  readonly layout: number;
  readonly program: string;
  /** Replicas that need it fetch it at random moments within this time: so they do not all come at once. */
  readonly spreadMs: number;
  /** As in `IdleRecord`. */
  readonly asksForRevocations: boolean;
  /** The revocations written before this record are all that there are. */
  readonly isListWhole: boolean;
}

export interface RevokeRecord {
  readonly kind: 'revoke';
  /** No node twice. */
  readonly revocations: readonly Revocation[];
  /** True when this record has been read. */
  readonly answers: readonly Answer[];
  /**
   * Present where the source itself has told of them: since when at the latest, by the leader's monotonic
   * clock. They end with the content that was asked for later, and are nobody's to tell of again.
   */
  readonly outSinceMs?: number | undefined;
}

/** Nothing happened; the content is still `digest`, absent while the leader does not know it. */
export interface IdleRecord {
  readonly kind: 'idle';
  readonly digest?: string | undefined;
  /** Replicas that the leader hears of. */
  readonly replicaCount: number;
  /** The leader has not read all of the log before it: whoever knows of revocations is to tell it. */
  readonly asksForRevocations: boolean;
}

/** Load from the source yourselves, a few at a time, within this time. */
export interface ReloadRecord {
  readonly kind: 'reload';
  readonly spreadMs: number;
  readonly reason: string;
}

export type RecordBody =
  | EpochRecord
  | DeltaRecord
  | SnapshotRecord
  | RevokeRecord
  | IdleRecord
  | ReloadRecord;
export type FleetRecord = RecordBody & { readonly stamp: Stamp };
export type FleetSnapshotRecord = SnapshotRecord & { readonly stamp: Stamp };

/** On the wire. 0 is never valid; 7 is a heartbeat. */
const KINDS = { epoch: 1, delta: 2, snapshot: 3, revoke: 4, idle: 5, reload: 6 } as const;
const KIND_NAMES = new Map<number, RecordBody['kind']>(
  Object.entries(KINDS).map(([name, kind]) => [kind, name as RecordBody['kind']]),
);

const NAME_BYTES_MAX = 200;
const PROGRAM_BYTES_MAX = 64;
const REASON_BYTES_MAX = 200;
const SHA256_BYTES = 32;
/** Larger than any bus takes for a record. */
const PAYLOAD_BYTES_MAX = 2 ** 26;
const BLOB_BYTES_MAX = 2 ** 32;
const SPREAD_MS_MAX = 3_600_000;
const HOLD_MS_MAX = 2 ** 32 - 1;
const REVOCATION_BYTES = ID_BYTES + 4;
const TAG_BYTES = 8;
const ANSWER_BYTES = TAG_BYTES + 8;
const ANSWERS_MAX = 2 ** 20;
/** What surrounds the payload of a delta, or the entries of a revocation, generously. */
export const RECORD_OVERHEAD_BYTES = 256;

/** Entries that fit into a record of `recordBytesMax`. */
export function revocationsPerRecord(recordBytesMax: number): number {
  const count = Math.floor((recordBytesMax - RECORD_OVERHEAD_BYTES) / REVOCATION_BYTES);
  return Math.min(REVOKED_ROWS_MAX, count);
}

/** The records that say this: one where it fits. */
export function revokeRecords(
  revocations: readonly Revocation[],
  answers: readonly Answer[],
  recordBytesMax: number,
): RevokeRecord[] {
  const bytesMax = recordBytesMax - RECORD_OVERHEAD_BYTES;
  const byteLength = revocations.length * REVOCATION_BYTES + answers.length * ANSWER_BYTES;
  if (byteLength === 0) return [];
  if (byteLength <= bytesMax && revocations.length <= REVOKED_ROWS_MAX)
    return [{ kind: 'revoke', revocations, answers }];
  // The answers are true when the revocations have been read: behind them.
  return [
    ...inParts(revocations, revocationsPerRecord(recordBytesMax)).map(part => {
      return { kind: 'revoke', revocations: part, answers: [] } as const;
    }),
    ...inParts(answers, Math.floor(bytesMax / ANSWER_BYTES)).map(part => {
      return { kind: 'revoke', revocations: [], answers: part } as const;
    }),
  ];
}

function inParts<T>(all: readonly T[], length: number): T[][] {
  assert(length > 0, 'a record has no room for a single one');
  const parts: T[][] = [];
  for (let first = 0; first < all.length; first += length) parts.push(all.slice(first, first + length));
  return parts;
}

export function encodeRecord(
  record: FleetRecord,
  position: LogPosition,
  sealer: Sealer,
): Uint8Array<ArrayBuffer> {
  return encode(record, { place: 'log', position }, sealer);
}

/** The pointer's bytes: the snapshot, at its own position. */
export function encodePointer(record: FleetSnapshotRecord, sealer: Sealer): Uint8Array<ArrayBuffer> {
  return encode(record, { place: 'pointer', position: record.asOf }, sealer);
}

function encode(
  record: FleetRecord,
  at: { readonly place: 'log' | 'pointer'; readonly position: LogPosition },
  sealer: Sealer,
): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  writeStamp(writer, record.stamp);
  writeBody(writer, record);
  return sealer.seal({ ...at, kind: KINDS[record.kind] }, writer.written());
}

function writeStamp(writer: ByteWriter, stamp: Stamp): void {
  writer
    .f64(stamp.sentAtMs)
    .f64(stamp.sentUnixMs)
    .optional(stamp.previous, previous => writer.position(previous))
    .optional(stamp.acknowledgedAtMs, ms => writer.f64(ms))
    .optional(stamp.read, ({ agoMs, isProven }) => writer.f64(agoMs).u8(isProven ? 1 : 0));
}

function writeBody(writer: ByteWriter, record: RecordBody): void {
  switch (record.kind) {
    case 'epoch':
      writer.text(record.leader, NAME_BYTES_MAX);
      break;
    case 'delta':
      writeDelta(writer, record);
      break;
    case 'snapshot':
      writer.position(record.asOf).digest(record.digest);
      writeBlob(writer, record.blob);
      writer.u32(record.layout).text(record.program, PROGRAM_BYTES_MAX).u32(record.spreadMs);
      writer.u8(record.asksForRevocations ? 1 : 0).u8(record.isListWhole ? 1 : 0);
      break;
    case 'revoke':
      writer.u32(record.revocations.length);
      for (const { id, holdMs } of record.revocations) writeRevocation(writer, id, holdMs);
      writer.u32(record.answers.length);
      for (const { replica, number } of record.answers) writer.raw(Buffer.from(replica, 'hex')).u53(number);
      writer.optional(record.outSinceMs, ms => writer.f64(ms));
      break;
    case 'idle':
      writer.optional(record.digest, digest => writer.digest(digest)).u32(record.replicaCount);
      writer.u8(record.asksForRevocations ? 1 : 0);
      break;
    case 'reload':
      writer.u32(record.spreadMs).text(record.reason, REASON_BYTES_MAX);
      break;
  }
}

function writeDelta(writer: ByteWriter, { from, to, payload, askedAtMs }: DeltaRecord): void {
  writer.digest(from).digest(to);
  if (payload instanceof Uint8Array) {
    writer.u8(0).bytes(payload);
  } else {
    writer.u8(1);
    writeBlob(writer, payload);
  }
  writer.optional(askedAtMs, ms => writer.f64(ms));
}

function writeBlob(writer: ByteWriter, blob: BlobReference): void {
  writer.text(blob.name, NAME_BYTES_MAX).u53(blob.byteLength).bytes(blob.sha256);
}

export function writeRevocation(writer: ByteWriter, id: Uint8Array, holdMs: number): void {
  assert(id.byteLength === ID_BYTES, () => `an id has ${id.byteLength} bytes`);
  writer.raw(id).u32(Math.min(HOLD_MS_MAX, Math.max(0, Math.ceil(holdMs))));
}

/** Throws `Refusal`. */
export function decodeRecord(bytes: Uint8Array, position: LogPosition, sealer: Sealer): FleetRecord {
  return decode(sealer.open('log', position, bytes));
}

/** Throws `Refusal`. */
export function decodePointer(bytes: Uint8Array, position: LogPosition, sealer: Sealer): FleetSnapshotRecord {
  const record = decode(sealer.open('pointer', position, bytes));
  if (record.kind !== 'snapshot')
    throw new Refusal('corrupt', `the pointer holds a record of kind ${record.kind}`);
  return record;
}

function decode(opened: Opened): FleetRecord {
  const kind = KIND_NAMES.get(opened.kind);
  if (kind === undefined) {
    const detail = `kind ${opened.kind} of schema ${opened.schema} is not known to this program`;
    throw new Refusal('schema', detail, { isAuthentic: true });
  }
  return readAll(opened, reader => {
    const stamp = readStamp(reader);
    if (kind === 'snapshot' && stamp.read === undefined) throw new WireError('a snapshot without its time');
    return { ...readBody(kind, reader), stamp };
  });
}

/** Everything of a body by `read`; what a newer writer has appended is left. Throws `Refusal`. */
export function readAll<T>(opened: Opened, read: (reader: ByteReader) => T, knownSchema = SCHEMA): T {
  try {
    const reader = new ByteReader(opened.body);
    const value = read(reader);
    if (reader.leftBytes > 0 && opened.schema <= knownSchema) {
      throw new WireError(`${reader.leftBytes} bytes are left over`);
    }
    return value;
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new Refusal('corrupt', `a message whose seal fits says nonsense: ${error.message}`, {
      isAuthentic: true,
      cause: error,
    });
  }
}

function readStamp(reader: ByteReader): Stamp {
  return {
    sentAtMs: reader.f64(),
    sentUnixMs: reader.f64(),
    previous: reader.optional(() => reader.position()),
    acknowledgedAtMs: reader.optional(() => reader.f64()),
    read: reader.optional(() => ({ agoMs: reader.f64(), isProven: reader.u8() === 1 })),
  };
}

function readBody(kind: RecordBody['kind'], reader: ByteReader): RecordBody {
  switch (kind) {
    case 'epoch':
      return { kind, leader: reader.text(NAME_BYTES_MAX, 'bytes of a name') };
    case 'delta':
      return readDelta(reader);
    case 'snapshot':
      return {
        kind,
        asOf: reader.position(),
        digest: readDigest(reader),
        blob: readBlob(reader),
        layout: reader.u32(),
        program: reader.text(PROGRAM_BYTES_MAX, 'bytes of a version'),
        spreadMs: reader.count(SPREAD_MS_MAX, 'spread in ms'),
        asksForRevocations: reader.u8() === 1,
        isListWhole: reader.u8() === 1,
      };
    case 'revoke': {
      const count = reader.count(REVOKED_ROWS_MAX, 'revocations');
      const revocations = Array.from({ length: count }, () => readRevocation(reader));
      const answerCount = reader.count(ANSWERS_MAX, 'answers');
      const answers = Array.from({ length: answerCount }, () => readAnswer(reader));
      return { kind, revocations, answers, outSinceMs: reader.optional(() => reader.f64()) };
    }
    case 'idle':
      return {
        kind,
        digest: reader.optional(() => reader.digest()),
        replicaCount: reader.u32(),
        asksForRevocations: reader.u8() === 1,
      };
    case 'reload':
      return {
        kind,
        spreadMs: reader.count(SPREAD_MS_MAX, 'spread in ms'),
        reason: reader.text(REASON_BYTES_MAX, 'bytes of a reason'),
      };
  }
}

function readDelta(reader: ByteReader): DeltaRecord {
  const from = readDigest(reader);
  const to = readDigest(reader);
  const isBlob = reader.u8();
  if (isBlob > 1) throw new WireError(`${isBlob} where 0 or 1 is expected`);
  const payload = isBlob === 1 ? readBlob(reader) : reader.bytes(PAYLOAD_BYTES_MAX, 'bytes of a delta');
  return { kind: 'delta', from, to, payload, askedAtMs: reader.optional(() => reader.f64()) };
}

function readDigest(reader: ByteReader): string {
  const text = reader.digest();
  assert(isDigest(text), () => `"${text}" is no digest`);
  return text;
}

function readBlob(reader: ByteReader): BlobReference {
  const name = reader.text(NAME_BYTES_MAX, 'bytes of a name');
  const byteLength = reader.u53();
  if (byteLength > BLOB_BYTES_MAX) throw new WireError(`a blob of ${byteLength} bytes`);
  const sha256 = reader.bytes(SHA256_BYTES, 'bytes of a SHA-256');
  if (sha256.byteLength !== SHA256_BYTES) throw new WireError(`a SHA-256 of ${sha256.byteLength} bytes`);
  return { name, byteLength, sha256 };
}

function readAnswer(reader: ByteReader): Answer {
  return { replica: Buffer.from(reader.raw(TAG_BYTES)).toString('hex'), number: reader.u53() };
}

/** An id as a key of maps. */
export function idText(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString('latin1');
}

export function readRevocation(reader: ByteReader): Revocation {
  return { id: reader.raw(ID_BYTES), holdMs: reader.u32() };
}
