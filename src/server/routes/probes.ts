/**
 * `/livez`: the process answers. `/readyz`: it has a generation and is not about to stop; says why when it is
 * not so.
 */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { AppContext } from '../app-context.ts';
import { type Problem, sendProblem } from './problem.ts';
import { ProblemSchema } from './schemas.ts';

const LiveSchema = Type.Object({ status: Type.Literal('live') });
const ReadySchema = Type.Object({ status: Type.Literal('ready'), generation: Type.Integer() });

export function probeRoutes(app: FastifyInstance, context: AppContext): void {
  app.get(
    '/livez',
    { schema: { summary: 'The process answers', tags: ['probes'], response: { 200: LiveSchema } } },
    (_, reply) => reply.send({ status: 'live' }),
  );
  app.get(
    '/readyz',
    {
      schema: {
        summary: 'There is a generation to serve from',
        tags: ['probes'],
        response: {
          200: ReadySchema,
          503: {
            description: 'Why not.',
            content: { 'application/problem+json': { schema: ProblemSchema } },
          },
        },
      },
    },
    (_, reply) => {
      const problem = unreadiness(context);
      if (problem !== undefined) return sendProblem(reply, problem);
      return reply.send({ status: 'ready', generation: context.cache.generation() });
    },
  );
}

function unreadiness({ cache, phase }: AppContext): Problem | undefined {
  if (phase !== 'serving') return { code: 'DRAINING', detail: 'the server is about to stop' };
  if (cache.generation() > 0) return undefined;
  const { state, lastError } = cache.status();
  const detail =
    lastError === undefined
      ? `no generation has been published yet; the loader is ${state}`
      : `no generation has been published yet; ${lastError.code}: ${lastError.message}`;
  return { code: 'SNAPSHOT_NOT_READY', detail };
}
