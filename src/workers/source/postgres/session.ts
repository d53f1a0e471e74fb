/**
 * One connection for one load, on the loader thread. A load takes a fresh one: against a refresh of a minute
 * or more a connect of some milliseconds is nothing, and a broken connection can never be met. An abort
 * destroys the socket and asks the server to cancel the statement, which would otherwise run on to its own
 * timeout.
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
const PASSWORD_BYTES_MAX = 4_096;
const RECEIVE_BYTES = 256 * 1024;

const AS_TEXT = { getTypeParser: () => (text: string) => text };

export class PostgresSession {
  readonly #client: PostgresClient;
  readonly #received: Received;
  readonly #socket: Socket;
  readonly #signal: AbortSignal;
  readonly #context: FailureContext;
  #queryCount = 0;

  private constructor(
    client: PostgresClient,
    received: Received,
    signal: AbortSignal,
    context: FailureContext,
  ) {
    this.#client = client;
    this.#received = received;
    this.#socket = received.socket;
    this.#signal = signal;
    this.#context = context;
  }

  static async open(options: ResolvedPostgres, signal: AbortSignal): Promise<PostgresSession> {
    const context = { ...options, target: postgresTarget(options) };
    const received = new Received();
    try {
      const client = await sourceClient(options, received.socket);
      const session = new PostgresSession(client, received, signal, context);
      await session.#connect();
      return session;
    } catch (error) {
      received.socket.destroy();
      throw signal.aborted ? abortFailure(signal, describe(context.target)) : postgresFailure(error, context);
    }
  }

  get target(): PostgresTarget {
    return this.#context.target;
  }

  async query(text: string, values: readonly unknown[] = []): Promise<QueryResult> {
    this.#queryCount++;
    try {
      const result = await this.#client.query({
        text,
        values: [...values],
        rowMode: 'array',
        types: AS_TEXT,
      });
      return { rows: result.rows as Cell[][], fields: result.fields };
    } catch (error) {
      throw this.#signal.aborted
        ? abortFailure(this.#signal, describe(this.#context.target))
        : postgresFailure(error, this.#context);
    } finally {
      this.#queryCount--;
    }
  }

  /** Runs `select` as a COPY in binary; yields its rows as they come. */
  async *copy(select: string, rows: CopyRows): AsyncGenerator<FieldRows> {
    const { connection } = this.#client as unknown as { connection: { stream: Readable } };
    this.#received.inPlace = true;
    try {
      const statement = this.query(`COPY (${select}) TO STDOUT (FORMAT binary)`);
      for await (const some of copiedRows(connection.stream, statement, rows)) {
        if (this.#signal.aborted) throw abortFailure(this.#signal, describe(this.#context.target));
        yield some;
      }
    } finally {
      this.#received.inPlace = false;
    }
  }

  /** Ends the connection; a statement that still runs is cancelled. */
  async close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#abort);
    if (this.#queryCount > 0) this.#abort();
    if (this.#socket.destroyed) return;
    const cut = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS);
    await this.#client.end();
    clearTimeout(cut);
  }

  async #connect(): Promise<void> {
    this.#signal.throwIfAborted();
    // A connection that breaks between two queries is met by the next query.
    this.#client.on('error', () => undefined);
    this.#signal.addEventListener('abort', this.#abort);
    try {
      await this.#client.connect();
      this.#signal.throwIfAborted();
    } catch (error) {
      this.#signal.removeEventListener('abort', this.#abort);
      throw error;
    }
  }

  readonly #abort = (): void => {
    const { processID, secretKey } = this.#client as unknown as { processID: unknown; secretKey: unknown };
    if (typeof processID === 'number' && typeof secretKey === 'number') {
      sendCancel(this.#context.target, processID, secretKey);
    }
    this.#socket.destroy();
  };
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
