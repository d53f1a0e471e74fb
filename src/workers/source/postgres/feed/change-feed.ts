/**
 * What changes in the table, by the best way that works: a session that listens to triggers, else polling
 * of a time column, else nothing. Goes on whatever happens to the connection, the server or the table: each
 * time it begins to follow changes it says `missed` once, because nobody was told what happened before.
 * Runs on the loader thread.
 *
 * States: finding → following (triggers, updated-at or none) → finding; finding or following → waiting,
 * after a failure, → finding; any → ended, when the signal aborts.
 */
import { CacheError } from '../../../../engine/errors.ts';
import { monotonicMs } from '../../../clock.ts';
import type {
  ChangeMode,
  ChangeRequest,
  ChangeStatus,
  DeclinedMode,
  NodeChange,
} from '../../node-changes.ts';
import type { ResolvedPostgres } from '../options.ts';
import { PostgresSession } from '../session.ts';
import { type FoundMode, findMode } from './find-mode.ts';
import { Listening, type ListeningTimes } from './listening.ts';
import { backoffMs, pause } from './pauses.ts';
import { Polling } from './polling.ts';

export interface FeedTimes extends ListeningTimes {
  /** First and longest wait after a failure; doubles in between, with full jitter. */
  readonly retryFirstMs: number;
  readonly retryLongestMs: number;
  /** Time after which a better mode is looked for. */
  readonly findEveryMs: number;
}

export const FEED_TIMES: FeedTimes = {
  askEveryMs: 2_000,
  answerMs: 3_000,
  echoMs: 2_000,
  retryFirstMs: 100,
  retryLongestMs: 10_000,
  findEveryMs: 60_000,
};

/** A mode that was found and, where it is triggers, is listened to already. */
type Prepared = FoundMode & { readonly listening?: Listening };

export function followChanges(
  options: ResolvedPostgres,
  request: ChangeRequest,
  times: FeedTimes = FEED_TIMES,
): AsyncGenerator<NodeChange, void> {
  return new ChangeFeed(options, request, times).run();
}

class ChangeFeed {
  readonly #options: ResolvedPostgres;
  readonly #request: ChangeRequest;
  readonly #signal: AbortSignal;
  readonly #times: FeedTimes;
  /** Failures since changes were last followed for a while. */
  #failures = 0;
  /** When following began, monotonic; undefined while nothing is followed. */
  #followingMs: number | undefined;
  /** Modes that looked possible and did not work. */
  readonly #refused = new Map<ChangeMode, string>();
  /** The mode that was followed before this one, if any was. */
  #followed: ChangeMode | undefined;
  #status: ChangeStatus;

  constructor(options: ResolvedPostgres, request: ChangeRequest, times: FeedTimes) {
    this.#options = options;
    this.#request = request;
    this.#signal = request.signal;
    this.#times = times;
    this.#status = {
      wanted: options.changes,
      connected: false,
      sinceUnixMs: Date.now(),
      declined: [],
      failureCount: 0,
    };
  }

  async *run(): AsyncGenerator<NodeChange, void> {
    this.#say({});
    if (this.#options.changes === 'none') {
      this.#enter('none', []);
      return this.#untilStopped();
    }
    let next: Prepared | undefined;
    while (!this.#signal.aborted) {
      try {
        const prepared: Prepared = next ?? (await this.#prepare());
        next = yield* this.#follow(prepared);
      } catch (error) {
        if (this.#signal.aborted) return;
        if (!(error instanceof CacheError)) throw error;
        next = undefined;
        this.#fail(error);
        const { retryFirstMs, retryLongestMs } = this.#times;
        await pause(backoffMs(this.#failures, retryFirstMs, retryLongestMs), this.#signal);
      }
    }
    await next?.listening?.close();
  }

  /** Finds a mode that works. Throws `CacheError`. */
  async #prepare(): Promise<Prepared> {
    // The one mode that is wanted is tried again and again.
    if (this.#options.changes !== 'auto') this.#refused.clear();
    const session = await PostgresSession.open(this.#options, this.#signal);
    try {
      for (;;) {
        const { attributes } = this.#request;
        const found = await findMode(session, this.#options, { attributes, refused: this.#refused });
        if (found.triggers === undefined) return found;
        const { triggers } = found;
        const listening = await Listening.open(
          this.#options,
          { triggers, times: this.#times },
          session,
          this.#signal,
        );
        if (typeof listening !== 'string') {
          this.#refused.clear();
          return { ...found, listening };
        }
        this.#refused.set('triggers', listening);
      }
    } finally {
      await session.close();
    }
  }

  /** Follows changes until something else is to be followed. Throws `CacheError`. */
  async *#follow(prepared: Prepared): AsyncGenerator<NodeChange, Prepared | undefined> {
    const { mode, declined, listening } = prepared;
    if (listening !== undefined) return yield* this.#listen(listening, declined);
    if (mode === 'updated-at') return yield* this.#poll(prepared);
    if (this.#followed !== undefined && this.#followed !== 'none') yield begun(mode);
    this.#enter(mode, declined);
    // What a query yields is only known by reading all of it.
    if (this.#options.query !== undefined) {
      await this.#untilStopped();
      return undefined;
    }
    return this.#untilBetter(prepared);
  }

  async *#listen(
    listening: Listening,
    declined: readonly DeclinedMode[],
  ): AsyncGenerator<NodeChange, undefined> {
    try {
      this.#enter('triggers', declined);
      yield begun('triggers');
      for (;;) yield await listening.inbox.take();
    } finally {
      await listening.close();
    }
  }

  async *#poll(found: FoundMode): AsyncGenerator<NodeChange, Prepared | undefined> {
    const polling = await Polling.open(this.#options, found, this.#signal);
    try {
      this.#enter('updated-at', found.declined);
      yield begun('updated-at');
      let looked = performance.now();
      while (!this.#signal.aborted) {
        await pause(this.#options.pollMs, this.#signal);
        const askedMs = monotonicMs();
        const { change, clockMicros } = await polling.poll();
        if (change !== undefined) yield change;
        yield { kind: 'alive', clockMicros, askedMs };
        if (performance.now() - looked < this.#times.findEveryMs) continue;
        looked = performance.now();
        const better = await this.#better(found);
        if (better !== undefined) return better;
      }
      return undefined;
    } finally {
      await polling.close();
    }
  }

  async #untilBetter(found: FoundMode): Promise<Prepared | undefined> {
    for (;;) {
      await pause(this.#times.findEveryMs, this.#signal);
      if (this.#signal.aborted) return undefined;
      const better = await this.#better(found);
      if (better !== undefined) return better;
    }
  }

  /** The mode to follow in place of `current`, or undefined: it is still the best. Throws `CacheError`. */
  async #better(current: FoundMode): Promise<Prepared | undefined> {
    if (this.#options.changes !== 'auto') return undefined;
    this.#refused.clear();
    const found = await this.#prepare();
    if (found.mode !== current.mode) return found;
    if (JSON.stringify(found.declined) !== JSON.stringify(this.#status.declined)) {
      this.#say({ declined: found.declined });
    }
    return undefined;
  }

  async #untilStopped(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#signal.aborted) return;
    this.#signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
  }

  #enter(mode: ChangeMode, declined: readonly DeclinedMode[]): void {
    this.#followingMs = performance.now();
    this.#followed = mode;
    this.#say({ mode, declined, connected: true, sinceUnixMs: Date.now() });
  }

  #fail({ code, message }: CacheError): void {
    // A connection that comes and breaks at once is no success: each time everything has to be loaded.
    const followedMs = this.#followingMs === undefined ? 0 : performance.now() - this.#followingMs;
    this.#followingMs = undefined;
    this.#failures = followedMs > this.#times.retryLongestMs ? 1 : this.#failures + 1;
    const lastError = { code, message, atUnixMs: Date.now() };
    const since = this.#status.connected ? { sinceUnixMs: lastError.atUnixMs } : {};
    const failureCount = this.#status.failureCount + 1;
    this.#say({ connected: false, failureCount, lastError, ...since });
  }

  #say(change: Partial<ChangeStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.#request.onStatus?.(this.#status);
  }
}

function begun(mode: ChangeMode): NodeChange {
  const how = { triggers: 'listened to', 'updated-at': 'polled', none: 'found by full loads only' }[mode];
  return { kind: 'missed', reason: `changes are ${how} from now on; nobody was told of those before` };
}
