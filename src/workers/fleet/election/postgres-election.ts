/**
 * The election by an advisory lock of Postgres, used as a lease: a session that says nothing for the time of
 * the lease is ended by the server, and its lock goes with it. The holder asks three times in that time, and
 * counts on the lock only from its last question that was answered, by its own clock: so it knows before
 * the server does when it may have lost it, also after having been stopped. Loader thread.
 */
import type { FleetClock } from '../clock.ts';
import type { Election, Term } from './election.ts';
import { type ElectionServer, ElectionSession, lockKey } from './election-session.ts';

export interface PostgresElectionOptions {
  readonly server: () => Promise<ElectionServer>;
  /** For status and logs. */
  readonly description: string;
  readonly fleet: string;
  readonly leaseMs: number;
  readonly clock: FleetClock;
}

/** Questions in the time of a lease. */
const ASKS_PER_LEASE = 3;
/** Part of the lease that is counted on: the rest is for two clocks that do not run alike. */
const COUNTED_RATIO = 0.9;
const LEADER = 1;

export class PostgresElection implements Election {
  readonly description: string;
  readonly #options: PostgresElectionOptions;
  readonly #key: number;
  /** Kept from attempt to attempt. */
  #session: ElectionSession | undefined;
  #term: PostgresTerm | undefined;

  constructor(options: PostgresElectionOptions) {
    this.description = options.description;
    this.#options = options;
    this.#key = lockKey(options.fleet, 'leader');
  }

  async attempt(signal: AbortSignal): Promise<Term | undefined> {
    const { clock, leaseMs, server } = this.#options;
    signal.throwIfAborted();
    // The server ends one that has asked nothing for the time of a lease.
    if (this.#session?.isEnded === true) this.#session = undefined;
    this.#session ??= await ElectionSession.open(await server(), `SET idle_session_timeout = ${leaseMs}`);
    const session = this.#session;
    const stop = () => this.#drop(session);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const askedMs = clock.nowMs();
      // The number of this transaction is above that of every one before it, also of those on a server that
      // was replaced by its copy: an epoch, without a table.
      const [epoch] = await session.ask(
        `SELECT CASE WHEN pg_try_advisory_lock(${this.#key}, ${LEADER}) THEN pg_current_xact_id()::text END`,
      );
      if (typeof epoch !== 'string') return undefined;
      this.#session = undefined;
      this.#term = new PostgresTerm(session, Number(epoch), { askedMs, leaseMs, clock });
      return this.#term;
    } catch (error) {
      this.#drop(session);
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async rest(): Promise<void> {
    if (this.#session !== undefined) this.#drop(this.#session);
  }

  async close(): Promise<void> {
    await this.rest();
    await this.#term?.resign();
  }

  #drop(session: ElectionSession): void {
    session.close();
    if (this.#session === session) this.#session = undefined;
  }
}

interface Lease {
  /** When the question was sent whose answer gave the lock, monotonic. */
  readonly askedMs: number;
  readonly leaseMs: number;
  readonly clock: FleetClock;
}

class PostgresTerm implements Term {
  readonly epoch: number;
  readonly #session: ElectionSession;
  readonly #lease: Lease;
  readonly #lost = new AbortController();
  #heldUntilMs: number;
  #cancel: () => void = () => undefined;

  constructor(session: ElectionSession, epoch: number, lease: Lease) {
    this.epoch = epoch;
    this.#session = session;
    this.#lease = lease;
    this.#heldUntilMs = lease.askedMs + COUNTED_RATIO * lease.leaseMs;
    void session.ended.then(() => this.#lose());
    this.#askLater();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  stillHeld(): boolean {
    if (this.#lease.clock.nowMs() >= this.#heldUntilMs) this.#lose();
    return !this.#lost.signal.aborted;
  }

  async resign(): Promise<void> {
    this.#lose();
  }

  #askLater(): void {
    const { clock, leaseMs } = this.#lease;
    this.#cancel = clock.after(leaseMs / ASKS_PER_LEASE, () => void this.#ask());
  }

  async #ask(): Promise<void> {
    const { clock, leaseMs } = this.#lease;
    if (!this.stillHeld()) return;
    // The answer that is not there when the lease is over is no answer.
    const cancel = clock.after(this.#heldUntilMs - clock.nowMs(), () => this.#lose());
    try {
      const askedMs = clock.nowMs();
      await this.#session.ask('SELECT 1');
      // The server counts its silence from after the question: this is never later.
      this.#heldUntilMs = askedMs + COUNTED_RATIO * leaseMs;
      if (this.stillHeld()) this.#askLater();
    } catch {
      this.#lose();
    } finally {
      cancel();
    }
  }

  /** The lock goes with the session: nobody has to wait for the lease to end. */
  #lose(): void {
    this.#cancel();
    this.#session.close();
    this.#lost.abort();
  }
}
