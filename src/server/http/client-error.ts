/**
 * Refusals below Fastify: what the HTTP parser rejects, and requests that do not arrive in time. HTTP thread.
 */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { PROBLEM_TYPE, type Problem, problemDocument } from '../routes/problem.ts';

/** How long a refused client has to take the answers that are due before the refusal. */
const LAST_ANSWERS_MS = 3_000;
/** And then the refusal itself. */
const LAST_WORDS_MS = 500;

interface ClientError extends Error {
  readonly code?: string;
}

/** What Node notes at a connection beyond its documented face: the response that is under way. */
interface AnsweringSocket extends Socket {
  readonly _httpMessage?: ServerResponse | null;
}

/**
 * Writes the problem to the bare socket and closes it: nothing that follows can be trusted to be a request.
 * What came before it is answered first, in its order: a refusal in front would be taken for the answer to
 * another request.
 */
export function answerClientError(log: Logger): (error: ClientError, socket: Socket) => void {
  return (error, socket) => {
    log.debug({ code: error.code }, 'a connection was closed on a client error');
    if (error.code === 'ECONNRESET' || !socket.writable || isHandshakeError(error)) {
      socket.destroy();
      return;
    }
    // However much it sends: that moves nothing any more.
    destroyLater(socket, LAST_ANSWERS_MS);
    afterAnswers(socket, () => {
      // Its last answer has said that it ends.
      if (error.code === 'HPE_CLOSED_CONNECTION') socket.destroySoon();
      else refuse(error, socket);
    });
  };
}

function refuse(error: ClientError, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const document = problemDocument(clientProblem(error));
  const body = JSON.stringify(document);
  const head = [
    `HTTP/1.1 ${document.status} ${STATUS_CODES[document.status]}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'cache-control: no-store',
    'connection: close',
  ];
  // Not `end`: a client that goes on sending must not keep the connection.
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  // One that does not read either, with much to read already, would never take these bytes.
  destroyLater(socket, LAST_WORDS_MS);
}

function destroyLater(socket: Socket, ms: number): void {
  const timer = setTimeout(() => socket.destroy(), ms).unref();
  socket.once('close', () => clearTimeout(timer));
}

/**
 * Calls `then` when the requests that have come as a whole are answered. The one that is at fault itself may
 * have a response that waits for the rest of it: the refusal takes its place.
 */
function afterAnswers(socket: AnsweringSocket, then: () => void): void {
  const response = socket._httpMessage;
  if (response === undefined || response === null) then();
  else if (!response.req.complete && !response.headersSent) then();
  // Node puts the next response in its place in a listener of its own, before this one.
  else response.once('close', () => afterAnswers(socket, then));
}

/** Before a handshake is done nothing can be said: what is written would wait for its end. */
function isHandshakeError({ code = '' }: ClientError): boolean {
  return code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL') || code === 'EPROTO';
}

function clientProblem(error: ClientError): Problem {
  switch (error.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'REQUEST_TIMEOUT', detail: 'the headers or the body took too long' };
    case 'HPE_HEADER_OVERFLOW':
      return { code: 'HEADERS_TOO_LARGE', detail: 'the request line and headers exceed the limit' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { code: 'BODY_TOO_LARGE', detail: 'the chunk extensions exceed the limit', field: 'body' };
    default:
      return { code: 'REQUEST_INVALID', detail: `this is not HTTP/1.1: ${error.message}` };
  }
}
