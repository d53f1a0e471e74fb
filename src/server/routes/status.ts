/**
 * `/v1/status`: what this process serves, how fresh it is, and how it is doing. For people, scripts and
 * dashboards.
 */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { ACCESS_MODES } from '../access/identity.ts';
import type { AppContext } from '../app-context.ts';
import { sendDocument } from './format.ts';
import { inTime } from './in-time.ts';
import { COMMON_REFUSALS, NO_QUERY, responses } from './schemas.ts';

function integers<K extends string>(...names: readonly K[]) {
  return Object.fromEntries(names.map(name => [name, Type.Integer()]));
}

const StatusSchema = Type.Object(
  {
    version: Type.String(),
    node: Type.String(),
    kernel: Type.Enum(['wasm', 'typescript'], { type: 'string' }),
    uptimeMs: Type.Integer(),
    ready: Type.Boolean(),
    notReady: Type.Union([Type.String(), Type.Null()], { description: 'Why it is not ready.' }),
    draining: Type.Boolean(),
    generation: Type.Integer({ description: '0 before the first.' }),
    ageMs: Type.Union([Type.Integer(), Type.Null()]),
    nodes: Type.Union([Type.Record(Type.String(), Type.Integer()), Type.Null()]),
    access: Type.Object(
      {
        mode: Type.Enum([...ACCESS_MODES], { type: 'string' }),
        identities: Type.Union([Type.Integer(), Type.Null()], { description: 'null: not listed.' }),
        problem: Type.Union([Type.String(), Type.Null()], {
          description: 'Why the newest file of identities is not the one in force.',
        }),
        tls: Type.Boolean(),
      },
      { description: 'Who may ask the data routes.' },
    ),
    loader: Type.Object({
      state: Type.Enum(
        ['starting', 'loading', 'waiting', 'backing-off', 'following', 'restarting', 'stopped'],
        {
          type: 'string',
        },
      ),
      source: Type.String(),
      refreshes: Type.Object({ succeeded: Type.Integer(), failed: Type.Integer() }),
      restarts: Type.Integer(),
      revoked: Type.Integer({ description: 'Nodes that a revocation holds out of selections.' }),
      deltas: Type.Object(integers('published', 'failed', 'takenOut'), {
        description: 'Generations made of changes; nodes that left at once, ahead of them.',
      }),
      changes: Type.Optional(
        Type.Object(
          {},
          { description: 'How changes of the source become known: mode, connection, why not better.' },
        ),
      ),
      guard: Type.Optional(
        Type.Object({}, { description: 'What the data guard refused, refuses, and was told to let pass.' }),
      ),
      snapshotFile: Type.Optional(
        Type.Object({}, { description: 'What was written last, or why it could not be.' }),
      ),
      restored: Type.Optional(
        Type.Object({}, { description: 'What the snapshot file had at the start, or why it was not used.' }),
      ),
      fleet: Type.Optional(
        Type.Object({}, { description: 'This server in its fleet: role, position, digest, refusals.' }),
      ),
      fleetNews: Type.Optional(
        Type.Object({}, { description: 'What happened in the fleet: the newest of each kind.' }),
      ),
      lastDelta: Type.Optional(
        Type.Object({}, { description: 'What the last delta changed, and how fast.' }),
      ),
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
    ways: Type.Object(integers('prepared', 'inPlace', 'pool', 'poolFallbacks'), {
      description: 'Selections by the way they took.',
    }),
    prepared: Type.Union(
      [
        Type.Object({
          drops: Type.Object(integers('generation', 'revoked', 'tenancy'), {
            description: 'Prepared answers thrown away unused, by reason.',
          }),
          ...integers('rings', 'ringsUsed', 'ready', 'slots', 'filled', 'failedTasks'),
        }),
        Type.Null(),
      ],
      { description: 'Rings of prepared answers: in use for hot requests, and how full.' },
    ),
    httpThreads: Type.Array(Type.Object(integers('answers', 'connections')), {
      description: 'The threads that serve, the main one first: selections answered, connections open.',
    }),
    httpThreadRestarts: Type.Integer(),
    stalls: Type.Object(
      { count: Type.Integer(), totalMs: Type.Integer() },
      { description: 'Times that the event loop of the main thread stood still, and for how long in all.' },
    ),
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
    async (request, reply) =>
      sendDocument(request, reply, await inTime(context, 'the status', context.whole.status())),
  );
}
