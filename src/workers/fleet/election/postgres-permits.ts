/**
 * Permits to load, as advisory locks of Postgres: so many numbers, one for each replica that may load at
 * once. Who has one keeps a session for it; a process that dies gives it back with its connection. Who waits
 * for one keeps none: a large fleet that waits must not take all the connections there are. Loader thread.
 */
import { Backoff, type FleetClock, type Random, sleep, unlessStopped } from '../clock.ts';
import type { LoadPermits } from './election.ts';
import { type ElectionServer, ElectionSession, lockKey } from './election-session.ts';

export interface PostgresPermitsOptions {
  readonly server: () => Promise<ElectionServer>;
  readonly fleet: string;
  /** Permits that there are. */
  readonly count: number;
  readonly clock: FleetClock;
  readonly random: Random;
}

/** Between two attempts to get one: at random up to the first, doubling up to the longest. */
const PAUSES = { firstMs: 200, longestMs: 10_000 };
/** A holder is silent while it loads: only the loss of its connection ends its session. */
const SETTINGS = 'SET idle_session_timeout = 0';

export class PostgresPermits implements LoadPermits {
  readonly #options: PostgresPermitsOptions;
  readonly #key: number;

  constructor(options: PostgresPermitsOptions) {
    this.#options = options;
    this.#key = lockKey(options.fleet, 'load');
  }

  async acquire(signal: AbortSignal): Promise<() => Promise<void>> {
    const { clock, random, server } = this.#options;
    const backoff = new Backoff(random, PAUSES);
    for (;;) {
      signal.throwIfAborted();
      const opening = ElectionSession.open(await server(), SETTINGS);
      const session = await unlessStopped(opening, signal).catch(error => {
        // One that comes up after all is not left behind.
        opening.then(
          late => late.close(),
          () => undefined,
        );
        throw error;
      });
      if (await this.#isGranted(session, signal)) return async () => session.close();
      session.close();
      await sleep(clock, backoff.nextMs(), signal);
    }
  }

  async #isGranted(session: ElectionSession, signal: AbortSignal): Promise<boolean> {
    try {
      return await unlessStopped(this.#lockOne(session), signal);
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /** Tries them in one question, beginning anywhere: the first that is free is taken, and no other. */
  async #lockOne(session: ElectionSession): Promise<boolean> {
    const { count, random } = this.#options;
    const first = Math.floor(random() * count);
    const tries = Array.from(
      { length: count },
      (_, i) => `WHEN pg_try_advisory_lock(${this.#key}, ${(first + i) % count}) THEN 'true'`,
    );
    const [locked] = await session.ask(`SELECT CASE ${tries.join(' ')} ELSE 'false' END`);
    return locked === 'true';
  }
}
