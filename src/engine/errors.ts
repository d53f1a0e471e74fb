/**
 * The error table: every operating error has a stable code. Match on `code`, never on the message.
 * Programmer errors are assertions (`assert.ts`) and have no code.
 */

export const ERRORS = {
  CONFIG_INVALID: { message: 'the configuration is not valid', retryable: false },
  REQUEST_INVALID: { message: 'the request is not valid', retryable: false },
  PLACEMENT_UNKNOWN: { message: 'no placement has this name', retryable: false },
  DISTINCT_UNKNOWN: { message: 'no distinct rule has this name', retryable: false },
  SNAPSHOT_NOT_READY: { message: 'no generation has been published yet', retryable: true },
  SNAPSHOT_REJECTED: { message: 'the load was refused; the last good generation stays', retryable: true },
  SNAPSHOT_CORRUPT: { message: 'the snapshot bytes fail their checks', retryable: false },
  LAYOUT_MISMATCH: { message: 'the bytes were written for another layout', retryable: false },
  CAPACITY_EXCEEDED: { message: 'a configured capacity is exceeded', retryable: false },
  SEATS_EXHAUSTED: { message: 'every reader seat is taken', retryable: true },
  SOURCE_UNAVAILABLE: { message: 'the source cannot be reached', retryable: true },
  SOURCE_DENIED: { message: 'the source refused the credentials or the permission', retryable: true },
  SOURCE_SCHEMA: { message: 'the source does not have the expected columns or types', retryable: true },
  SOURCE_TIMEOUT: { message: 'the source took longer than the limit', retryable: true },
  SOURCE_FAILED: { message: 'reading the source failed', retryable: true },
  LOADER_LOST: { message: 'the loader thread ended', retryable: true },
  WORKER_LOST: { message: 'the selection worker ended during the task', retryable: true },
  NOT_LEADER: { message: 'another replica loads for this one', retryable: false },
  OVERLOADED: { message: 'a queue is at its limit', retryable: true },
  CACHE_CLOSED: { message: 'the cache is closed', retryable: false },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** An operating error. `detail` names the thing; `field` the request or configuration key at fault. */
export class CacheError extends Error {
  override readonly name = 'CacheError';
  readonly code: ErrorCode;
  readonly field: string | undefined;

  constructor(code: ErrorCode, detail?: string, options: { cause?: unknown; field?: string } = {}) {
    super(detail ?? ERRORS[code].message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.field = options.field;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

/** An error as plain data: class and code do not survive the structured clone between threads. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly field?: string;
}

/** Turns any thrown value into plain data; a value that is no `CacheError` gets `fallback` as its code. */
export function errorData(error: unknown, fallback: ErrorCode): ErrorData {
  if (error instanceof CacheError) {
    return error.field === undefined
      ? { code: error.code, message: error.message }
      : { code: error.code, message: error.message, field: error.field };
  }
  return { code: fallback, message: error instanceof Error ? error.message : String(error) };
}

/** The error that `data` describes, on the thread that received it. */
export function errorFromData(data: ErrorData): CacheError {
  return new CacheError(data.code, data.message, data.field === undefined ? {} : { field: data.field });
}
