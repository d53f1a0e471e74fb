/**
 * What an adapter has to do: one connection to its engine, and on it the plain operations. Everything else is
 * `EngineBus`: limits, times, connecting anew, checking the chain of records, cutting blobs into parts.
 */
import type { Beat, BusError, LogPointer, LogPosition, LogRecord } from './bus.ts';

/** A record with the position of its predecessor when it was written; LOG_START before the first. */
export interface ChainedRecord extends LogRecord {
  readonly previous: LogPosition;
}

/** Shared by all commands of a bus, or of one `follow` alone. */
export type ConnectionUse = 'commands' | 'follow';

export interface Engine {
  /** Which engine where; never holds a secret. */
  readonly description: string;
  readonly recordBytesMax: number;
  /** Bytes of the part of a blob. */
  readonly partBytes: number;
  /** Has answered once when it resolves. Aborting `signal` leaves nothing behind. */
  connect(use: ConnectionUse, signal: AbortSignal): Promise<EngineConnection>;
  /** What `error`, thrown by a connection or by `connect`, means to the user of the bus. */
  failure(error: unknown): BusError;
}

/**
 * Operations under way on one connection may overlap, but for `recordsAfter`. None of them limits its time:
 * the bus does, and destroys the connection of one that is late.
 */
export interface EngineConnection {
  /** Is the connection known to be of no more use? */
  readonly isEnded: boolean;
  /** Resolves when the engine answers. */
  ping(): Promise<void>;

  /** Throws BUS_FENCED, decided by the engine, unless the position is above every other. */
  append(record: LogRecord): Promise<void>;
  last(): Promise<LogPosition | undefined>;
  /**
   * The next records after `after`, a few at a time, or none after `waitMs` without any. Only on a connection
   * made to follow, and there with ever the position of the last record that it gave.
   */
  recordsAfter(after: LogPosition, waitMs: number): Promise<readonly ChainedRecord[]>;
  /** Never the newest one: who follows would wait for it in vain. */
  trim(before: LogPosition): Promise<void>;

  /** Stores a piece of a blob: `piece` is MANIFEST_PIECE or the number of a part. */
  putPiece(blob: string, piece: string, bytes: Uint8Array, expiresMs: number): Promise<void>;
  getPiece(blob: string, piece: string): Promise<Uint8Array | undefined>;
  /** Forgets the manifest first. `pieces` names those that there may be. */
  deletePieces(blob: string, pieces: readonly string[]): Promise<void>;

  /** Throws BUS_FENCED, decided by the engine, unless the position is at or above that of the old pointer. */
  point(pointer: LogPointer): Promise<void>;
  pointer(): Promise<LogPointer | undefined>;

  beat(beat: Beat, expiresMs: number): Promise<void>;
  beats(): Promise<readonly Beat[]>;
  advice(): Promise<readonly string[]>;

  /** Ends it at once; whatever is under way throws. */
  destroy(): void;
  /** Says goodbye. */
  end(): Promise<void>;
}

export const MANIFEST_PIECE = 'manifest';
/** Records that an adapter gives at a time: a slow reader of large ones holds no more than these. */
export const FOLLOW_RECORDS_MAX = 32;
/** Should the leader never trim: the oldest records beyond this count go by themselves. */
export const LOG_RECORDS_MAX = 1_000_000;
/** Live replicas that are listed. */
export const BEATS_MAX = 20_000;
