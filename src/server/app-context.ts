/**
 * What the routes share: the cache they serve from, the pool, the limits, what is counted, and where the
 * server stands.
 */
import type { Logger } from 'pino';
import type { Cache, CacheReader } from '../workers/cache-types.ts';
import type { FleetView } from '../workers/fleet-link.ts';
import type { SelectionPool } from '../workers/worker-pool.ts';
import { type AccessData, AccessGate } from './access/access-gate.ts';
import type { TlsMaterial } from './access/tls-material.ts';
import { AnswerBuffers } from './answers/answer-buffers.ts';
import { AnswerSender } from './answers/answer-sender.ts';
import { Departures } from './answers/departures.ts';
import type { PreparedAnswers } from './answers/prepared-answers.ts';
import { TurnBatch } from './answers/turn-batch.ts';
import type { ServerOptions } from './config/options.ts';
import { Counters } from './counters.ts';
import { TurnBudget } from './http/turn-budget.ts';
import { type Problem, Refusal } from './routes/problem.ts';
import type { ServerStatus } from './server-status.ts';

/**
 * Where the server stands: `serving` → `draining` (says not ready, serves all the same) → `refusing` (takes
 * no more connections, serves those there are) → `closing` (last answers: who gets one connects elsewhere).
 */
export type Phase = 'serving' | 'draining' | 'refusing' | 'closing';

/** What the routes need of the cache: its owner's, or another thread's with the loader's status beside it. */
export type ServedCache = Pick<CacheReader, 'selectEncoded' | 'lookup' | 'generation' | 'ageMs'> &
  Pick<Cache, 'status'>;

/** What is said of the whole server, all HTTP threads together. */
export interface WholeServer {
  status(): Promise<ServerStatus>;
  /** Prometheus text. */
  metrics(): Promise<string>;
  /** Undefined where the server is in none. */
  fleet(): Promise<FleetView | undefined>;
}

export interface AppContext {
  readonly cache: ServedCache;
  readonly workerPool: Pick<SelectionPool, 'run' | 'refuseWhenFull'>;
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
  /** Absent: the data routes are open to everybody. */
  readonly gate: AccessGate | undefined;
  /** Absent: the data listener speaks plain HTTP. */
  readonly tls: TlsMaterial | undefined;
  /** Connections that this thread holds. */
  readonly connections: { open: number };
  /** Milliseconds since the server was made. */
  uptimeMs(): number;
  phase: Phase;
  /** True while the event loop is too late: then a turn answers for a while, and refuses the rest. */
  overloaded: boolean;
  readonly turn: TurnBudget;
}

export interface AppParts {
  readonly cache: ServedCache;
  readonly workerPool: Pick<SelectionPool, 'run' | 'refuseWhenFull'>;
  readonly options: ServerOptions;
  readonly log: Logger;
  readonly version: string;
  readonly prepared: PreparedAnswers | undefined;
  readonly whole: WholeServer;
  readonly access: AccessData | undefined;
  readonly tls: TlsMaterial | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export function appContext({ now, access, ...parts }: AppParts): AppContext {
  const startedAt = now();
  const departures = new Departures();
  const { http } = parts.options;
  return {
    ...parts,
    gate: access && new AccessGate(access),
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
    turn: new TurnBudget(http.eventLoopDelayMaxMs, now),
  };
}

/** For the routes that cost something; probes, status and metrics are never refused. Throws OVERLOADED. */
export function refuseOverload({ counters, departures, options }: AppContext): void {
  const { waitingBytes } = departures;
  if (waitingBytes <= options.http.answerBytesMax) return;
  counters.shed++;
  throw new Refusal({ code: 'OVERLOADED', detail: `${waitingBytes} bytes of answers wait for slow readers` });
}

/** Throws the problem, and counts it; for what the gate says. */
export function refuseAccess({ counters }: AppContext, problem: Problem | undefined): void {
  if (problem === undefined) return;
  counters.countDenied(problem.code);
  throw new Refusal(problem);
}
