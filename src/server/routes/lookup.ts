/** `/v1/lookup`: ids to addresses, in order, the unknown ones named; also for nodes that cannot be chosen. */
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { FoundNode, LookupResult } from '../../engine/selection/selection-types.ts';
import { encodeDocument } from '../answers/answer-bytes.ts';
import { type AppContext, refuseOverload } from '../app-context.ts';
import { CONTENT_TYPE } from '../http/negotiation.ts';
import { requestedFormat } from './format.ts';
import {
  BODY_REFUSALS,
  COMMON_REFUSALS,
  LookupAnswerSchema,
  MEDIA,
  NO_QUERY,
  NodeIdSchema,
  responses,
} from './schemas.ts';

export function lookupRoutes(app: FastifyInstance, context: AppContext): void {
  const { limits, http } = context.options;
  app.post(
    '/v1/lookup',
    {
      bodyLimit: http.lookupBodyBytesMax,
      schema: {
        summary: 'Addresses of nodes by id',
        tags: ['lookup'],
        ...MEDIA,
        querystring: NO_QUERY,
        body: Type.Object(
          { ids: Type.Array(NodeIdSchema, { maxItems: limits.lookupIdsMax }) },
          { additionalProperties: false },
        ),
        response: responses(LookupAnswerSchema, { ...COMMON_REFUSALS, ...BODY_REFUSALS }),
      },
    },
    (request, reply) => {
      refuseOverload(context);
      const format = requestedFormat(request.headers.accept);
      const { ids } = request.body as { readonly ids: readonly string[] };
      const result = context.cache.lookup(ids);
      const document =
        format === 'json' ? lookupDocument(result, id => id) : lookupDocument(result, binaryId);
      return reply.header('content-type', CONTENT_TYPE[format]).send(encodeDocument(format, document));
    },
  );
}

/** `null` at the place of an unknown id; ids in MessagePack are binary, as in selections. */
function lookupDocument(result: LookupResult, id: (text: string) => unknown): object {
  const node = (found: FoundNode | undefined) =>
    found === undefined ? null : { ...found, id: id(found.id) };
  return {
    generation: result.generation,
    ageMs: result.ageMs,
    nodes: result.nodes.map(node),
    unknown: result.unknown.map(id),
  };
}

function binaryId(text: string): Buffer {
  return Buffer.from(text, 'hex');
}
