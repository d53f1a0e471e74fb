/**
 * What the routes share: the cache they serve from, the pool, the limits, what is counted, and where the
 * server stands.
 */
import type { Logger } from 'pino';
import type { Cache, CacheReader } from '../workers/cache-types.ts';
import type { SelectionPool } from '../workers/worker-pool.ts';
import { AnswerBuffers } from './answers/answer-buffers.ts';
import { AnswerSender } from './answers/answer-sender.ts';
import { Departures } from './answers/departures.ts';
import type { PreparedAnswers } from './answers/prepared-answers.ts';
import { TurnBatch } from './answers/turn-batch.ts';
import type { ServerOptions } from './config/options.ts';
import { Counters } from './counters.ts';
import { Refusal } from './routes/problem.ts';
import type { ServerStatus } from './server-status.ts';

/**
 * Where the server stands: `serving` → `draining` (says not ready, serves all the same) → `closing` (last
 * answers).
 */
export type Phase = 'serving' | 'draining' | 'closing';

/** What the routes need of the cache: its owner's, or another thread's with the loader's status beside it. */
export type ServedCache = Pick<CacheReader, 'selectEncoded' | 'lookup' | 'generation' | 'ageMs'> &
  Pick<Cache, 'status'>;

/** What is said of the whole server, all HTTP threads together. */
export interface WholeServer {
  status(): Promise<ServerStatus>;
  /** Prometheus text. */
  metrics(): Promise<string>;
}

export interface AppContext {
  readonly cache: ServedCache;
  readonly workerPool: Pick<SelectionPool, 'run'>;
  readonly options: ServerOptions;
  readonly log: Logger;
  readonly version: string;
  readonly counters: Counters;
  readonly sender: AnswerSender;
  readonly departures: Departures;
  readonly buffers: AnswerBuffers;
  readonly turns: TurnBatch;
  /** Absent: no answers are prepared. */
  readonly prepared: PreparedAnswers | undefined;
  readonly whole: WholeServer;
  /** Connections that this thread holds. */
  readonly connections: { open: number };
  /** Milliseconds since the server was made. */
  uptimeMs(): number;
  phase: Phase;
  /** True while the event loop is so late that requests are refused. */
  overloaded: boolean;
}

export interface AppParts {
  readonly cache: ServedCache;
  readonly workerPool: Pick<SelectionPool, 'run'>;
  readonly options: ServerOptions;
  readonly log: Logger;
  readonly version: string;
  readonly prepared: PreparedAnswers | undefined;
  readonly whole: WholeServer;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export function appContext({ now, ...parts }: AppParts): AppContext {
  const startedAt = now();
  const departures = new Departures();
  const { http } = parts.options;
  return {
    ...parts,
    counters: new Counters(),
    connections: { open: 0 },
    sender: new AnswerSender(http),
    departures,
    buffers: new AnswerBuffers(http.answerBytesMax, departures),
    turns: new TurnBatch(parts.workerPool, {
      tasksMax: parts.options.workerPool.threads,
      waitingMax: parts.options.workerPool.waitingMax,
      timeoutMs: http.handlerTimeoutMs,
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
