/**
 * A session that listens to what the triggers notify. It makes sure that notifications arrive before anything
 * relies on them, and asks the server again and again: whether it is still there, and whether the triggers
 * are. Runs on the loader thread.
 */
import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CacheError } from '../../../../engine/errors.ts';
import { monotonicMs } from '../../../clock.ts';
import { NODES_ASKED_MAX } from '../../row-source.ts';
import { quoteIdentifier } from '../../sql/introspect.ts';
import { targetAddress } from '../failures.ts';
import type { ResolvedPostgres } from '../options.ts';
import { PostgresSession } from '../session.ts';
import { ChangeInbox } from './change-inbox.ts';
import { type FoundTriggers, QUEUE_FULL, readLook } from './find-mode.ts';
import { probePayload, readNotification } from './notification.ts';
import { pause, within } from './pauses.ts';

export interface ListeningTimes {
  /** Between two questions to the server. */
  readonly askEveryMs: number;
  /** Limit of an answer: an end that is gone shows in no other way. */
  readonly answerMs: number;
  /** Limit of a notification from another session to arrive. */
  readonly echoMs: number;
}

const ECHO_TIMEOUT_REASON =
  'what is notified does not arrive: a pooler in transaction mode stands between, and LISTEN does not get ' +
  'through that. Name the server itself, or a pool in session mode';

export class Listening {
  readonly inbox = new ChangeInbox({ nodesMax: NODES_ASKED_MAX, now: () => performance.now() });
  readonly #session: PostgresSession;
  readonly #triggers: FoundTriggers;
  readonly #times: ListeningTimes;
  readonly #closing = new AbortController();
  readonly #probe = { nonce: randomUUID(), arrived: Promise.withResolvers<void>() };

  private constructor(session: PostgresSession, triggers: FoundTriggers, times: ListeningTimes) {
    this.#session = session;
    this.#triggers = triggers;
    this.#times = times;
    session.onNotification((channel, payload) => this.#receive(channel, payload));
    void session.lost.then(error => {
      this.#closing.abort();
      this.inbox.fail(error);
    });
  }

  /**
   * Listens, or says why it is no use here. `other`: a second session, which notifies: what a session
   * notifies itself comes back through any pooler. Throws `CacheError` when a connection cannot be made or
   * breaks.
   */
  static async open(
    options: ResolvedPostgres,
    found: { readonly triggers: FoundTriggers; readonly times: ListeningTimes },
    other: PostgresSession,
    signal: AbortSignal,
  ): Promise<Listening | string> {
    const session = await PostgresSession.open(options, signal);
    const listening = new Listening(session, found.triggers, found.times);
    try {
      for (const channel of found.triggers.channels) {
        await listening.#ask(session.query(`LISTEN ${quoteIdentifier(channel)}`));
      }
      if (!(await listening.#echoes(other))) {
        await listening.close();
        return ECHO_TIMEOUT_REASON;
      }
      // From here on nothing is missed; what was found must still be so.
      await listening.#look();
      void listening.#watch();
      return listening;
    } catch (error) {
      await listening.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#session.close();
  }

  #receive(channel: string, payload: string): void {
    if (!this.#triggers.channels.includes(channel)) return;
    const notification = readNotification(payload);
    if (notification === undefined) {
      this.inbox.miss(`a notification on channel "${channel}" cannot be read`);
    } else if (notification.kind === 'nodes') {
      this.inbox.addNodes(notification.ids, notification.out, notification.writtenAtUnixMs);
    } else if (notification.kind === 'everything') {
      this.inbox.miss(notification.reason);
    } else if (notification.nonce === this.#probe.nonce) {
      this.#probe.arrived.resolve();
    }
  }

  async #echoes(other: PostgresSession): Promise<boolean> {
    const { arrived, nonce } = this.#probe;
    await other.query('SELECT pg_notify($1, $2)', [this.#triggers.channels[0], probePayload(nonce)]);
    // A turn more: a thread that has stood still learns of the time before it hears what came meanwhile.
    const timeout = pause(this.#times.echoMs, this.#closing.signal).then(() => nextTurn(false));
    const echoed = await Promise.race([arrived.promise.then(() => true), timeout]);
    // The connection may have ended meanwhile: then the next question says so.
    if (!echoed) await this.#ask(this.#session.query('SELECT'));
    return echoed;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    try {
      for (;;) {
        await pause(this.#times.askEveryMs, signal);
        if (signal.aborted) return;
        await this.#look();
      }
    } catch (error) {
      // Nobody waits for this one: whoever takes from the inbox hears of it.
      this.inbox.fail(error as Error);
    }
  }

  async #look(): Promise<void> {
    const askedMs = monotonicMs();
    const { rows } = await this.#ask(this.#session.query(this.#triggers.look));
    const { clockMicros, seen, queueFull } = readLook(rows[0]);
    if (queueFull) throw new CacheError('SOURCE_SCHEMA', QUEUE_FULL);
    if (seen !== this.#triggers.seen) {
      throw new CacheError('SOURCE_SCHEMA', 'the columns, partitions or triggers of the table have changed');
    }
    this.inbox.alive({ clockMicros, askedMs });
  }

  #ask<T>(question: Promise<T>): Promise<T> {
    const { answerMs } = this.#times;
    const at = targetAddress(this.#session.target);
    return within(this.#session, question, answerMs, () => {
      const detail = `PostgreSQL at ${at} did not answer the session that listens within ${answerMs} ms`;
      return new CacheError('SOURCE_UNAVAILABLE', detail);
    });
  }
}
