/**
 * What the data plane and the admin plane have in common: a Fastify without routes, with every limit and
 * timeout, both body formats, and refusals as problem documents. Nothing is coerced, dropped or filled in by
 * validation.
 */
import {
  createServer,
  type IncomingHttpHeaders,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { type TlsMaterial, tlsServerOptions } from '../access/tls-material.ts';
import type { HttpOptions } from '../config/options.ts';
import { type Problem, problemOf, problemStatus, Refusal, sendProblem } from '../routes/problem.ts';
import { parseJsonBytes } from '../strict-json.ts';
import { answerClientError } from './client-error.ts';
import { headProblem } from './head-check.ts';
import { parseMessagePack } from './messagepack-reader.ts';
import { MEDIA_TYPES } from './negotiation.ts';
import { queryStringParser } from './query-string.ts';
import { SELECTION_QUERY } from './selection-url.ts';

export interface BaseAppOptions {
  readonly http: HttpOptions;
  readonly log: Logger;
  /** Absent: plain HTTP. */
  readonly tls: TlsMaterial | undefined;
  /** A connection may stand still so long; longer than the longest answer takes. */
  readonly connectionTimeoutMs: number;
  /** Asked at each answer that goes through Fastify: is the connection to be closed behind it? */
  lastAnswers(): boolean;
  countAnswer(route: string, status: number): void;
  /** Takes every request before the framework does, which is what it hands on to. */
  answerFirst?(framework: RequestListener): RequestListener;
  /** Called with each answer of the framework before it leaves; `bytes` that are not known are 0. */
  onAnswer?(raw: ServerResponse, bytes: number): void;
}

export function baseApp(options: BaseAppOptions): FastifyInstance {
  const app = Fastify(fastifyOptions(options));
  // Answers are whole documents of ours; a serializer that drops what its schema does not name would hide
  // mistakes.
  app.setSerializerCompiler(() => data => JSON.stringify(data));
  addBodyParsers(app);
  const { http, log } = options;
  app.addHook('onRequest', (request, _, done) => {
    refuseOversized(request, http);
    done();
  });
  app.addHook('preParsing', (request, reply, payload, done) => {
    // A body that nobody wants is not read; so nothing can follow it.
    if (!request.is404) done(null, payload);
    else
      answerUnrouted(
        app,
        request,
        announcesBody(request.headers) ? reply.header('connection', 'close') : reply,
      );
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
    if (options.lastAnswers()) reply.header('connection', 'close');
    options.onAnswer?.(reply.raw, bytesOf(payload));
    options.countAnswer(
      request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown'),
      reply.statusCode,
    );
    done();
  });
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error, request.routeOptions.bodyLimit);
    if (problemStatus(problem.code) === 500) log.error({ err: error }, 'a request failed');
    // Of who is refused before his body was read, no more of it is read than would have been.
    if (!request.raw.complete && outgrows(request)) reply.header('connection', 'close');
    return sendProblem(reply, problem);
  });
  app.setNotFoundHandler((request, reply) => answerUnrouted(app, request, reply));
  return app;
}

/** Every option that bears on limits is written out, so that an upgrade cannot change it. */
function fastifyOptions(options: BaseAppOptions) {
  const { http, log } = options;
  return {
    logger: false,
    bodyLimit: http.bodyBytesMax,
    forceCloseConnections: 'idle',
    // While the server closes, requests that have come all the same are answered, not turned away.
    return503OnClosing: false,
    exposeHeadRoutes: true,
    requestIdHeader: false,
    serverFactory: (handler: RequestListener) => httpServer(options, handler),
    routerOptions: {
      maxParamLength: http.paramLengthMax,
      querystringParser: queryStringParser(SELECTION_QUERY),
    },
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: false,
        strict: true,
        // Errors carry the value at fault, so that problems can show it.
        verbose: true,
      },
    },
    frameworkErrors: (error: Error, _: FastifyRequest, reply: FastifyReply) => {
      void sendProblem(reply, problemOf(error));
    },
    clientErrorHandler: answerClientError(log),
  } as const;
}

function httpServer(options: BaseAppOptions, handler: RequestListener): Server {
  const { http, connectionTimeoutMs, answerFirst, tls } = options;
  const settings = {
    connectionsCheckingInterval: http.connectionsCheckingIntervalMs,
    headersTimeout: http.headersTimeoutMs,
    requestTimeout: http.requestTimeoutMs,
    keepAliveTimeout: http.keepAliveTimeoutMs,
    maxHeaderSize: http.headerBytesMax,
    insecureHTTPParser: false,
    requireHostHeader: true,
    joinDuplicateHeaders: false,
    noDelay: true,
    // Requests that announce no body do not open a stream for one: 1.5 of 16 µs.
    optimizeEmptyRequests: true,
  } as const;
  // A handshake has the time that headers have; it is limited from its own beginning.
  const handshakeTimeout = http.headersTimeoutMs;
  const server: Server =
    tls === undefined
      ? createServer(settings)
      : createTlsServer({ ...settings, ...tlsServerOptions(tls), handshakeTimeout });
  // Node would drop what is more without a word; here it is refused (`refuseOversized`).
  server.maxHeadersCount = 0;
  server.maxRequestsPerSocket = http.requestsPerSocketMax;
  server.setTimeout(connectionTimeoutMs);
  server.on('request', answerFirst === undefined ? handler : answerFirst(handler));
  return server;
}

function addBodyParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const add = (types: readonly string[], parse: (bytes: Buffer) => unknown) =>
    app.addContentTypeParser([...types], { parseAs: 'buffer' }, (_, bytes: Buffer, done) => {
      try {
        done(null, parse(bytes));
      } catch (error) {
        done(error as Error);
      }
    });
  add(MEDIA_TYPES.json, parseJsonBytes);
  add(MEDIA_TYPES.messagepack, parseMessagePack);
}

function refuseOversized({ raw }: FastifyRequest, http: HttpOptions): void {
  const { url, method, headers } = raw;
  const problem = headProblem(raw, http.headersMax);
  if (problem !== undefined) throw new Refusal(problem);
  // The router takes any single sign for the root.
  if (url === '*') throw new Refusal({ code: 'NOT_FOUND', detail: 'there is no *' });
  if (url!.includes('#')) {
    throw new Refusal({ code: 'REQUEST_INVALID', detail: 'a fragment stays with the client', field: 'url' });
  }
  if (url!.length > http.urlBytesMax) {
    throw new Refusal({
      code: 'URL_TOO_LONG',
      detail: `the limit is ${http.urlBytesMax} bytes`,
      field: 'url',
    });
  }
  if (method === 'POST') {
    refuseMissingBody(headers);
    if (headers['content-encoding'] === undefined) return;
    throw new Refusal({
      code: 'MEDIA_TYPE_UNSUPPORTED',
      detail: 'no encoding is',
      field: 'content-encoding',
    });
  }
  if (announcesBody(headers)) {
    // Nobody will read that body, so nothing can follow it on this connection.
    throw new Refusal({
      code: 'BODY_TOO_LARGE',
      detail: `${method} takes no body`,
      field: 'body',
      headers: { connection: 'close' },
    });
  }
}

/** Of a payload as hooks see it. */
function bytesOf(payload: unknown): number {
  if (typeof payload === 'string') return Buffer.byteLength(payload);
  return payload instanceof Uint8Array ? payload.length : 0;
}

function announcesBody(headers: IncomingHttpHeaders): boolean {
  const length = headers['content-length'];
  return (length !== undefined && length !== '0') || headers['transfer-encoding'] !== undefined;
}

/** The body is longer than the route takes, or may be. */
function outgrows({ headers, routeOptions }: FastifyRequest): boolean {
  if (headers['transfer-encoding'] !== undefined) return true;
  return Number(headers['content-length'] ?? 0) > routeOptions.bodyLimit;
}

/**
 * Nobody would hear of the end of a body that has not been announced: such requests open no stream for it.
 */
function refuseMissingBody(headers: IncomingHttpHeaders): void {
  if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return;
  if (headers['content-type'] === undefined) return;
  throw new Refusal({ code: 'REQUEST_INVALID', detail: 'there is no body', field: 'body' });
}

const ROUTED_METHODS = ['GET', 'HEAD', 'POST'] as const;

/** A path that exists under other methods is 405, or 204 for OPTIONS; any other is 404. */
function answerUnrouted(app: FastifyInstance, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const path = request.url.split('?', 1)[0]!;
  const allowed = ROUTED_METHODS.filter(method => app.hasRoute({ method, url: path }));
  if (allowed.length === 0)
    return sendProblem(reply, { code: 'NOT_FOUND', detail: `there is no ${shortened(path)}` });
  const allow = [...allowed, 'OPTIONS'].join(', ');
  if (request.method === 'OPTIONS') return reply.code(204).header('allow', allow).send();
  const problem: Problem = {
    code: 'METHOD_NOT_ALLOWED',
    detail: `${path} takes ${allow}, not ${request.method}`,
    headers: { allow },
  };
  return sendProblem(reply, problem);
}

const SHOWN_CHARACTERS_MAX = 120;

function shortened(path: string): string {
  return path.length > SHOWN_CHARACTERS_MAX ? `${path.slice(0, SHOWN_CHARACTERS_MAX)}…` : path;
}
