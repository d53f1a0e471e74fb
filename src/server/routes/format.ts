/** The format that a request asks for, and documents sent in it. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { EncodedFormat } from '../../engine/selection/selection-types.ts';
import { encodeDocument } from '../answers/answer-bytes.ts';
import { CONTENT_TYPE, MEDIA_TYPES, negotiate } from '../http/negotiation.ts';
import { Refusal } from './problem.ts';

/** Throws NOT_ACCEPTABLE. */
export function requestedFormat(accept: string | undefined): EncodedFormat {
  const format = negotiate(accept);
  if (format !== undefined) return format;
  throw new Refusal({
    code: 'NOT_ACCEPTABLE',
    detail: `answers are ${Object.values(MEDIA_TYPES).flat().join(', ')}`,
    field: 'accept',
  });
}

/** Sends a document in the format asked for; `document` holds no `undefined`. */
export function sendDocument(request: FastifyRequest, reply: FastifyReply, document: unknown): FastifyReply {
  const format = requestedFormat(request.headers.accept);
  return reply.header('content-type', CONTENT_TYPE[format]).send(encodeDocument(format, document));
}
