/**
 * How a listener stops without failing a request. It stops taking connections; then requests on open ones are
 * answered with `Connection: close`; connections on which nothing comes are closed; at the deadline, all of
 * them. HTTP thread.
 */
import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a connection that stays open may be silent before it is closed: a request may be on its way. */
export const LAST_REQUEST_MS = 1_000;

export interface DrainLimits {
  readonly idleMs: number;
  readonly deadlineMs: number;
}

/** What is left of the shutdown when the drain delay has passed. */
export function drainLimits(shutdown: {
  readonly drainDelayMs: number;
  readonly deadlineMs: number;
}): DrainLimits {
  const { drainDelayMs, deadlineMs } = shutdown;
  return { idleMs: Math.min(LAST_REQUEST_MS, drainDelayMs), deadlineMs: deadlineMs - drainDelayMs };
}

export class ListenerDrain {
  readonly #server: Server;
  #ended: Promise<void> | undefined;

  constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Takes no more connections; requests on those that are open are answered as before. Connections that have
   * not been accepted yet are reset by the system, so nobody should be told to connect anew before every
   * thread has done this.
   */
  refuse(): void {
    const server = this.#server;
    if (!server.listening) return;
    this.#ended ??= new Promise(resolve => {
      // Not the HTTP server's own `close`: that also closes idle connections, on which a request may be on
      // its way.
      NetServer.prototype.close.call(server, () => resolve());
    });
  }

  /** Resolves when all connections have ended, at the latest at the deadline. */
  async finish({ idleMs, deadlineMs }: DrainLimits): Promise<void> {
    this.refuse();
    if (this.#ended === undefined) return;
    const ended = this.#ended;
    const stop = new AbortController();
    const wait = (ms: number) => sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined);
    await Promise.race([ended, wait(idleMs)]);
    this.#server.closeIdleConnections();
    await Promise.race([ended, wait(deadlineMs - idleMs)]);
    this.#server.closeAllConnections();
    stop.abort();
    await ended;
  }
}
