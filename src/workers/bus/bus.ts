/**
 * What a bus is: the existing engine that carries snapshots and changes between replicas. Its total loss
 * harms nobody: every replica serves what it has, and the leader sends again. A new engine is one file plus
 * its line in `open-bus.ts`, and passes `test/workers/bus/bus.case.ts`.
 *
 * A bus is a fenced log of small records, a store of large blobs, a pointer to where a newcomer starts, and
 * the heartbeats of the replicas. It knows nothing of what is in them.
 */

/**
 * Place of a record in the log: the epoch of the leader that wrote it, then its number. Positions are
 * compared in this order, and both are integers from 0 to 2^53 - 1.
 */
export interface LogPosition {
  readonly epoch: number;
  readonly seq: number;
}

/** The place before the first record: whoever follows from here wants all. Nothing is ever written here. */
export const LOG_START: LogPosition = { epoch: 0, seq: 0 };

export interface LogRecord {
  readonly position: LogPosition;
  readonly bytes: Uint8Array;
}

/** Where a newcomer starts: what the leader of `position` wrote last. */
export interface LogPointer {
  readonly position: LogPosition;
  readonly bytes: Uint8Array;
}

/** A replica's heartbeat as it wrote it. */
export interface Beat {
  readonly replica: string;
  readonly bytes: Uint8Array;
}

/**
 * Every method throws `BusError`. After an error the bus can be used again: it connects anew by itself, with
 * random pauses that grow while the engine stays away. Nothing is retried inside, but for that connection. No
 * call waits longer than `timeoutMs` of its options; those of blobs, no longer for one part; `follow` waits
 * until its signal. After BUS_UNAVAILABLE a write may have been done all the same: `last()` tells.
 */
export interface Bus {
  /** Which engine where, for status and logs; never holds a secret. */
  readonly description: string;
  /** Largest record and largest blob. Larger ones are refused with BUS_TOO_LARGE before anything is sent. */
  readonly recordBytesMax: number;
  readonly blobBytesMax: number;

  /**
   * Adds a record. The engine itself refuses with BUS_FENCED unless `position` is above every position that
   * the log has ever had: so a leader that was replaced cannot write, whatever it believes.
   */
  append(record: LogRecord): Promise<void>;
  /** The newest position, or `undefined` when nothing was ever written. */
  last(): Promise<LogPosition | undefined>;
  /**
   * Records after `after`, in order and without a gap, from the log and then as they come; ends when `signal`
   * aborts or the bus is closed. `after` is LOG_START or the position of a record that is or was in the log:
   * each record is stored with the position of the one before it, and so every hole is seen. Throws BUS_GAP
   * when records after `after` have been trimmed away, and when `after` is above the newest position or not
   * in the chain: the engine has lost data. Throws BUS_UNAVAILABLE when the connection breaks or the engine
   * falls silent: follow again, from the last record received. On a connection of its own.
   */
  follow(after: LogPosition, signal: AbortSignal): AsyncGenerator<readonly LogRecord[], void>;
  /** Forgets records before `before`, but never the newest one. */
  trim(before: LogPosition): Promise<void>;

  /**
   * Stores a blob, whole or not at all; it goes away by itself after `expiresMs`. Names are not used twice.
   * `bytes` must not change meanwhile.
   */
  putBlob(name: string, bytes: Uint8Array, expiresMs: number): Promise<void>;
  /** The blob, in memory of the caller's own, or `undefined`. Throws BUS_CORRUPT when parts are missing. */
  getBlob(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  deleteBlob(name: string): Promise<void>;

  /** Sets the pointer. BUS_FENCED unless its position is at or above that of the pointer that is there. */
  point(pointer: LogPointer): Promise<void>;
  pointer(): Promise<LogPointer | undefined>;

  /** Says that `replica` lives; forgotten after `expiresMs`. */
  beat(beat: Beat, expiresMs: number): Promise<void>;
  /** Heartbeats that have not expired, by the engine's own clock. */
  beats(): Promise<readonly Beat[]>;

  /** What is wrong with how the engine is set up (eviction, persistence), for the log; often empty. */
  advice(): Promise<readonly string[]>;
  /** Ends every connection and every `follow`; what is called later throws BUS_UNAVAILABLE. */
  close(): Promise<void>;
}

export type BusErrorCode =
  /** Not reachable, timed out, connection lost: try again later. */
  | 'BUS_UNAVAILABLE'
  /** Credentials or rights. */
  | 'BUS_DENIED'
  /** Somebody with a higher position has written. */
  | 'BUS_FENCED'
  /** Records are missing between what the reader has and what there is. */
  | 'BUS_GAP'
  | 'BUS_TOO_LARGE'
  | 'BUS_CORRUPT';

export class BusError extends Error {
  override readonly name = 'BusError';
  readonly code: BusErrorCode;

  constructor(code: BusErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
  }
}

/** Below 0 when `a` comes before `b`, 0 when they are the same, above 0 otherwise. */
export function comparePositions(a: LogPosition, b: LogPosition): number {
  return a.epoch - b.epoch || a.seq - b.seq;
}
