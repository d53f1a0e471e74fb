/**
 * A bus over an engine: what is the same for all of them. Refuses what is too large, limits every wait, keeps
 * the connection, checks that followed records have no hole, and cuts blobs into parts. On the thread that
 * opened it.
 */
import { assert } from '../../engine/assert.ts';
import { getParts, type PieceStore, partPieces, piecesOf, putParts } from './blob-parts.ts';
import {
  type Beat,
  type Bus,
  BusError,
  comparePositions,
  type LogPointer,
  type LogPosition,
  type LogRecord,
} from './bus.ts';
import { within } from './deadline.ts';
import { type ChainedRecord, type Engine, type EngineConnection, MANIFEST_PIECE } from './engine.ts';
import { Backoff, closed, connectEngine, endConnection, Link, type LinkOptions, silent } from './link.ts';
import { assertPosition, isStart, positionText } from './position.ts';

/** Ten million nodes with room to spare. */
const BLOB_BYTES_MAX = 2 ** 30;
const POINTER_BYTES_MAX = 64 * 1024;
const BEAT_BYTES_MAX = 64 * 1024;
/** Of a blob or a replica: names become keys and subjects. */
const NAME_BYTES_MAX = 200;
/** Silences in a row during which the engine says that there is more than it gave. */
const WITHHELD_COUNT_MAX = 3;
const EXPIRES_MS = { min: 1, max: 30 * 86_400_000 };

export class EngineBus implements Bus {
  readonly description: string;
  readonly recordBytesMax: number;
  readonly blobBytesMax = BLOB_BYTES_MAX;
  readonly #engine: Engine;
  readonly #options: LinkOptions;
  readonly #link: Link;
  readonly #followBackoff = new Backoff();
  readonly #closing = new AbortController();

  constructor(engine: Engine, options: LinkOptions) {
    this.description = engine.description;
    this.recordBytesMax = engine.recordBytesMax;
    this.#engine = engine;
    this.#options = options;
    this.#link = new Link(engine, options);
  }

  async append(record: LogRecord): Promise<void> {
    assertPosition(record.position);
    checkSize('a record', record.bytes, this.recordBytesMax);
    if (isStart(record.position)) throw new BusError('BUS_FENCED', 'nothing is written at 0-0');
    await this.#link.use(connection => connection.append(record));
  }

  async last(): Promise<LogPosition | undefined> {
    return await this.#link.use(connection => connection.last());
  }

  async *follow(after: LogPosition, signal: AbortSignal): AsyncGenerator<readonly LogRecord[], void> {
    assertPosition(after);
    if (this.#closing.signal.aborted) throw closed(this.#engine);
    const ending = AbortSignal.any([signal, this.#closing.signal]);
    if (ending.aborted) return;
    let connection: EngineConnection | undefined;
    const destroy = () => connection?.destroy();
    ending.addEventListener('abort', destroy);
    try {
      const deadline = performance.now() + this.#options.timeoutMs;
      connection = await connectEngine(this.#engine, 'follow', {
        backoff: this.#followBackoff,
        deadline,
        signal: ending,
      });
      yield* this.#records(connection, after, ending);
    } catch (error) {
      if (ending.aborted) return;
      const failure = this.#engine.failure(error);
      if (failure.code === 'BUS_UNAVAILABLE' && connection !== undefined) {
        // There is nobody to say goodbye to.
        connection.destroy();
        this.#followBackoff.failed(failure);
      }
      throw failure;
    } finally {
      ending.removeEventListener('abort', destroy);
      if (connection?.isEnded === false) await endConnection(connection);
    }
  }

  async trim(before: LogPosition): Promise<void> {
    assertPosition(before);
    await this.#link.use(connection => connection.trim(before));
  }

  async putBlob(name: string, bytes: Uint8Array, expiresMs: number): Promise<void> {
    assertName('a blob', name);
    assertExpiry(expiresMs);
    checkSize('a blob', bytes, this.blobBytesMax);
    const { partBytes } = this.#engine;
    try {
      await putParts(this.#pieces(name), bytes, expiresMs, partBytes);
    } catch (error) {
      const pieces = [MANIFEST_PIECE, ...partPieces(bytes.byteLength, partBytes)];
      // What cannot be deleted now goes away by itself.
      await this.#link.use(connection => connection.deletePieces(name, pieces)).catch(() => undefined);
      throw error;
    }
  }

  async getBlob(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    assertName('a blob', name);
    return await getParts(this.#pieces(name), name, this.blobBytesMax);
  }

  async deleteBlob(name: string): Promise<void> {
    assertName('a blob', name);
    const manifest = await this.#link.use(connection => connection.getPiece(name, MANIFEST_PIECE));
    const pieces = piecesOf(manifest, name, this.blobBytesMax);
    await this.#link.use(connection => connection.deletePieces(name, pieces));
  }

  async point(pointer: LogPointer): Promise<void> {
    assertPosition(pointer.position);
    checkSize('a pointer', pointer.bytes, POINTER_BYTES_MAX);
    await this.#link.use(connection => connection.point(pointer));
  }

  async pointer(): Promise<LogPointer | undefined> {
    return await this.#link.use(connection => connection.pointer());
  }

  async beat(beat: Beat, expiresMs: number): Promise<void> {
    assertName('a replica', beat.replica);
    assertExpiry(expiresMs);
    checkSize('a heartbeat', beat.bytes, BEAT_BYTES_MAX);
    await this.#link.use(connection => connection.beat(beat, expiresMs));
  }

  async beats(): Promise<readonly Beat[]> {
    return await this.#link.use(connection => connection.beats());
  }

  async advice(): Promise<readonly string[]> {
    return await this.#link.use(connection => connection.advice());
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#link.close();
  }

  /** The records of a connection, each checked to follow the one before it. */
  async *#records(
    connection: EngineConnection,
    after: LogPosition,
    ending: AbortSignal,
  ): AsyncGenerator<readonly LogRecord[], void> {
    let position = after;
    let withheldCount = 0;
    await this.#checkNewest(connection, position);
    while (!ending.aborted) {
      const records = await this.#next(connection, position);
      this.#followBackoff.worked();
      if (records.length > 0) {
        withheldCount = 0;
        position = checkChain(position, records);
        yield records.map(({ position: at, bytes }) => ({ position: at, bytes }));
      } else if (await this.#checkNewest(connection, position)) {
        withheldCount = 0;
      } else if (++withheldCount === WITHHELD_COUNT_MAX) {
        throw new BusError('BUS_UNAVAILABLE', `${this.description} has more records, but does not give them`);
      }
    }
  }

  /** A silence of the log is no silence of the engine: it has to say that there is nothing. */
  async #next(connection: EngineConnection, position: LogPosition): Promise<readonly ChainedRecord[]> {
    const { pingEveryMs, timeoutMs } = this.#options;
    const limitMs = pingEveryMs + timeoutMs;
    const records = connection.recordsAfter(position, pingEveryMs);
    return await within(limitMs, records, () => silent(this.#engine, limitMs));
  }

  /** Is `position` the newest? Throws BUS_GAP when it is above it: the engine has lost what was read. */
  async #checkNewest(connection: EngineConnection, position: LogPosition): Promise<boolean> {
    const { timeoutMs } = this.#options;
    const newest = await within(timeoutMs, connection.last(), () => silent(this.#engine, timeoutMs));
    const order = newest === undefined ? (isStart(position) ? 0 : -1) : comparePositions(newest, position);
    if (order < 0) {
      const found = newest === undefined ? 'is empty' : `ends at ${positionText(newest)}`;
      throw new BusError('BUS_GAP', `the log ${found}, before ${positionText(position)}: its data was lost`);
    }
    return order === 0;
  }

  #pieces(name: string): PieceStore {
    return {
      put: (piece, bytes, expiresMs) =>
        this.#link.use(connection => connection.putPiece(name, piece, bytes, expiresMs)),
      get: piece => this.#link.use(connection => connection.getPiece(name, piece)),
    };
  }
}

/** The position of the last of `records`, if each was written right after the one before it. */
function checkChain(after: LogPosition, records: readonly ChainedRecord[]): LogPosition {
  let position = after;
  for (const record of records) {
    if (comparePositions(record.previous, position) !== 0) {
      throw new BusError(
        'BUS_GAP',
        `record ${positionText(record.position)} follows ${positionText(record.previous)}, ` +
          `not ${positionText(position)}: records were trimmed away or lost`,
      );
    }
    position = record.position;
  }
  return position;
}

function checkSize(what: string, bytes: Uint8Array, bytesMax: number): void {
  if (bytes.byteLength <= bytesMax) return;
  throw new BusError(
    'BUS_TOO_LARGE',
    `${what} of ${bytes.byteLength} bytes is over the limit of ${bytesMax}`,
  );
}

function assertName(what: string, name: string): void {
  const bytes = Buffer.byteLength(name);
  assert(bytes > 0, `the name of ${what} is empty`);
  assert(bytes <= NAME_BYTES_MAX, () => `the name of ${what} has ${bytes} bytes, over ${NAME_BYTES_MAX}`);
}

function assertExpiry(expiresMs: number): void {
  assert(Number.isSafeInteger(expiresMs), () => `expiresMs is ${expiresMs}, not whole milliseconds`);
  assert(expiresMs >= EXPIRES_MS.min, () => `expiresMs is ${expiresMs}, below ${EXPIRES_MS.min}`);
  assert(expiresMs <= EXPIRES_MS.max, () => `expiresMs is ${expiresMs}, above ${EXPIRES_MS.max}`);
}
