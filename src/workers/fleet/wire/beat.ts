/**
 * A replica's heartbeat: who and where it is, what it holds, how old that is, and what it refused or needs.
 * `sortition fleet` shows them, the leader acts on them. Pure; any thread.
 */
import type { Beat, LogPosition } from '../../bus/bus.ts';
import { type ByteReader, ByteWriter, WireError } from './bytes.ts';
import { type Revocation, readAll, readRevocation, writeRevocation } from './records.ts';
import { isRefusal, Refusal, type Sealer } from './seal.ts';

export type FleetRole = 'follower' | 'leader';

/** Why a replica wants the leader to publish a snapshot: none has what it needs. */
export type SnapshotWish =
  | 'none'
  /** The one that the pointer names is not there, or damaged. */
  | 'blob'
  /** None is as new as what it holds. */
  | 'newer'
  /** There is none but of another byte layout. */
  | 'layout';

/** A revocation that somebody asked this replica for. */
export interface Ask extends Revocation {
  /** Counts the asks of one replica. */
  readonly number: number;
}

export interface FleetBeat {
  readonly replica: string;
  readonly host: string;
  readonly pid: number;
  /** Version of the program, and of the snapshots that it reads. */
  readonly program: string;
  readonly layout: number;
  /** Where its HTTP port is reached; empty where it has none. */
  readonly address: string;
  readonly role: FleetRole;
  /** What it holds is no older than the log at this position. */
  readonly position?: LogPosition | undefined;
  /** Highest epoch it has seen. */
  readonly epoch: number;
  readonly digest?: string | undefined;
  /** Age of what it holds, never below the true one. */
  readonly ageMs?: number | undefined;
  /** Why it is not in step with the log; absent when it is. */
  readonly lost?: string | undefined;
  /** What it refused since it was last in step. */
  readonly refusal?: string | undefined;
  readonly wish: SnapshotWish;
  /** Revocations that were asked for here and are not in the log yet, oldest first. */
  readonly asks: readonly Ask[];
}

const KIND = 7;
const WISHES: readonly SnapshotWish[] = ['none', 'blob', 'newer', 'layout'];
const ROLES: readonly FleetRole[] = ['follower', 'leader'];
const NAME_BYTES_MAX = 200;
const TEXT_BYTES_MAX = 300;
/** Asks of one heartbeat; more wait for the next. */
export const ASKS_MAX = 256;
/** A heartbeat belongs to no position. */
const NOWHERE: LogPosition = { epoch: 0, seq: 0 };

export function encodeBeat(beat: FleetBeat, sealer: Sealer): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  writer
    .text(beat.replica, NAME_BYTES_MAX)
    .text(beat.host, NAME_BYTES_MAX)
    .u32(beat.pid)
    .text(beat.program, NAME_BYTES_MAX)
    .u32(beat.layout)
    .text(beat.address, NAME_BYTES_MAX)
    .u8(ROLES.indexOf(beat.role))
    .optional(beat.position, position => writer.position(position))
    .u53(beat.epoch)
    .optional(beat.digest, digest => writer.digest(digest))
    .optional(beat.ageMs, ms => writer.f64(ms))
    .optional(beat.lost, text => writer.text(text, TEXT_BYTES_MAX))
    .optional(beat.refusal, text => writer.text(text, TEXT_BYTES_MAX))
    .u8(WISHES.indexOf(beat.wish))
    .u32(Math.min(beat.asks.length, ASKS_MAX));
  for (const { number, id, holdMs } of beat.asks.slice(0, ASKS_MAX)) {
    writeRevocation(writer.u53(number), id, holdMs);
  }
  return sealer.seal({ place: 'beat', kind: KIND, position: NOWHERE }, writer.written());
}

/** `replica`: whose heartbeat the bus says it is. Throws `Refusal`. */
export function decodeBeat(replica: string, bytes: Uint8Array, sealer: Sealer): FleetBeat {
  const opened = sealer.open('beat', NOWHERE, bytes);
  if (opened.kind !== KIND) throw new Refusal('corrupt', `a heartbeat of kind ${opened.kind}`);
  const beat = readAll(opened, readBeat);
  if (beat.replica === replica) return beat;
  throw new Refusal('corrupt', `the heartbeat of "${replica}" was written by "${beat.replica}"`);
}

export interface ReadBeats {
  readonly known: readonly FleetBeat[];
  readonly refusals: readonly Refusal[];
  /** Those that have another seal than this fleet, as far as is known here. */
  readonly strange: readonly Beat[];
}

/** All heartbeats of a bus. */
export function readBeats(beats: readonly Beat[], sealer: Sealer): ReadBeats {
  const known: FleetBeat[] = [];
  const refusals: Refusal[] = [];
  const strange: Beat[] = [];
  for (const beat of beats) {
    try {
      known.push(decodeBeat(beat.replica, beat.bytes, sealer));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refusals.push(error);
      if (!error.isAuthentic) strange.push(beat);
    }
  }
  return { known, refusals, strange };
}

function readBeat(reader: ByteReader): FleetBeat {
  const name = () => reader.text(NAME_BYTES_MAX, 'bytes of a name');
  const text = () => reader.text(TEXT_BYTES_MAX, 'bytes of a text');
  // Read in the order in which they are written here.
  return {
    replica: name(),
    host: name(),
    pid: reader.u32(),
    program: name(),
    layout: reader.u32(),
    address: name(),
    role: oneOf(ROLES, reader),
    position: reader.optional(() => reader.position()),
    epoch: reader.u53(),
    digest: reader.optional(() => reader.digest()),
    ageMs: reader.optional(() => reader.f64()),
    lost: reader.optional(text),
    refusal: reader.optional(text),
    wish: oneOf(WISHES, reader),
    asks: readAsks(reader),
  };
}

function readAsks(reader: ByteReader): Ask[] {
  const count = reader.count(ASKS_MAX, 'asks');
  return Array.from({ length: count }, () => ({ number: reader.u53(), ...readRevocation(reader) }));
}

function oneOf<T>(values: readonly T[], reader: ByteReader): T {
  const index = reader.u8();
  const value = values[index];
  if (value === undefined) throw new WireError(`${index} is none of ${values.length} values`);
  return value;
}
