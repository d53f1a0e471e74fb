/**
 * `/livez`: the process lives. `/readyz`: it has a generation that is young enough, and is not about to
 * stop; says why when it is not so.
 */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { type Problem, sendProblem } from './problem.ts';
import { HEAD_REFUSALS, problems } from './schemas.ts';

const LiveSchema = Type.Object({ status: Type.Literal('live') });
const ReadySchema = Type.Object({ status: Type.Literal('ready'), generation: Type.Integer() });

export interface ProbeSource {
  /** Why the process is to be ended; undefined: it lives. */
  death(): Problem | undefined;
  /** Undefined: it is ready. */
  unreadiness(): Problem | undefined;
  generation(): number;
}

export function probeRoutes(app: FastifyInstance, source: ProbeSource): void {
  app.get(
    '/livez',
    {
      schema: {
        summary: 'The process answers',
        tags: ['probes'],
        response: {
          200: LiveSchema,
          ...problems({
            ...HEAD_REFUSALS,
            503: 'It hangs: only the watchdog (`probes.address`) ever says so.',
          }),
        },
      },
    },
    (_, reply) => {
      const problem = source.death();
      return problem === undefined ? reply.send({ status: 'live' }) : sendProblem(reply, problem);
    },
  );
  app.get(
    '/readyz',
    {
      schema: {
        summary: 'There is a generation to serve from, young enough',
        tags: ['probes'],
        response: {
          200: ReadySchema,
          ...problems({ ...HEAD_REFUSALS, 503: 'Why not.' }),
        },
      },
    },
    (_, reply) => {
      const problem = source.unreadiness();
      if (problem !== undefined) return sendProblem(reply, problem);
      return reply.send({ status: 'ready', generation: source.generation() });
    },
  );
}
