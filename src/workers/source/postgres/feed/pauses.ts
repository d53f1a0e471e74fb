/** Waits of the feed, which an abort ends, and limits of what it waits for. */
import { setTimeout as delay } from 'node:timers/promises';
import type { CacheError } from '../../../../engine/errors.ts';
import type { PostgresSession } from '../session.ts';

/** Resolves after `ms`, or when `signal` aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch((error: Error) => {
    // Whoever waits looks at the signal itself.
    if (error.name !== 'AbortError') throw error;
  });
}

/**
 * Full jitter: a random part of a wait that doubles with every failure, so that replicas do not come back
 * together.
 */
export function backoffMs(failures: number, firstMs: number, longestMs: number): number {
  const ceilingMs = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.max(1, ceilingMs * Math.random());
}

/** The result of `work` on `session`; when it takes longer than `ms`, the session ends with `late`. */
export async function within<T>(
  session: PostgresSession,
  work: Promise<T>,
  ms: number,
  late: () => CacheError,
): Promise<T> {
  const timer = setTimeout(() => session.stop(late()), ms);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
