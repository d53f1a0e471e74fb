/** `/v1/fleet`: who is in the fleet, who loads for it, and who serves what, as this server sees it. */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { FleetProblem, FleetReplica, FleetView } from '../../workers/fleet-link.ts';
import type { AppContext } from '../app-context.ts';
import { sendDocument } from './format.ts';
import { inTime } from './in-time.ts';
import { Refusal } from './problem.ts';
import { COMMON_REFUSALS, NO_QUERY, responses } from './schemas.ts';

const PositionSchema = Type.Optional(
  Type.Object(
    { epoch: Type.Integer(), seq: Type.Integer() },
    { description: 'Of the log: what it serves is no older than that.' },
  ),
);

const ReplicaSchema = Type.Object({
  replica: Type.String(),
  self: Type.Boolean({ description: 'It is the server that was asked.' }),
  problem: Type.Optional(Type.String({ description: 'Why its heartbeat cannot be read.' })),
  host: Type.Optional(Type.String()),
  pid: Type.Optional(Type.Integer()),
  program: Type.Optional(Type.String({ description: 'Version.' })),
  layout: Type.Optional(Type.Integer({ description: 'Version of the snapshots that it reads.' })),
  address: Type.Optional(Type.String()),
  role: Type.Optional(Type.Enum(['follower', 'leader'], { type: 'string' })),
  position: PositionSchema,
  epoch: Type.Optional(Type.Integer()),
  digest: Type.Optional(Type.String({ description: 'Of the content that it serves.' })),
  ageMs: Type.Optional(Type.Number()),
  lost: Type.Optional(Type.String({ description: 'Why it is not in step with the log.' })),
  refusal: Type.Optional(Type.String({ description: 'What it refused since it was last in step.' })),
  wish: Type.Optional(Type.String()),
});

const FleetSchema = Type.Object(
  {
    name: Type.String(),
    bus: Type.String(),
    election: Type.String(),
    role: Type.Enum(['follower', 'leader'], { type: 'string' }),
    problem: Type.Optional(Type.String({ description: 'Why the bus could not be asked.' })),
    problems: Type.Array(
      Type.Object({
        about: Type.Enum(['bus', 'bus setup', 'source'], { type: 'string' }),
        detail: Type.String(),
      }),
      { description: 'What keeps this server from doing its part, or may do so one day.' },
    ),
    replicas: Type.Array(ReplicaSchema),
  },
  { description: 'Fields may be added.' },
);

/** As the route and the command show it: this server is among the others. */
export interface FleetDocument {
  readonly name: string;
  readonly bus: string;
  readonly election: string;
  readonly role: 'follower' | 'leader';
  readonly problem?: string;
  readonly problems: readonly FleetProblem[];
  readonly replicas: readonly (FleetReplica & { readonly self: boolean })[];
}

export function fleetRoutes(app: FastifyInstance, context: AppContext): void {
  app.get(
    '/v1/fleet',
    {
      schema: {
        summary: 'Servers that share their loads: role, content, age, refusals of each',
        tags: ['status'],
        querystring: NO_QUERY,
        response: responses(FleetSchema, { ...COMMON_REFUSALS, 404: 'This server is in no fleet.' }),
      },
    },
    async (request, reply) => {
      const view = await inTime(context, 'the fleet', context.whole.fleet());
      if (view === undefined) {
        throw new Refusal({
          code: 'NO_FLEET',
          detail: 'it loads for itself: no bus is configured (fleet.bus)',
        });
      }
      return sendDocument(request, reply, fleetDocument(view));
    },
  );
}

export function fleetDocument({
  replica,
  name,
  bus,
  election,
  status,
  replicas = [],
  problem,
}: FleetView): FleetDocument {
  return {
    name,
    bus,
    election,
    role: status.role,
    problems: status.problems,
    ...(problem === undefined ? {} : { problem }),
    replicas: replicas.map(other => ({ ...other, self: other.replica === replica })),
  };
}
