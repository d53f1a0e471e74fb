/**
 * `/v1/selection`: one selection, by GET or POST. Answered in place unless it is heavy or the pool is to
 * serve.
 */
import type { ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { encodedBytesMax } from '../../engine/encoding/encode.ts';
import { errorFromData } from '../../engine/errors.ts';
import { DEFAULT_COUNT } from '../../engine/selection/selection-request.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  SelectionRequest,
  Shortage,
} from '../../engine/selection/selection-types.ts';
import type { PoolAnswer } from '../../workers/worker-pool.ts';
import { withMembers } from '../answers/answer-bytes.ts';
import { costMicros } from '../answers/cost.ts';
import { type AppContext, refuseOverload } from '../app-context.ts';
import type { RequestCount, Way } from '../counters.ts';
import { parseMessagePack } from '../http/messagepack-reader.ts';
import { CONTENT_TYPE } from '../http/negotiation.ts';
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

const ROUTE = '/v1/selection';

const REFUSALS = { ...COMMON_REFUSALS, 409: 'Fewer nodes were found than asked for; they come with it.' };

export function selectionRoutes(app: FastifyInstance, context: AppContext): void {
  const { limits, http } = context.options;
  const shared = { context, answered: context.counters.requestCount(ROUTE, '2xx') };
  app.get(
    ROUTE,
    {
      schema: {
        summary: 'One selection',
        tags: ['selection'],
        querystring: selectionQuerySchema(limits),
        response: responses(SelectionAnswerSchema, REFUSALS),
      },
    },
    (request, reply) => answer(shared, request, reply, request.query as SelectionRequest),
  );
  app.post(
    ROUTE,
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
    (request, reply) => answer(shared, request, reply, request.body as SelectionRequest),
  );
}

/** One request on its way through. */
interface Answering {
  readonly context: AppContext;
  /** Where good answers of this route are counted. */
  readonly answered: RequestCount;
  readonly reply: FastifyReply;
  readonly format: EncodedFormat;
  readonly request: SelectionRequest;
}

function answer(
  { context, answered }: Pick<Answering, 'context' | 'answered'>,
  { headers }: FastifyRequest,
  reply: FastifyReply,
  request: SelectionRequest,
): unknown {
  refuseOverload(context);
  const format = requestedFormat(headers.accept);
  const { serveFrom, inPlaceLimitMicros } = context.options;
  const answering = { context, answered, reply, format, request };
  if (serveFrom === 'in-place' && costMicros(request) <= inPlaceLimitMicros) return answerInPlace(answering);
  return answerFromPool(answering);
}

function answerInPlace(answering: Answering): unknown {
  const { context, format, request } = answering;
  const { buffers, cache, counters } = context;
  const buffer = buffers.take(encodedBytesMax(format, request.count ?? DEFAULT_COUNT));
  let encoded: EncodedSelection;
  try {
    encoded = cache.selectEncoded(format, request, buffer);
  } catch (error) {
    buffers.giveBack(buffer);
    counters.countSelection('inPlace', format, 'refused');
    throw error;
  }
  const { bytes, shortage } = encoded;
  if (shortage !== undefined && request.partial !== true) {
    const copy = Uint8Array.prototype.slice.call(buffer, 0, bytes);
    buffers.giveBack(buffer);
    return sendShortage(answering, 'inPlace', copy, shortage);
  }
  buffers.end(writeHead(answering, 'inPlace', encoded), buffer, bytes);
  return undefined;
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
  const { context, format, request } = answering;
  if (!answered.ok) {
    context.counters.countSelection('pool', format, 'refused');
    throw errorFromData(answered.error);
  }
  const { bytes, found, shortage } = answered;
  if (shortage !== undefined && request.partial !== true) {
    return sendShortage(answering, 'pool', bytes, shortage);
  }
  writeHead(answering, 'pool', { bytes: bytes.length, found, shortage }).end(bytes);
  return undefined;
}

/**
 * Takes the answer out of Fastify's hands, counts it and writes its head: the body goes to the raw response
 * (I6).
 */
function writeHead(
  { context, answered, reply, format }: Answering,
  way: Way,
  encoded: Pick<EncodedSelection, 'bytes' | 'found' | 'shortage'>,
): ServerResponse {
  const { counters } = context;
  counters.countSelection(way, format, encoded.shortage === undefined ? 'full' : 'partial');
  counters.picks += encoded.found;
  answered.count++;
  reply.hijack();
  const { raw } = reply;
  const connection = context.phase === 'closing' ? ['connection', 'close'] : [];
  return raw.writeHead(200, [
    'content-type',
    CONTENT_TYPE[format],
    'cache-control',
    'no-store',
    'content-length',
    String(encoded.bytes),
    ...connection,
  ]);
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
