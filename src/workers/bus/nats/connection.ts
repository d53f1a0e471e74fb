/** One connection to NATS, with its own driver. It never connects anew: the bus makes another one. */
import {
  type Consumer,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  type StoredMsg,
} from '@nats-io/jetstream';
import {
  type NatsConnection as Connection,
  type ConnectionOptions,
  connect,
  headers,
  type MsgHdrs,
  nanos,
} from '@nats-io/transport-node';
import {
  type Beat,
  BusError,
  comparePositions,
  type LogPointer,
  type LogPosition,
  type LogRecord,
} from '../bus.ts';
import { BEATS_MAX, type ChainedRecord, type EngineConnection, MANIFEST_PIECE } from '../engine.ts';
import type { ResolvedNatsBus } from '../options.ts';
import { parsePosition, positionText } from '../position.ts';
import { natsAdvice } from './advice.ts';
import { isWrongSequence, NatsLog } from './log.ts';
import { SocketGroup } from './sockets.ts';
import { ensureStreams, type NatsStreams, raiseAge, streamNames, untilStreamsAnswer } from './streams.ts';

/** What a message carries beside its payload: subject, headers, protocol. */
export const MESSAGE_OVERHEAD_BYTES = 4_096;

const POINT_ATTEMPTS_MAX = 5;
const POSITION_HEADER = 'Sortition-Position';
const EXPIRES_HEADER = 'Sortition-Expires-Ms';
/** Pings that may stay without an answer before the driver gives the connection up. */
const PINGS_OUT_MAX = 2;
/** Listing ends sooner: with the last heartbeat. */
const LIST_EXPIRES_MS = 5_000;

export class NatsConnection implements EngineConnection {
  readonly #connection: Connection;
  readonly #sockets: SocketGroup;
  readonly #manager: JetStreamManager;
  readonly #client: JetStreamClient;
  readonly #options: ResolvedNatsBus;
  readonly #streams: NatsStreams;
  readonly #log: NatsLog;
  /** Longest time to live that a stream was last seen with, in nanoseconds. */
  readonly #ages = new Map<string, number>();

  private constructor(
    connection: Connection,
    sockets: SocketGroup,
    manager: JetStreamManager,
    options: ResolvedNatsBus,
  ) {
    this.#connection = connection;
    this.#sockets = sockets;
    this.#manager = manager;
    this.#options = options;
    this.#streams = streamNames(options.prefix);
    this.#client = jetstream(connection, { timeout: options.timeoutMs });
    this.#log = new NatsLog(manager, this.#client, this.#streams.log, options.prefix);
  }

  static async open(
    target: ConnectionOptions,
    options: ResolvedNatsBus,
    signal: AbortSignal,
  ): Promise<NatsConnection> {
    signal.throwIfAborted();
    const sockets = new SocketGroup();
    const destroy = () => sockets.destroy();
    signal.addEventListener('abort', destroy);
    try {
      const connection = await sockets.run(() =>
        connect({
          ...target,
          name: 'sortition',
          reconnect: false,
          timeout: options.timeoutMs,
          pingInterval: options.pingEveryMs,
          maxPingOut: PINGS_OUT_MAX,
          ignoreClusterUpdates: true,
        }),
      );
      const manager = await jetstreamManager(connection, { timeout: options.timeoutMs, checkAPI: false });
      const opened = new NatsConnection(connection, sockets, manager, options);
      await opened.#ensureStreams(signal);
      signal.throwIfAborted();
      return opened;
    } catch (error) {
      sockets.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', destroy);
    }
  }

  get isEnded(): boolean {
    return this.#connection.isClosed();
  }

  async ping(): Promise<void> {
    await this.#connection.flush();
  }

  async append(record: LogRecord): Promise<void> {
    this.#checkPayload(record.bytes);
    await this.#log.append(record);
  }

  last(): Promise<LogPosition | undefined> {
    return this.#log.last();
  }

  recordsAfter(after: LogPosition, waitMs: number): Promise<readonly ChainedRecord[]> {
    return this.#log.recordsAfter(after, waitMs);
  }

  trim(before: LogPosition): Promise<void> {
    return this.#log.trim(before);
  }

  async putPiece(blob: string, piece: string, bytes: Uint8Array, expiresMs: number): Promise<void> {
    this.#checkPayload(bytes);
    await this.#raiseAge(this.#streams.blobs, expiresMs);
    await this.#client.publish(this.#pieceSubject(blob, piece), bytes, { headers: expiring(expiresMs) });
  }

  /**
   * Parts come from any copy of the stream, which is several times faster than asking its leader; a copy may
   * lag behind, so what one does not have the leader is asked for.
   */
  async getPiece(blob: string, piece: string): Promise<Uint8Array | undefined> {
    const { blobs } = this.#streams;
    const query = { last_by_subj: this.#pieceSubject(blob, piece) };
    const message =
      (await this.#manager.direct.getMessage(blobs, query)) ??
      (await this.#manager.streams.getMessage(blobs, query));
    if (message === null) return undefined;
    if (piece !== MANIFEST_PIECE) return message.data;
    return isAlive(message.header, message.time.getTime(), await this.#engineMs()) ? message.data : undefined;
  }

  async deletePieces(blob: string): Promise<void> {
    const { blobs } = this.#streams;
    await this.#manager.streams.purge(blobs, { filter: this.#pieceSubject(blob, MANIFEST_PIECE) });
    await this.#manager.streams.purge(blobs, { filter: this.#pieceSubject(blob, '>') });
  }

  async point({ position, bytes }: LogPointer): Promise<void> {
    for (let attempt = 1; attempt <= POINT_ATTEMPTS_MAX; attempt++) {
      const old = await this.#pointerMessage();
      if (old !== undefined && comparePositions(this.#pointerPosition(old), position) > 0) {
        throw new BusError('BUS_FENCED', `the pointer is above ${positionText(position)}`);
      }
      const head = headers();
      head.set(POSITION_HEADER, positionText(position));
      try {
        const expect = { lastSubjectSequence: old?.seq ?? 0 };
        await this.#client.publish(`${this.#options.prefix}.pointer`, bytes, { headers: head, expect });
        return;
      } catch (error) {
        if (!isWrongSequence(error)) throw error;
      }
    }
    throw new BusError('BUS_UNAVAILABLE', 'too many others set the pointer at the same time');
  }

  async pointer(): Promise<LogPointer | undefined> {
    const message = await this.#pointerMessage();
    if (message === undefined) return undefined;
    return { position: this.#pointerPosition(message), bytes: message.data };
  }

  async beat({ replica, bytes }: Beat, expiresMs: number): Promise<void> {
    await this.#raiseAge(this.#streams.beats, expiresMs);
    const subject = `${this.#options.prefix}.beat.${token(replica)}`;
    await this.#client.publish(subject, bytes, { headers: expiring(expiresMs) });
  }

  async beats(): Promise<readonly Beat[]> {
    const nowMs = await this.#engineMs();
    const { prefix } = this.#options;
    const consumer = await this.#client.consumers.get(this.#streams.beats, {
      filter_subjects: `${prefix}.beat.*`,
      deliver_policy: DeliverPolicy.LastPerSubject,
      inactive_threshold: LIST_EXPIRES_MS,
    });
    try {
      return await listed(consumer, nowMs, subject => untoken(subject.slice(`${prefix}.beat.`.length)));
    } finally {
      await consumer.delete();
    }
  }

  async advice(): Promise<readonly string[]> {
    const found = await ensureStreams(this.#manager, this.#options);
    return natsAdvice(this.#connection.info, [...found.values()], this.#options);
  }

  destroy(): void {
    this.#sockets.destroy();
    // Nothing is sent any more: it only ends what waits, and the timers.
    this.#connection.close().catch(() => undefined);
  }

  async end(): Promise<void> {
    await this.#log.endFollow();
    await this.#connection.close();
  }

  async #ensureStreams(signal: AbortSignal): Promise<void> {
    const found = await ensureStreams(this.#manager, this.#options);
    await untilStreamsAnswer(this.#manager, this.#options, signal);
    for (const [name, { config }] of found) this.#ages.set(name, config.max_age);
  }

  async #raiseAge(stream: string, expiresMs: number): Promise<void> {
    if ((this.#ages.get(stream) ?? 0) >= nanos(expiresMs)) return;
    const { config } = await raiseAge(this.#manager, stream, expiresMs);
    this.#ages.set(stream, config.max_age);
  }

  /** The engine's clock, as a message shows it that was stored just now. */
  async #engineMs(): Promise<number> {
    const subject = `${this.#options.prefix}.clock`;
    await this.#client.publish(subject);
    const message = await this.#manager.streams.getMessage(this.#streams.beats, { last_by_subj: subject });
    if (message === null) throw new BusError('BUS_UNAVAILABLE', 'the engine forgot what it just stored');
    return message.time.getTime();
  }

  async #pointerMessage(): Promise<StoredMsg | undefined> {
    const query = { last_by_subj: `${this.#options.prefix}.pointer` };
    return (await this.#manager.streams.getMessage(this.#streams.pointer, query)) ?? undefined;
  }

  #pointerPosition(message: StoredMsg): LogPosition {
    return parsePosition(message.header.get(POSITION_HEADER), `stream ${this.#streams.pointer}`);
  }

  #pieceSubject(blob: string, piece: string): string {
    return `${this.#options.prefix}.blob.${token(blob)}.${piece}`;
  }

  /** The server closes the connection of who sends more than it takes. */
  #checkPayload(bytes: Uint8Array): void {
    const limit = (this.#connection.info?.max_payload ?? Number.POSITIVE_INFINITY) - MESSAGE_OVERHEAD_BYTES;
    if (bytes.byteLength <= limit) return;
    throw new BusError(
      'BUS_TOO_LARGE',
      `${bytes.byteLength} bytes are over what this NATS server takes (${limit}): raise its max_payload`,
    );
  }
}

async function listed(
  consumer: Consumer,
  nowMs: number,
  replicaOf: (subject: string) => string,
): Promise<readonly Beat[]> {
  const { num_pending: count } = await consumer.info(true);
  const beats: Beat[] = [];
  if (count === 0) return beats;
  const messages = await consumer.fetch({
    max_messages: Math.min(count, BEATS_MAX),
    expires: LIST_EXPIRES_MS,
  });
  for await (const message of messages) {
    if (isAlive(message.headers, message.time.getTime(), nowMs)) {
      beats.push({ replica: replicaOf(message.subject), bytes: message.data });
    }
    // Some may have expired since they were counted.
    if (message.info.pending === 0) break;
  }
  return beats;
}

function expiring(expiresMs: number): MsgHdrs {
  const head = headers();
  head.set(EXPIRES_HEADER, String(expiresMs));
  return head;
}

function isAlive(head: MsgHdrs | undefined, storedMs: number, nowMs: number): boolean {
  return nowMs - storedMs < Number(head?.get(EXPIRES_HEADER) ?? 0);
}

/** Names as a part of a subject, where dots, stars and spaces mean something. */
function token(name: string): string {
  return Buffer.from(name).toString('base64url');
}

function untoken(text: string): string {
  return Buffer.from(text, 'base64url').toString();
}
