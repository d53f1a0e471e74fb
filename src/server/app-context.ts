/**
 * What the routes share: the cache they serve from, the pool, the limits, what is counted, and where the
 * server stands.
 */
import type { Logger } from 'pino';
import type { Cache } from '../workers/cache-types.ts';
import type { SelectionPool } from '../workers/worker-pool.ts';
import { AnswerBuffers } from './answers/answer-buffers.ts';
import { TurnBatch } from './answers/turn-batch.ts';
import type { ServerOptions } from './config/options.ts';
import { Counters } from './counters.ts';
import { Refusal } from './routes/problem.ts';

/**
 * Where the server stands: `serving` → `draining` (says not ready, serves all the same) → `closing` (last
 * answers).
 */
export type Phase = 'serving' | 'draining' | 'closing';

export interface AppContext {
  readonly cache: Cache;
  readonly workerPool: SelectionPool;
  readonly options: ServerOptions;
  readonly log: Logger;
  readonly version: string;
  readonly counters: Counters;
  readonly buffers: AnswerBuffers;
  readonly turns: TurnBatch;
  /** Milliseconds since the server was made. */
  uptimeMs(): number;
  phase: Phase;
  /** True while the event loop is so late that requests are refused. */
  overloaded: boolean;
}

export interface AppParts {
  readonly cache: Cache;
  readonly workerPool: SelectionPool;
  readonly options: ServerOptions;
  readonly log: Logger;
  readonly version: string;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export function appContext({ now, ...parts }: AppParts): AppContext {
  const startedAt = now();
  return {
    ...parts,
    counters: new Counters(),
    buffers: new AnswerBuffers(parts.options.http.answerBytesMax),
    turns: new TurnBatch(parts.workerPool, {
      tasksMax: parts.options.workerPool.threads,
      waitingMax: parts.options.workerPool.waitingMax,
      timeoutMs: parts.options.http.handlerTimeoutMs,
    }),
    uptimeMs: () => Math.round(now() - startedAt),
    phase: 'serving',
    overloaded: false,
  };
}

/** For the routes that cost something; probes, status and metrics are never refused. Throws OVERLOADED. */
export function refuseOverload(context: AppContext): void {
  if (!context.overloaded) return;
  context.counters.shed++;
  const detail = `the event loop is later than ${context.options.http.eventLoopDelayMaxMs} ms`;
  throw new Refusal({ code: 'OVERLOADED', detail });
}
