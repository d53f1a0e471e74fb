/**
 * Keeps a connection to an engine: makes one when it is needed, asks it now and then whether the engine still
 * answers, drops it when it does not, and lets growing random pauses pass before trying again.
 */
import { BusError } from './bus.ts';
import { pause, within } from './deadline.ts';
import type { ConnectionUse, Engine, EngineConnection } from './engine.ts';

/** The pause before attempt n is drawn from 0 to this times 2^n, up to the largest ("full jitter"). */
const RECONNECT_PAUSE_BASE_MS = 50;
const RECONNECT_PAUSE_MAX_MS = 2_000;
/** Beyond this exponent every pause is drawn up to the largest. */
const RECONNECT_EXPONENT_MAX = 10;
/** A goodbye that takes longer is cut off. */
const END_TIMEOUT_MS = 1_000;

export interface LinkOptions {
  readonly timeoutMs: number;
  /** An engine that has not been heard of for so long is asked for a sign of life. */
  readonly pingEveryMs: number;
}

/** When the next attempt to connect may be made. One for all connections of a kind. */
export class Backoff {
  #failureCount = 0;
  #nextAt = 0;
  #failure: BusError | undefined;

  failed(failure: BusError): void {
    const exponent = Math.min(this.#failureCount++, RECONNECT_EXPONENT_MAX);
    const pauseMs = Math.random() * Math.min(RECONNECT_PAUSE_BASE_MS * 2 ** exponent, RECONNECT_PAUSE_MAX_MS);
    this.#nextAt = performance.now() + pauseMs;
    this.#failure = failure;
  }

  worked(): void {
    this.#failureCount = 0;
    this.#nextAt = 0;
    this.#failure = undefined;
  }

  /** Waits for the next attempt. When that is after `deadline`, waits until then, and says what is wrong. */
  async wait(deadline: number, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    if (this.#nextAt <= now) return;
    await pause(Math.min(this.#nextAt, deadline) - now, signal);
    if (this.#nextAt > deadline && this.#failure !== undefined) throw this.#failure;
  }
}

/** Connects within the time that is left; the signal's abort and a late answer leave nothing behind. */
export async function connectEngine(
  engine: Engine,
  use: ConnectionUse,
  options: { readonly backoff: Backoff; readonly deadline: number; readonly signal: AbortSignal },
): Promise<EngineConnection> {
  const { backoff, deadline, signal } = options;
  await backoff.wait(deadline, signal);
  const limit = new AbortController();
  const limitMs = deadline - performance.now();
  const connecting = engine.connect(use, AbortSignal.any([limit.signal, signal]));
  try {
    return await within(limitMs, connecting, () => silent(engine, limitMs));
  } catch (error) {
    limit.abort();
    connecting.then(
      connection => connection.destroy(),
      () => undefined,
    );
    const failure = engine.failure(error);
    backoff.failed(failure);
    throw failure;
  }
}

export function silent(engine: Engine, limitMs: number): BusError {
  return new BusError(
    'BUS_UNAVAILABLE',
    `${engine.description} did not answer within ${Math.max(0, Math.round(limitMs))} ms`,
  );
}

export class Link {
  readonly #engine: Engine;
  readonly #options: LinkOptions;
  readonly #backoff = new Backoff();
  readonly #closing = new AbortController();
  #connecting: Promise<EngineConnection> | undefined;
  #connection: EngineConnection | undefined;
  #ping: NodeJS.Timeout | undefined;

  constructor(engine: Engine, options: LinkOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  /** Runs `work` on the connection; connecting and working have `timeoutMs` together. */
  async use<T>(work: (connection: EngineConnection) => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#options.timeoutMs;
    const connection = await this.#connected(deadline);
    try {
      const limitMs = deadline - performance.now();
      const result = await within(limitMs, work(connection), () =>
        silent(this.#engine, this.#options.timeoutMs),
      );
      this.#backoff.worked();
      this.#pingLater();
      return result;
    } catch (error) {
      if (this.#closing.signal.aborted) throw closed(this.#engine);
      const failure = this.#engine.failure(error);
      if (failure.code === 'BUS_UNAVAILABLE') this.#drop(connection, failure);
      throw failure;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#ping);
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) await endConnection(connection);
  }

  async #connected(deadline: number): Promise<EngineConnection> {
    if (this.#closing.signal.aborted) throw closed(this.#engine);
    if (this.#connection?.isEnded === true) {
      const broken = new BusError('BUS_UNAVAILABLE', `${this.#engine.description} closed the connection`);
      this.#drop(this.#connection, broken);
    }
    if (this.#connection !== undefined) return this.#connection;
    this.#connecting ??= this.#connect(deadline);
    const connecting = this.#connecting;
    return await within(deadline - performance.now(), connecting, () =>
      silent(this.#engine, this.#options.timeoutMs),
    );
  }

  async #connect(deadline: number): Promise<EngineConnection> {
    try {
      const { signal } = this.#closing;
      const connection = await connectEngine(this.#engine, 'commands', {
        backoff: this.#backoff,
        deadline,
        signal,
      });
      if (signal.aborted) {
        connection.destroy();
        throw closed(this.#engine);
      }
      this.#connection = connection;
      this.#pingLater();
      return connection;
    } catch (error) {
      throw this.#closing.signal.aborted ? closed(this.#engine) : error;
    } finally {
      this.#connecting = undefined;
    }
  }

  #drop(connection: EngineConnection, failure: BusError): void {
    connection.destroy();
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    clearTimeout(this.#ping);
    this.#backoff.failed(failure);
  }

  /** A connection that nobody uses is asked, so that a dead peer is found before somebody needs it. */
  #pingLater(): void {
    clearTimeout(this.#ping);
    this.#ping = setTimeout(() => {
      const connection = this.#connection;
      if (connection === undefined) return;
      const answer = within(this.#options.timeoutMs, connection.ping(), () =>
        silent(this.#engine, this.#options.timeoutMs),
      );
      answer.then(
        () => this.#connection === connection && this.#pingLater(),
        error => this.#drop(connection, this.#engine.failure(error)),
      );
    }, this.#options.pingEveryMs).unref();
  }
}

export function closed(engine: Engine): BusError {
  return new BusError('BUS_UNAVAILABLE', `the bus to ${engine.description} is closed`);
}

/** Ends a connection politely, and at once when that takes too long. */
export async function endConnection(connection: EngineConnection): Promise<void> {
  try {
    await within(END_TIMEOUT_MS, connection.end(), () => new Error('the goodbye took too long'));
  } catch {
    // It is destroyed below, which is what counts.
  } finally {
    connection.destroy();
  }
}
