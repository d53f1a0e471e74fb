/**
 * `/v1/admin/refresh`: load now; answered when the load is done. Every call is logged with what it changed.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Cache } from '../../workers/cache-types.ts';
import type { AppContext } from '../app-context.ts';
import { tidied } from '../server-status.ts';
import { sendDocument } from './format.ts';
import { problemOfData, sendProblem } from './problem.ts';
import { NO_QUERY } from './schemas.ts';

const RefreshBody = Type.Object(
  { acceptDrop: Type.Optional(Type.Boolean({ description: 'Waives the drop limit for this one load.' })) },
  { additionalProperties: false },
);

export function adminRoutes(app: FastifyInstance, context: AppContext, cache: Cache): void {
  app.post(
    '/v1/admin/refresh',
    {
      schema: { summary: 'Load now', tags: ['admin'], querystring: NO_QUERY, body: RefreshBody },
      // No body at all asks for nothing special.
      preValidation: (request, _, done) => {
        request.body ??= request.headers['content-type'] === undefined ? {} : null;
        done();
      },
    },
    (request, reply) => refresh(context, cache, request, reply),
  );
}

async function refresh(
  { log }: AppContext,
  cache: Cache,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { acceptDrop = false } = request.body as { readonly acceptDrop?: boolean };
  const before = cache.generation();
  const result = await cache.refresh({ acceptDrop });
  log.info(
    { remoteAddress: request.ip, acceptDrop, before, after: cache.generation(), ok: result.ok },
    'a refresh was asked for',
  );
  if (!result.ok) return sendProblem(reply, problemOfData(result.error));
  return sendDocument(request, reply, tidied(result.report));
}
