/** What a read throws that its signal ended. Both sources use it. */
import { CacheError } from '../../engine/errors.ts';

/** The error of a read that `signal` ended. A reason that is a `CacheError` already says it all. */
export function abortFailure(signal: AbortSignal, what: string): CacheError {
  const reason: unknown = signal.reason;
  if (reason instanceof CacheError) return reason;
  const timedOut = reason instanceof Error && reason.name === 'TimeoutError';
  return timedOut
    ? new CacheError('SOURCE_TIMEOUT', `${what}: the deadline of the load passed`, { cause: reason })
    : new CacheError('SOURCE_FAILED', `${what}: the read was stopped`, { cause: reason });
}
