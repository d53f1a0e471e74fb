/**
 * `/v1/selections`: many selections in one request, always by the worker pool. Answers in order; the whole is
 * 200.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { DEFAULT_COUNT } from '../../engine/selection/selection-request.ts';
import type { EncodedFormat, SelectionRequest } from '../../engine/selection/selection-types.ts';
import type { PoolAnswer } from '../../workers/worker-pool.ts';
import { encodeDocument, joinAnswers, withMembers } from '../answers/answer-bytes.ts';
import { discard } from '../answers/discard.ts';
import { type AppContext, refuseAccess, refuseOverload } from '../app-context.ts';
import { CONTENT_TYPE } from '../http/negotiation.ts';
import { requestedFormat } from './format.ts';
import { inTime } from './in-time.ts';
import { problemDocument, problemOfData, Refusal, shortageProblem } from './problem.ts';
import {
  BODY_REFUSALS,
  COMMON_REFUSALS,
  MEDIA,
  NO_QUERY,
  ProblemSchema,
  responses,
  SelectionAnswerSchema,
  ShortageProblemSchema,
  selectionBodySchema,
} from './schemas.ts';

const AnswerSchema = Type.Object({
  answers: Type.Array(Type.Union([SelectionAnswerSchema, ShortageProblemSchema, ProblemSchema]), {
    description: 'In the order of the requests: a selection, or a problem.',
  }),
});

export function selectionsRoutes(app: FastifyInstance, context: AppContext): void {
  const { limits, http } = context.options;
  const requests = Type.Array(selectionBodySchema(limits), {
    minItems: 1,
    maxItems: limits.batchRequestsMax,
  });
  app.post(
    '/v1/selections',
    {
      bodyLimit: http.batchBodyBytesMax,
      // Before a body of many requests is parsed and checked in vain.
      onRequest: (_request, _reply, done) => {
        context.workerPool.refuseWhenFull();
        done();
      },
      schema: {
        summary: 'Many selections in one request',
        tags: ['selection'],
        ...MEDIA,
        querystring: NO_QUERY,
        body: Type.Object(
          { requests },
          { additionalProperties: false, examples: [{ requests: [{ count: 3 }, { count: 5 }] }] },
        ),
        response: responses(AnswerSchema, { ...COMMON_REFUSALS, ...BODY_REFUSALS }),
      },
    },
    (request, reply) => answerBatch(context, request, reply),
  );
}

async function answerBatch(
  context: AppContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  refuseOverload(context);
  const format = requestedFormat(request.headers.accept);
  const { requests } = request.body as { readonly requests: readonly SelectionRequest[] };
  checkPicks(context, requests);
  const counts = requests.map(({ count = DEFAULT_COUNT }) => count);
  refuseAccess(context, context.gate?.refusalOfCounts(request.raw, counts));
  const answers = await inTime(context, 'the batch', context.workerPool.run(format, requests));
  const parts = answers.map((answered, index) => answerPart(context, format, requests[index]!, answered));
  const joined = joinAnswers(format, parts);
  // Then all of it has left, or the connection is gone.
  reply.raw.once('close', () => discard(joined));
  return reply.header('content-type', CONTENT_TYPE[format]).send(joined);
}

function checkPicks(context: AppContext, requests: readonly SelectionRequest[]): void {
  const { batchPicksMax } = context.options.limits;
  const picks = requests.reduce((total, { count = DEFAULT_COUNT }) => total + count, 0);
  if (picks <= batchPicksMax) return;
  const detail = `the requests ask for ${picks} nodes together; the limit is ${batchPicksMax}`;
  throw new Refusal({ code: 'REQUEST_INVALID', detail, field: 'requests' });
}

function answerPart(
  context: AppContext,
  format: EncodedFormat,
  request: SelectionRequest,
  answered: PoolAnswer,
): Uint8Array<ArrayBuffer> {
  const { counters } = context;
  if (!answered.ok) {
    counters.countSelection('pool', format, 'refused');
    return encodeDocument(format, problemDocument(problemOfData(answered.error)));
  }
  const { bytes, found, shortage } = answered;
  if (shortage !== undefined && request.partial !== true) {
    counters.countSelection('pool', format, 'shortage');
    return withMembers(format, problemDocument(shortageProblem(shortage), shortage), bytes);
  }
  counters.countSelection('pool', format, shortage === undefined ? 'full' : 'partial');
  counters.picks += found;
  return bytes;
}
