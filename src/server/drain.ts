/**
 * How a listener stops without failing a request. It stops taking connections; requests on open ones are
 * answered with `Connection: close`; connections on which nothing comes are closed; at the deadline, all of
 * them. HTTP thread.
 */
import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a connection that stays open may be silent before it is closed: a request may be on its way. */
export const LAST_REQUEST_MS = 1_000;

/** What is left of the shutdown when the drain delay has passed. */
export function drainLimits(shutdown: { readonly drainDelayMs: number; readonly deadlineMs: number }): {
  idleMs: number;
  deadlineMs: number;
} {
  const { drainDelayMs, deadlineMs } = shutdown;
  return { idleMs: Math.min(LAST_REQUEST_MS, drainDelayMs), deadlineMs: deadlineMs - drainDelayMs };
}

export async function drainListener(
  server: Server,
  limits: { idleMs: number; deadlineMs: number },
): Promise<void> {
  if (!server.listening) return;
  const ended = new Promise<void>(resolve => {
    // Not the HTTP server's own `close`: that also closes idle connections, on which a request may be on its
    // way.
    NetServer.prototype.close.call(server, () => resolve());
  });
  const stop = new AbortController();
  const wait = (ms: number) => sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined);
  await Promise.race([ended, wait(limits.idleMs)]);
  server.closeIdleConnections();
  await Promise.race([ended, wait(limits.deadlineMs - limits.idleMs)]);
  server.closeAllConnections();
  stop.abort();
  await ended;
}
