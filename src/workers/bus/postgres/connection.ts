/**
 * One session in Postgres, with the driver `pg`. It never connects anew: the bus makes another one. A session
 * that follows also listens; what wakes it is only a hint, the records are read from the table.
 */
import { Socket } from 'node:net';
import type { ClientConfig } from 'pg';
import { createClient, type PostgresClient } from '../../source/postgres/client.ts';
import { failureCode } from '../../source/postgres/failures.ts';
import { type Beat, BusError, type LogPointer, type LogPosition, type LogRecord } from '../bus.ts';
import {
  BEATS_MAX,
  type ChainedRecord,
  type ConnectionUse,
  type EngineConnection,
  FOLLOW_RECORDS_MAX,
  MANIFEST_PIECE,
} from '../engine.ts';
import { isStart, parsePosition, positionText } from '../position.ts';
import { postgresAdvice } from './advice.ts';
import { type BinaryRow, binaryRows } from './binary-rows.ts';
import { type BusStatements, busStatements } from './tables.ts';

export interface PostgresBusTarget {
  readonly config: ClientConfig;
  /** Set after the client is made: in the driver's options a connection string wins. */
  readonly password: string | undefined;
  readonly schema: string;
  readonly timeoutMs: number;
}

/** Records that stay when nobody trims, and how often that is looked after. */
const RECORDS_MAX = 100_000;
const TRIM_EVERY_SEQ = 4_096;
/** An announcement takes a millisecond; one that needs so long does not come. */
const HEARD_LIMIT_MS = 1_000;
/** No such table, no such schema: the bus was not set up yet, or somebody dropped it. */
const MISSING = ['42P01', '3F000'];

/** As the driver makes them: 64-bit integers and texts are strings. */
type Row = readonly string[];

export class PostgresConnection implements EngineConnection {
  readonly #client: PostgresClient;
  readonly #socket: Socket;
  readonly #target: PostgresBusTarget;
  readonly #statements: BusStatements;
  #isEnded = false;
  /** Something may have been added since the last look. */
  #isWoken = false;
  #wake: (() => void) | undefined;
  /** The statement under way: the driver takes one after the other. */
  #busy: Promise<unknown> = Promise.resolve();

  private constructor(client: PostgresClient, socket: Socket, target: PostgresBusTarget) {
    this.#client = client;
    this.#socket = socket;
    this.#target = target;
    this.#statements = busStatements(target.schema);
    const ended = () => {
      this.#isEnded = true;
      this.#wake?.();
    };
    // An error is met by the statement that is under way, or by the next one.
    client.on('error', ended);
    client.on('end', ended);
    client.on('notification', () => {
      this.#isWoken = true;
      this.#wake?.();
    });
  }

  static async open(
    target: PostgresBusTarget,
    use: ConnectionUse,
    signal: AbortSignal,
  ): Promise<PostgresConnection> {
    signal.throwIfAborted();
    const socket = new Socket();
    const destroy = () => socket.destroy();
    signal.addEventListener('abort', destroy);
    try {
      const client = await createClient({ ...target.config, stream: () => socket });
      if (target.password !== undefined) client.password = target.password;
      const connection = new PostgresConnection(client, socket, target);
      await client.connect();
      if (use === 'follow') await client.query(`listen ${channelOf(target.schema)}`);
      else await connection.#setUp();
      signal.throwIfAborted();
      return connection;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', destroy);
    }
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  async ping(): Promise<void> {
    await this.#rows('select 1');
  }

  async append({ position, bytes }: LogRecord): Promise<void> {
    const { schema } = this.#target;
    const { epoch, seq } = position;
    const values = [epoch, seq, asBuffer(bytes), `${schema}_bus`, positionText(position)];
    if ((await this.#rows(this.#statements.append, values)).length === 0)
      throw new BusError('BUS_FENCED', `the log has a record at or above ${positionText(position)}`);
    if (seq % TRIM_EVERY_SEQ === 0) await this.#rows(this.#statements.trimSurplus, [RECORDS_MAX]);
  }

  async last(): Promise<LogPosition | undefined> {
    const [head] = await this.#rows(this.#statements.last).catch(noneWhenMissing);
    if (head === undefined) return undefined;
    const position = this.#position(head[0], head[1]);
    return isStart(position) ? undefined : position;
  }

  async recordsAfter(after: LogPosition, waitMs: number): Promise<readonly ChainedRecord[]> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      this.#isWoken = false;
      const records = await this.#recordsNow(after);
      const leftMs = deadline - performance.now();
      if (records.length > 0 || leftMs <= 0 || this.#isEnded) return records;
      await this.#woken(leftMs);
    }
  }

  async trim({ epoch, seq }: LogPosition): Promise<void> {
    await this.#rows(this.#statements.trim, [epoch, seq]);
  }

  async putPiece(blob: string, piece: string, bytes: Uint8Array, expiresMs: number): Promise<void> {
    await this.#rows(this.#statements.putPiece, [blob, piece, asBuffer(bytes), expiresMs]);
    if (piece === MANIFEST_PIECE) await this.#rows(this.#statements.forgetExpiredPieces);
  }

  async getPiece(blob: string, piece: string): Promise<Uint8Array | undefined> {
    const literals = [blob, piece].map(text => this.#client.escapeLiteral(text)) as [string, string];
    const [row] = await this.#binary(this.#statements.getPiece(...literals));
    return row?.[0];
  }

  async deletePieces(blob: string): Promise<void> {
    await this.#rows(this.#statements.deletePieces, [blob]);
  }

  async point({ position, bytes }: LogPointer): Promise<void> {
    const values = [position.epoch, position.seq, asBuffer(bytes)];
    if ((await this.#rows(this.#statements.point, values)).length === 0) {
      throw new BusError('BUS_FENCED', `the pointer is above ${positionText(position)}`);
    }
  }

  async pointer(): Promise<LogPointer | undefined> {
    const [row] = await this.#binary(this.#statements.pointer);
    if (row === undefined) return undefined;
    return { position: this.#position(bigint(row[0]), bigint(row[1])), bytes: row[2]! };
  }

  async beat({ replica, bytes }: Beat, expiresMs: number): Promise<void> {
    await this.#rows(this.#statements.beat, [replica, asBuffer(bytes), expiresMs]);
  }

  async beats(): Promise<readonly Beat[]> {
    await this.#rows(this.#statements.forgetExpiredBeats);
    const rows = await this.#binary(this.#statements.beats(BEATS_MAX));
    return rows.map(([replica, bytes]) => ({ replica: replica!.toString(), bytes: bytes! }));
  }

  async advice(): Promise<readonly string[]> {
    const replicaCount = (await this.beats()).length;
    const isStandby = (await this.#rows('select pg_is_in_recovery()::text'))[0]?.[0] === 'true';
    if (isStandby) return postgresAdvice({ isStandby, isHeard: true, replicaCount });
    return postgresAdvice({ isStandby, isHeard: await this.#isHeard(HEARD_LIMIT_MS), replicaCount });
  }

  destroy(): void {
    this.#isEnded = true;
    this.#socket.destroy();
    this.#wake?.();
  }

  async end(): Promise<void> {
    this.#isEnded = true;
    await this.#client.end();
  }

  async #setUp(): Promise<void> {
    const [row] = await this.#rows(this.#statements.isSetUp);
    if (row?.[0] !== 'true') await this.#client.query(this.#statements.setUp);
  }

  async #recordsNow({ epoch, seq }: LogPosition): Promise<readonly ChainedRecord[]> {
    const select = this.#statements.recordsAfter(epoch, seq, FOLLOW_RECORDS_MAX);
    const rows = await this.#binary(select).catch(noneWhenMissing);
    return rows.map(row => ({
      position: this.#position(bigint(row[0]), bigint(row[1])),
      previous: this.#position(bigint(row[2]), bigint(row[3])),
      bytes: row[4]!,
    }));
  }

  #woken(waitMs: number): Promise<void> {
    if (this.#isWoken) return Promise.resolve();
    return new Promise(resolve => {
      const timer = setTimeout(() => this.#wake?.(), waitMs);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  /** Does another session hear of what this one announces? */
  async #isHeard(limitMs: number): Promise<boolean> {
    const limit = new AbortController();
    const listener = await PostgresConnection.open(this.#target, 'follow', limit.signal);
    try {
      const { schema } = this.#target;
      await this.#rows('select pg_notify($1, $2)', [`${schema}_bus`, 'hear']);
      await listener.#woken(limitMs);
      return listener.#isWoken;
    } finally {
      listener.destroy();
    }
  }

  async #rows(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    const query = { text, values: [...values], rowMode: 'array' as const };
    return (await this.#next(() => this.#client.query(query))).rows as unknown as Row[];
  }

  #binary(select: string): Promise<readonly BinaryRow[]> {
    return this.#next(() => binaryRows(this.#client, select));
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(work);
    this.#busy = result.catch(() => undefined);
    return result;
  }

  #position(epoch: string | undefined, seq: string | undefined): LogPosition {
    return parsePosition(`${epoch}-${seq}`, `schema "${this.#target.schema}"`);
  }
}

/** Folded to the name that `pg_notify` is given: schemas have small letters only. */
function channelOf(schema: string): string {
  return `"${schema}_bus"`;
}

function noneWhenMissing(error: unknown): readonly [] {
  if (MISSING.includes(failureCode(error))) return [];
  throw error;
}

function bigint(value: Buffer | undefined): string {
  return String(value?.readBigInt64BE(0));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
