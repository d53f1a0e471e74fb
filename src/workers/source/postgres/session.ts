/**
 * One connection, on the loader thread. A load takes a fresh one: against a refresh of a minute or more a
 * connect of some milliseconds is nothing, and a broken connection can never be met. What has to be known at
 * once (changes, the rows of changed nodes) comes over sessions that are kept. An abort destroys the socket
 * and asks the server to cancel the statement, which would otherwise run on to its own timeout.
 */
import { connect, Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { CacheError } from '../../../engine/errors.ts';
import type { FieldRows } from '../../../engine/snapshot/field-rows.ts';
import { abortFailure } from '../abort.ts';
import { openRegularFile } from '../regular-file.ts';
import { createClient, type PostgresClient } from './client.ts';
import type { CopyRows } from './copy-rows.ts';
import { copiedRows } from './copy-stream.ts';
import {
  type FailureContext,
  type PostgresTarget,
  postgresFailure,
  postgresTarget,
  targetAddress,
} from './failures.ts';
import type { ResolvedPostgres } from './options.ts';

/** A value as the server writes it: every type arrives as its text. */
export type Cell = string | null;

export interface QueryResult {
  readonly rows: Cell[][];
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

/** Time that a cancel request may take; after it the server's statement timeout ends the statement. */
const CANCEL_TIMEOUT_MS = 1_000;
/** A polite goodbye that takes longer is cut off. */
const CLOSE_TIMEOUT_MS = 1_000;
/** Idle time after which the system asks the other end whether it is still there. */
const KEEP_ALIVE_MS = 10_000;
const PASSWORD_BYTES_MAX = 4_096;
const RECEIVE_BYTES = 256 * 1024;

const AS_TEXT = { getTypeParser: () => (text: string) => text };

export class PostgresSession {
  readonly #client: PostgresClient;
  readonly #received: Received;
  readonly #socket: Socket;
  readonly #context: FailureContext;
  readonly #stopping = new AbortController();
  readonly #signal = this.#stopping.signal;
  /** Takes the session off the signal that it was opened with. */
  #forget: () => void = () => undefined;
  #queryCount = 0;
  /**
   * Why the connection ends, which is known before it does. Between two queries nobody else hears of it, and
   * of a later query the driver says only that it is too late.
   */
  #brokenBy: Error | undefined;
  readonly #lost = Promise.withResolvers<CacheError>();

  private constructor(client: PostgresClient, received: Received, context: FailureContext) {
    this.#client = client;
    this.#received = received;
    this.#socket = received.socket;
    this.#context = context;
    this.#client.on('error', error => {
      this.#brokenBy ??= error;
    });
    this.#client.once('end', () => {
      this.#brokenBy ??= new Error('Connection terminated');
      this.#lost.resolve(this.#failure(this.#brokenBy));
    });
  }

  /** The session ends when `signal` aborts. */
  static async open(options: ResolvedPostgres, signal: AbortSignal): Promise<PostgresSession> {
    const context = { ...options, target: postgresTarget(options) };
    const received = new Received();
    try {
      const client = await sourceClient(options, received.socket);
      const session = new PostgresSession(client, received, context);
      await session.#connect(signal);
      return session;
    } catch (error) {
      received.socket.destroy();
      throw signal.aborted ? abortFailure(signal, describe(context.target)) : postgresFailure(error, context);
    }
  }

  get target(): PostgresTarget {
    return this.#context.target;
  }

  /** Resolves with the reason when the connection has ended, whoever ended it. */
  get lost(): Promise<CacheError> {
    return this.#lost.promise;
  }

  /** Hands `take` what the channels send that this session listens to. */
  onNotification(take: (channel: string, payload: string) => void): void {
    this.#client.on('notification', ({ channel, payload }) => take(channel, payload ?? ''));
  }

  /** Ends the session with that reason: statements under way, and later ones, throw it. */
  stop(reason: unknown): void {
    if (!this.#signal.aborted) this.#stopping.abort(reason);
    this.#cut();
  }

  /** Lets `signal` end the session too, until the returned function is called. */
  obey(signal: AbortSignal): () => void {
    const stop = () => this.stop(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    return () => signal.removeEventListener('abort', stop);
  }

  /** Runs one statement, or several with `;` between them: then the last one's result is returned. */
  async query(text: string, values: readonly unknown[] = []): Promise<QueryResult> {
    return (await this.#run(text, values)).at(-1)!;
  }

  /** Runs several statements in one message; returns the result of each. */
  queries(text: string): Promise<readonly QueryResult[]> {
    return this.#run(text, []);
  }

  /**
   * Runs `select` as a COPY in binary; yields its rows as they come. `before` and `after` are statements sent
   * with it, in one message; the results of them all are returned.
   */
  async *copy(
    select: string,
    rows: CopyRows,
    { before = '', after = '' }: { readonly before?: string; readonly after?: string } = {},
  ): AsyncGenerator<FieldRows, readonly QueryResult[]> {
    const { connection } = this.#client as unknown as { connection: { stream: Readable } };
    this.#received.inPlace = true;
    try {
      const statement = this.#run(`${before}COPY (${select}) TO STDOUT (FORMAT binary)${after}`, []);
      for await (const some of copiedRows(connection.stream, statement, rows)) {
        this.#throwIfStopped();
        yield some;
      }
      return await statement;
    } finally {
      this.#received.inPlace = false;
    }
  }

  /** Ends the connection; a statement that still runs is cancelled. */
  async close(): Promise<void> {
    this.#forget();
    if (this.#queryCount > 0) this.#cut();
    if (this.#socket.destroyed) return;
    const cut = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS);
    await this.#client.end();
    clearTimeout(cut);
  }

  async #run(text: string, values: readonly unknown[]): Promise<QueryResult[]> {
    this.#queryCount++;
    try {
      this.#throwIfStopped();
      if (this.#brokenBy !== undefined) throw this.#brokenBy;
      const query = { text, values: [...values], rowMode: 'array' as const, types: AS_TEXT };
      // The driver's types do not know that several statements have several results.
      const results = [await this.#client.query(query)].flat();
      return results.map(({ rows, fields }) => ({ rows: rows as Cell[][], fields }));
    } catch (error) {
      throw this.#failure(error);
    } finally {
      this.#queryCount--;
    }
  }

  #failure(error: unknown): CacheError {
    return this.#signal.aborted
      ? abortFailure(this.#signal, describe(this.#context.target))
      : postgresFailure(error, this.#context);
  }

  #throwIfStopped(): void {
    if (this.#signal.aborted) throw abortFailure(this.#signal, describe(this.#context.target));
  }

  async #connect(signal: AbortSignal): Promise<void> {
    this.#forget = this.obey(signal);
    try {
      this.#signal.throwIfAborted();
      await this.#client.connect();
      this.#signal.throwIfAborted();
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  #cut(): void {
    if (this.#socket.destroyed) return;
    const { processID, secretKey } = this.#client as unknown as { processID: unknown; secretKey: unknown };
    const running = this.#queryCount > 0;
    if (running && typeof processID === 'number' && typeof secretKey === 'number') {
      sendCancel(this.#context.target, processID, secretKey);
    }
    this.#socket.destroy();
  }
}

/**
 * A socket that receives into one piece of memory. Left to itself, Node.js allocates one for every read, and
 * the garbage costs more than a third of all the receiving (40 of 110 ms for a million rows, measured
 * 2026-11). Under TLS nothing of this is in effect: the decrypted bytes come as that stream makes them.
 */
class Received {
  /** What is emitted is good until the listener returns, or until the stream that was paused goes on. */
  inPlace = false;
  readonly socket: Socket;

  constructor() {
    const buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
    const callback = (count: number) => {
      const bytes = buffer.subarray(0, count);
      return this.socket.emit('data', this.inPlace ? bytes : Buffer.from(bytes));
    };
    this.socket = new Socket({ onread: { buffer, callback } });
  }
}

function describe(target: PostgresTarget): string {
  return `PostgreSQL at ${targetAddress(target)}`;
}

async function sourceClient(options: ResolvedPostgres, socket: Socket): Promise<PostgresClient> {
  const password = options.passwordFile === undefined ? undefined : await readPassword(options.passwordFile);
  const client = await createClient({
    // The driver's socket is ours, so that an abort can destroy it at any moment, also before it is
    // connected.
    stream: () => socket,
    connectionString: options.connectionString,
    connectionTimeoutMillis: options.connectTimeoutMs,
    application_name: options.applicationName,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
  });
  // Set afterwards: in the driver's options a connection string wins, even one without a password.
  if (password !== undefined) client.password = password;
  return client;
}

async function readPassword(path: string): Promise<string> {
  try {
    const file = await openRegularFile(path);
    try {
      const { size } = await file.stat();
      if (size > PASSWORD_BYTES_MAX) throw new Error(`is longer than ${PASSWORD_BYTES_MAX} bytes`);
      const text = await file.readFile('utf8');
      return text.split(/\r?\n/, 1)[0] ?? '';
    } finally {
      await file.close();
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CacheError('SOURCE_DENIED', `the password file "${path}" cannot be read: ${reason}`, {
      cause: error,
      field: 'passwordFile',
    });
  }
}

/**
 * The cancel message of the protocol, on a connection of its own. Best effort: failure leaves the timeout.
 */
function sendCancel(target: PostgresTarget, processId: number, secretKey: number): void {
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(80_877_102, 4); // The number by which the protocol tells a cancel request.
  message.writeInt32BE(processId, 8);
  message.writeInt32BE(secretKey, 12);
  const socket = target.host.startsWith('/')
    ? connect(targetAddress(target))
    : connect(target.port, target.host.replace(/^\[|\]$/g, ''));
  socket.on('error', () => undefined);
  socket.setTimeout(CANCEL_TIMEOUT_MS, () => socket.destroy());
  socket.end(message);
}
