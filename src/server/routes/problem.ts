/**
 * Problem documents (RFC 9457), and the one place where a code becomes an HTTP status. Every refusal of every
 * route, Fastify's own included, goes out through here.
 */
import type { FastifyError, FastifyReply } from 'fastify';
import { ERRORS, type ErrorCode, type ErrorData } from '../../engine/errors.ts';
import type { Shortage } from '../../engine/selection/selection-types.ts';
import { BodyError } from '../strict-json.ts';

/** Refusals that only HTTP knows, beside those of the engine's table. */
type HttpCode =
  | 'SHORTAGE'
  | 'NOT_FOUND'
  | 'NO_FLEET'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_ACCEPTABLE'
  | 'REQUEST_TIMEOUT'
  | 'BODY_TOO_LARGE'
  | 'URL_TOO_LONG'
  | 'MEDIA_TYPE_UNSUPPORTED'
  | 'LOGINS_LIMITED'
  | 'HEADERS_TOO_LARGE'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'RATE_LIMITED'
  | 'DRAINING'
  | 'GENERATION_TOO_OLD'
  | 'STALLED'
  | 'HANDLER_TIMEOUT'
  | 'INTERNAL';

export type ProblemCode = ErrorCode | HttpCode;

const STATUS: Readonly<Record<ProblemCode, readonly [status: number, title: string]>> = {
  REQUEST_INVALID: [400, 'The request is not valid'],
  PLACEMENT_UNKNOWN: [400, 'No placement has this name'],
  DISTINCT_UNKNOWN: [400, 'No distinct rule has this name'],
  UNAUTHORIZED: [401, 'A valid token is needed'],
  FORBIDDEN: [403, 'This is not for you'],
  NOT_FOUND: [404, 'There is no such route'],
  NO_FLEET: [404, 'This server is in no fleet'],
  METHOD_NOT_ALLOWED: [405, 'The route does not take this method'],
  NOT_ACCEPTABLE: [406, 'Answers are JSON or MessagePack'],
  REQUEST_TIMEOUT: [408, 'The request did not arrive in time'],
  SHORTAGE: [409, 'Fewer nodes were found than asked for'],
  SNAPSHOT_REJECTED: [409, 'The load was refused; the last good generation stays'],
  CAPACITY_EXCEEDED: [409, 'A configured capacity is exceeded'],
  BODY_TOO_LARGE: [413, 'The body is too large'],
  URL_TOO_LONG: [414, 'The URL is too long'],
  MEDIA_TYPE_UNSUPPORTED: [415, 'Bodies are JSON or MessagePack'],
  RATE_LIMITED: [429, 'Too many requests'],
  LOGINS_LIMITED: [429, 'Too many wrong tokens'],
  HEADERS_TOO_LARGE: [431, 'The headers are too large'],
  INTERNAL: [500, 'An error inside the server'],
  CONFIG_INVALID: [500, 'The configuration is not valid'],
  SNAPSHOT_CORRUPT: [500, 'The snapshot bytes fail their checks'],
  LAYOUT_MISMATCH: [500, 'The bytes were written for another layout'],
  SOURCE_UNAVAILABLE: [502, 'The source cannot be reached'],
  SOURCE_DENIED: [502, 'The source refused the credentials or the permission'],
  SOURCE_SCHEMA: [502, 'The source does not have the expected columns or types'],
  SOURCE_FAILED: [502, 'Reading the source failed'],
  SNAPSHOT_NOT_READY: [503, 'No generation has been published yet'],
  SEATS_EXHAUSTED: [503, 'Every reader seat is taken'],
  LOADER_LOST: [503, 'The loader thread ended'],
  WORKER_LOST: [503, 'The selection worker ended during the task'],
  NOT_LEADER: [409, 'Another server loads for this one'],
  OVERLOADED: [503, 'The server is at a limit'],
  CACHE_CLOSED: [503, 'The cache is closed'],
  DRAINING: [503, 'The server is about to stop'],
  GENERATION_TOO_OLD: [503, 'What is served is older than allowed'],
  STALLED: [503, 'The server stands still'],
  HANDLER_TIMEOUT: [503, 'The answer took too long'],
  SOURCE_TIMEOUT: [504, 'The source took longer than the limit'],
};

export interface Problem {
  readonly code: ProblemCode;
  readonly detail: string;
  readonly field?: string | undefined;
  /** Lower-case header names to values: Allow, Retry-After, WWW-Authenticate. */
  readonly headers?: Readonly<Record<string, string>>;
}

export function forbidden(detail: string): Problem {
  return { code: 'FORBIDDEN', detail };
}

/** The members of a problem document, in their order. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ProblemCode;
  readonly field?: string;
  readonly shortage?: Shortage;
}

export const PROBLEM_TYPE = 'application/problem+json';

/** Seconds after which a client may try again when a queue was full. */
const RETRY_AFTER_S = '1';

/** Refuses a request from inside a handler; goes out as its problem. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

export function problemStatus(code: ProblemCode): number {
  return STATUS[code][0];
}

export function problemDocument(problem: Problem, shortage?: Shortage): ProblemDocument {
  const [status, title] = STATUS[problem.code];
  return {
    type: `urn:sortition:problem:${problem.code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status,
    detail: problem.detail,
    code: problem.code,
    ...(problem.field === undefined ? {} : { field: problem.field }),
    ...(shortage === undefined ? {} : { shortage }),
  };
}

export function problemOfData(error: ErrorData): Problem {
  return { code: error.code, detail: error.message, field: error.field };
}

export function shortageProblem(shortage: Shortage): Problem {
  return { code: 'SHORTAGE', detail: shortage.reason };
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const document = problemDocument(problem);
  // Bytes, because Fastify adds a charset to texts, which this media type does not have.
  const body = Buffer.from(JSON.stringify(document));
  return reply.code(document.status).headers(problemHeaders(problem)).send(body);
}

/** The headers of a problem's answer, without its length. */
export function problemHeaders(problem: Problem): Record<string, string> {
  const retry = problemStatus(problem.code) === 503 ? { 'retry-after': RETRY_AFTER_S } : {};
  return { 'content-type': PROBLEM_TYPE, 'cache-control': 'no-store', ...retry, ...problem.headers };
}

const FASTIFY_CODES: Readonly<Record<string, ProblemCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'BODY_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'MEDIA_TYPE_UNSUPPORTED',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'REQUEST_INVALID',
  FST_ERR_BAD_URL: 'REQUEST_INVALID',
  FST_ERR_MAX_PARAM_LENGTH: 'URL_TOO_LONG',
  FST_ERR_HANDLER_TIMEOUT: 'HANDLER_TIMEOUT',
};

/**
 * The problem that any thrown value is. Only INTERNAL hides what it says: that may name anything.
 * `bodyBytesMax`: the limit of the route, where one has been found.
 */
export function problemOf(error: unknown, bodyBytesMax?: number): Problem {
  if (error instanceof Refusal) return error.problem;
  if (error instanceof BodyError)
    return { code: 'REQUEST_INVALID', detail: error.message, field: error.field };
  const { code, message, validation, validationContext, statusCode, field } = error as FastifyError & {
    readonly field?: string;
  };
  if (validation?.[0] !== undefined) return validationProblem(validation[0], validationContext ?? 'body');
  if (code !== undefined && Object.hasOwn(ERRORS, code))
    return { code: code as ErrorCode, detail: message, field };
  const known = code === undefined ? undefined : FASTIFY_CODES[code];
  if (known === 'MEDIA_TYPE_UNSUPPORTED') {
    const detail = 'say what the body is: "content-type: application/json", or application/msgpack';
    return { code: known, detail, field: 'content-type' };
  }
  if (known === 'BODY_TOO_LARGE') {
    const detail = bodyBytesMax === undefined ? message : `the limit is ${bodyBytesMax} bytes`;
    return { code: known, detail, field: 'body' };
  }
  if (known !== undefined) return { code: known, detail: message };
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return { code: 'REQUEST_INVALID', detail: message };
  }
  return { code: 'INTERNAL', detail: 'the log says more' };
}

type Validation = NonNullable<FastifyError['validation']>[number] & { readonly data?: unknown };

function validationProblem(error: Validation, context: string): Problem {
  const path = fieldPath(error.instancePath);
  const { additionalProperty, missingProperty } = error.params as Record<string, string | undefined>;
  if (additionalProperty !== undefined) {
    const field = join(path, additionalProperty);
    return { code: 'REQUEST_INVALID', detail: `there is no field "${field}"`, field };
  }
  if (missingProperty !== undefined) {
    const field = join(path, missingProperty);
    return { code: 'REQUEST_INVALID', detail: `${field} is missing`, field };
  }
  const field = path === '' ? context : path;
  if (context === 'querystring' && Array.isArray(error.data)) {
    return { code: 'REQUEST_INVALID', detail: `${field} is given ${error.data.length} times`, field };
  }
  return {
    code: 'REQUEST_INVALID',
    detail: `${field} is ${shown(error.data)}: it ${expected(error)}`,
    field,
  };
}

function expected(error: Validation): string {
  const { allowedValues } = error.params as { allowedValues?: readonly unknown[] };
  if (allowedValues !== undefined) return `must be one of ${allowedValues.map(shown).join(', ')}`;
  if (error.keyword === 'pattern') return 'must be 64 hexadecimal digits';
  return error.message ?? 'is not valid';
}

/** `/requests/3/count` → `requests[3].count`. */
function fieldPath(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : join(path, part)), '');
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

const SHOWN_CHARACTERS_MAX = 80;

function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value) ?? 'missing';
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}
