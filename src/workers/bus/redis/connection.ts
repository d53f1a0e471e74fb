/** One connection to Redis, with the driver `redis`. It never connects anew: the bus makes another one. */
import type { ConnectionOptions } from 'node:tls';
import { createClient, RESP_TYPES } from 'redis';
import { type Beat, BusError, type LogPointer, type LogPosition, type LogRecord } from '../bus.ts';
import {
  BEATS_MAX,
  type ChainedRecord,
  type EngineConnection,
  FOLLOW_RECORDS_MAX,
  LOG_RECORDS_MAX,
} from '../engine.ts';
import { isStart, parsePosition, positionText } from '../position.ts';
import { redisAdvice } from './advice.ts';
import { APPEND, BEAT, FENCED, POINT, READ_BEATS, READ_LAST, TRIM } from './scripts.ts';

export interface RedisTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  readonly tls: ConnectionOptions | undefined;
}

export interface RedisKeys {
  readonly log: string;
  readonly head: string;
  readonly pointer: string;
  readonly beats: string;
  readonly beatBytes: string;
  piece(blob: string, piece: string): string;
}

/** Commands that wait for the connection; those of a bus are a few. */
const COMMANDS_WAITING_MAX = 10_000;
/** Expired heartbeats that a new one clears away. */
const BEATS_FORGOTTEN_MAX = 100;
/** Keys of one UNLINK. */
const KEYS_AT_ONCE = 1_000;

type Reply = Buffer | number | null | readonly Reply[];
type Client = ReturnType<typeof newClient>;

export class RedisConnection implements EngineConnection {
  readonly #client: Client;
  readonly #keys: RedisKeys;

  private constructor(client: Client, keys: RedisKeys) {
    this.#client = client;
    this.#keys = keys;
  }

  static async open(
    target: RedisTarget,
    keys: RedisKeys,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<RedisConnection> {
    signal.throwIfAborted();
    const client = newClient(target, timeoutMs);
    const destroy = () => client.destroy();
    signal.addEventListener('abort', destroy);
    try {
      await client.connect();
      const connection = new RedisConnection(client, keys);
      await connection.ping();
      signal.throwIfAborted();
      return connection;
    } catch (error) {
      // Once more: when it was destroyed while it was connecting, it may have connected all the same.
      client.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', destroy);
    }
  }

  get isEnded(): boolean {
    return !this.#client.isReady;
  }

  async ping(): Promise<void> {
    await this.#send(['PING']);
  }

  async append({ position, bytes }: LogRecord): Promise<void> {
    const { log, head } = this.#keys;
    const args = [positionText(position), asBuffer(bytes), String(LOG_RECORDS_MAX)];
    const said = await this.#script(APPEND, [log, head], args);
    if (asText(said) === FENCED) {
      throw new BusError('BUS_FENCED', `the log has a record at or above ${positionText(position)}`);
    }
  }

  async last(): Promise<LogPosition | undefined> {
    const { log, head } = this.#keys;
    const id = asText(await this.#script(READ_LAST, [log, head], []));
    const position = parsePosition(id, log);
    return isStart(position) ? undefined : position;
  }

  async recordsAfter(after: LogPosition, waitMs: number): Promise<readonly ChainedRecord[]> {
    const { log } = this.#keys;
    const read = ['XREAD', 'COUNT', String(FOLLOW_RECORDS_MAX), 'BLOCK', String(waitMs), 'STREAMS', log];
    const streams = (await this.#send([...read, positionText(after)])) as readonly Reply[] | null;
    if (streams === null) return [];
    const [, entries] = streams[0] as readonly Reply[];
    return (entries as readonly Reply[]).map(entry => {
      const [id, fields] = entry as readonly [Buffer, readonly Buffer[]];
      const [, previous, , bytes] = fields;
      if (previous === undefined || bytes === undefined) {
        throw new BusError('BUS_CORRUPT', `entry ${id.toString()} of ${log} is not of this bus`);
      }
      return {
        position: parsePosition(id.toString(), log),
        previous: parsePosition(previous.toString(), log),
        bytes,
      };
    });
  }

  async trim({ epoch, seq }: LogPosition): Promise<void> {
    const { log, head } = this.#keys;
    await this.#script(TRIM, [log, head], [String(epoch), String(seq)]);
  }

  async putPiece(blob: string, piece: string, bytes: Uint8Array, expiresMs: number): Promise<void> {
    await this.#send(['SET', this.#keys.piece(blob, piece), asBuffer(bytes), 'PX', String(expiresMs)]);
  }

  async getPiece(blob: string, piece: string): Promise<Uint8Array | undefined> {
    const bytes = await this.#send(['GET', this.#keys.piece(blob, piece)]);
    return bytes === null ? undefined : (bytes as Buffer);
  }

  async deletePieces(blob: string, pieces: readonly string[]): Promise<void> {
    const keys = pieces.map(piece => this.#keys.piece(blob, piece));
    for (let index = 0; index < keys.length; index += KEYS_AT_ONCE) {
      await this.#send(['UNLINK', ...keys.slice(index, index + KEYS_AT_ONCE)]);
    }
  }

  async point({ position, bytes }: LogPointer): Promise<void> {
    const args = [String(position.epoch), String(position.seq), asBuffer(bytes)];
    const said = await this.#script(POINT, [this.#keys.pointer], args);
    if (asText(said) === FENCED) {
      throw new BusError('BUS_FENCED', `the pointer is above ${positionText(position)}`);
    }
  }

  async pointer(): Promise<LogPointer | undefined> {
    const { pointer } = this.#keys;
    const fields = (await this.#send(['HMGET', pointer, 'epoch', 'seq', 'bytes'])) as readonly Reply[];
    const [epoch, seq, bytes] = fields as readonly (Buffer | null)[];
    if (!epoch || !seq || !bytes) return undefined;
    return { position: parsePosition(`${epoch.toString()}-${seq.toString()}`, pointer), bytes };
  }

  async beat({ replica, bytes }: Beat, expiresMs: number): Promise<void> {
    const { beats, beatBytes } = this.#keys;
    const args = [replica, asBuffer(bytes), String(expiresMs), String(BEATS_FORGOTTEN_MAX)];
    await this.#script(BEAT, [beats, beatBytes], args);
  }

  async beats(): Promise<readonly Beat[]> {
    const { beats, beatBytes } = this.#keys;
    const flat = (await this.#script(READ_BEATS, [beats, beatBytes], [String(BEATS_MAX)])) as Buffer[];
    const found: Beat[] = [];
    for (let index = 0; index + 1 < flat.length; index += 2) {
      found.push({ replica: flat[index]!.toString(), bytes: flat[index + 1]! });
    }
    return found;
  }

  async advice(): Promise<readonly string[]> {
    return await redisAdvice(
      async args => asText(await this.#send(args)),
      async args => {
        const reply = (await this.#send(args)) as Buffer[];
        return reply.map(part => part.toString());
      },
    );
  }

  destroy(): void {
    this.#client.destroy();
  }

  async end(): Promise<void> {
    // A read that waits would hold up a polite goodbye for nothing.
    this.#client.destroy();
  }

  async #script(script: string, keys: readonly string[], args: readonly (string | Buffer)[]): Promise<Reply> {
    return await this.#send(['EVAL', script, String(keys.length), ...keys, ...args]);
  }

  async #send(args: readonly (string | Buffer)[]): Promise<Reply> {
    return (await this.#client.sendCommand([...args])) as unknown as Reply;
  }
}

/** What the driver would do by itself is switched off: time limits and reconnecting are the bus's. */
function newClient(target: RedisTarget, timeoutMs: number) {
  const { host, port, user, password, database, tls } = target;
  const socket = { host, port, connectTimeout: timeoutMs, reconnectStrategy: false as const, noDelay: true };
  const client = createClient({
    socket: tls === undefined ? socket : { ...tls, ...socket, tls: true as const },
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
    database,
    name: 'sortition',
    RESP: 2,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    commandsQueueMaxLength: COMMANDS_WAITING_MAX,
    commandOptions: { timeout: 0, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
  // Met by the command that is under way, or by the next one.
  client.on('error', () => undefined);
  return client;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function asText(reply: Reply): string {
  return String(reply);
}
