/**
 * `/v1/status`: what this process serves, how fresh it is, and how it is doing. For people, scripts and
 * dashboards.
 */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { LoaderStatus, NodeCounts } from '../../workers/messages.ts';
import type { AppContext } from '../app-context.ts';
import { sendDocument } from './format.ts';
import { COMMON_REFUSALS, NO_QUERY, responses } from './schemas.ts';

export interface ServerStatus {
  readonly version: string;
  readonly node: string;
  readonly uptimeMs: number;
  readonly ready: boolean;
  readonly draining: boolean;
  readonly generation: number;
  /** `null` before the first generation. */
  readonly ageMs: number | null;
  readonly nodes: NodeCounts | null;
  readonly loader: LoaderStatus;
  /** Answers by the way they took. */
  readonly ways: { readonly inPlace: number; readonly pool: number; readonly poolFallbacks: number };
  readonly workerPool: {
    readonly threads: number;
    readonly queued: number;
    readonly tasks: number;
    readonly lost: number;
  };
  readonly picks: number;
}

const StatusSchema = Type.Object(
  {
    version: Type.String(),
    node: Type.String(),
    uptimeMs: Type.Integer(),
    ready: Type.Boolean(),
    draining: Type.Boolean(),
    generation: Type.Integer({ description: '0 before the first.' }),
    ageMs: Type.Union([Type.Integer(), Type.Null()]),
    nodes: Type.Union([Type.Record(Type.String(), Type.Integer()), Type.Null()]),
    loader: Type.Object({
      state: Type.Enum(['starting', 'loading', 'waiting', 'backing-off', 'restarting', 'stopped'], {
        type: 'string',
      }),
      source: Type.String(),
      refreshes: Type.Object({ succeeded: Type.Integer(), failed: Type.Integer() }),
      restarts: Type.Integer(),
      lastLoad: Type.Optional(Type.Object({}, { description: 'What the last load published and left out.' })),
      lastError: Type.Optional(
        Type.Object({
          code: Type.String(),
          message: Type.String(),
          at: Type.String(),
          consecutive: Type.Integer(),
        }),
      ),
      nextLoadInMs: Type.Optional(Type.Number()),
    }),
    ways: Type.Object({ inPlace: Type.Integer(), pool: Type.Integer(), poolFallbacks: Type.Integer() }),
    workerPool: Type.Object({
      threads: Type.Integer(),
      queued: Type.Integer(),
      tasks: Type.Integer(),
      lost: Type.Integer(),
    }),
    picks: Type.Integer(),
  },
  { description: 'Fields may be added.' },
);

export function statusRoutes(app: FastifyInstance, context: AppContext): void {
  app.get(
    '/v1/status',
    {
      schema: {
        summary: 'Generation, age, node counts, source, last load, last error',
        tags: ['status'],
        querystring: NO_QUERY,
        response: responses(StatusSchema, COMMON_REFUSALS),
      },
    },
    (request, reply) => sendDocument(request, reply, serverStatus(context)),
  );
}

export function serverStatus(context: AppContext): ServerStatus {
  const { cache, workerPool, counters, phase } = context;
  const generation = cache.generation();
  const ageMs = cache.ageMs();
  const loader = tidied(cache.status());
  return {
    version: context.version,
    node: process.version,
    uptimeMs: context.uptimeMs(),
    ready: generation > 0 && phase === 'serving',
    draining: phase !== 'serving',
    generation,
    ageMs: Number.isFinite(ageMs) ? ageMs : null,
    nodes: loader.lastLoad?.nodes ?? null,
    loader,
    ways: { ...counters.ways(), poolFallbacks: counters.poolFallbacks },
    workerPool: workerPool.status(),
    picks: counters.picks,
  };
}

/** Nobody reads a load's time to a millionth of a microsecond. */
const DECIMALS = 1_000;

/**
 * Without `undefined`, which MessagePack would carry as an extension, and with times to the microsecond. The
 * document is small and rarely asked for.
 */
export function tidied<T>(document: T): T {
  const rounded = (_: string, value: unknown) =>
    typeof value === 'number' ? Math.round(value * DECIMALS) / DECIMALS : value;
  return JSON.parse(JSON.stringify(document, rounded)) as T;
}
