/**
 * `/v1/selection`: one selection, by GET or POST. Answered in place unless it is heavy or the pool is to
 * serve.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { errorFromData } from '../../engine/errors.ts';
import { DEFAULT_COUNT } from '../../engine/selection/selection-request.ts';
import type { EncodedFormat, SelectionRequest, Shortage } from '../../engine/selection/selection-types.ts';
import type { PoolAnswer } from '../../workers/worker-pool.ts';
import { withMembers } from '../answers/answer-bytes.ts';
import type { InPlace, SelectionAnswers } from '../answers/selection-answers.ts';
import type { UrlLane } from '../answers/url-lane.ts';
import { type AppContext, refuseAccess, refuseOverload } from '../app-context.ts';
import type { Way } from '../counters.ts';
import { parseMessagePack } from '../http/messagepack-reader.ts';
import { requestedFormat } from './format.ts';
import { problemDocument, problemHeaders, shortageProblem } from './problem.ts';
import {
  BODY_REFUSALS,
  COMMON_REFUSALS,
  MEDIA,
  NO_QUERY,
  responses,
  SelectionAnswerSchema,
  selectionBodySchema,
  selectionQuerySchema,
} from './schemas.ts';

export const SELECTION_ROUTE = '/v1/selection';

const REFUSALS = { ...COMMON_REFUSALS, 409: 'Fewer nodes were found than asked for; they come with it.' };

/** What the route shares with the way past the framework. */
export interface SelectionParts {
  readonly context: AppContext;
  readonly answers: SelectionAnswers;
  readonly urlLane: UrlLane;
}

export function selectionRoutes(app: FastifyInstance, parts: SelectionParts): void {
  const { context, answers, urlLane } = parts;
  const { limits, http } = context.options;
  app.get(
    SELECTION_ROUTE,
    {
      schema: {
        summary: 'One selection',
        tags: ['selection'],
        querystring: selectionQuerySchema(limits),
        response: responses(SelectionAnswerSchema, REFUSALS),
      },
    },
    (request, reply) => {
      const answering = begin(context, answers, request, reply, request.query as SelectionRequest);
      if (!inPlaceSuits(answering)) return answerFromPool(answering);
      const sent = answerInPlace(answering);
      // Learnt when it has been answered: then it has passed every check.
      if (sent === undefined && request.method === 'GET') urlLane.learn(request.url, answering.request);
      return sent;
    },
  );
  app.post(
    SELECTION_ROUTE,
    {
      bodyLimit: http.bodyBytesMax,
      schema: {
        summary: 'One selection, with exclude and held',
        tags: ['selection'],
        ...MEDIA,
        querystring: NO_QUERY,
        body: selectionBodySchema(limits),
        response: responses(SelectionAnswerSchema, { ...REFUSALS, ...BODY_REFUSALS }),
      },
    },
    (request, reply) => {
      const answering = begin(context, answers, request, reply, request.body as SelectionRequest);
      return inPlaceSuits(answering) ? answerInPlace(answering) : answerFromPool(answering);
    },
  );
}

/** One request on its way through. */
interface Answering {
  readonly context: AppContext;
  readonly answers: SelectionAnswers;
  readonly reply: FastifyReply;
  readonly format: EncodedFormat;
  readonly request: SelectionRequest;
}

function begin(
  context: AppContext,
  answers: SelectionAnswers,
  { headers, raw }: FastifyRequest,
  reply: FastifyReply,
  request: SelectionRequest,
): Answering {
  const { count = DEFAULT_COUNT } = request;
  refuseAccess(context, context.gate?.refusalOfCounts(raw, [count]));
  refuseOverload(context);
  return { context, answers, reply, format: requestedFormat(headers.accept), request };
}

function inPlaceSuits({ answers, request }: Answering): boolean {
  return answers.inPlaceSuits(request);
}

/** Returns undefined when the answer has been sent. */
function answerInPlace(answering: Answering): FastifyReply | undefined {
  const { answers, reply, format, request } = answering;
  const short = answers.shortAnswer(reply.raw);
  if (short !== undefined) return sendShortage(answering, 'inPlace', short.bytes, short.shortage);
  const inPlace = computeInPlace(answering);
  if (inPlace.shortage !== undefined && request.partial !== true) {
    const { shortage } = inPlace;
    return sendShortage(answering, 'inPlace', answers.copyOut(inPlace), shortage);
  }
  reply.hijack();
  answers.send(reply.raw, format, inPlace);
  return undefined;
}

function computeInPlace({ answers, context, format, request }: Answering): InPlace {
  try {
    return answers.compute(format, request);
  } catch (error) {
    context.counters.countSelection('inPlace', format, 'refused');
    throw error;
  }
}

function answerFromPool(answering: Answering): Promise<unknown> {
  const { context, format, request } = answering;
  return new Promise((resolve, reject) => {
    context.turns.add(format, request, answered => {
      try {
        resolve(answered === undefined ? fallBack(answering) : sendPoolAnswer(answering, answered));
      } catch (error) {
        reject(error);
      }
    });
  });
}

function fallBack(answering: Answering): unknown {
  answering.context.counters.poolFallbacks++;
  return answerInPlace(answering);
}

function sendPoolAnswer(answering: Answering, answered: PoolAnswer): unknown {
  const { context, answers, reply, format, request } = answering;
  if (!answered.ok) {
    context.counters.countSelection('pool', format, 'refused');
    throw errorFromData(answered.error);
  }
  const { bytes, shortage } = answered;
  if (shortage !== undefined && request.partial !== true) {
    return sendShortage(answering, 'pool', bytes, shortage);
  }
  reply.hijack();
  answers.sendBytes(reply.raw, format, answered);
  return undefined;
}

/** 409 with what was found: a problem document, so JSON whatever the client prefers. */
function sendShortage(answering: Answering, way: Way, bytes: Uint8Array, shortage: Shortage): FastifyReply {
  const { context, reply, format } = answering;
  context.counters.countSelection(way, format, 'shortage');
  const problem = shortageProblem(shortage);
  const document = problemDocument(problem, shortage);
  const body =
    format === 'json'
      ? withMembers('json', document, bytes)
      : Buffer.from(JSON.stringify({ ...document, ...(parseMessagePack(bytes) as object) }));
  return reply.code(document.status).headers(problemHeaders(problem)).send(body);
}
