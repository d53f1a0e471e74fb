/**
 * Refusals below Fastify: what the HTTP parser rejects, and requests that do not arrive in time. HTTP thread.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import { PROBLEM_TYPE, type Problem, problemDocument } from '../routes/problem.ts';

interface ClientError extends Error {
  readonly code?: string;
}

/**
 * Writes the problem to the bare socket and closes it: nothing that follows can be trusted to be a request.
 */
export function answerClientError(log: Logger): (error: ClientError, socket: Socket) => void {
  return (error, socket) => {
    log.debug({ code: error.code }, 'a connection was closed on a client error');
    if (error.code === 'ECONNRESET' || !socket.writable) {
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
  };
}

function clientProblem(error: ClientError): Problem {
  switch (error.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { code: 'REQUEST_TIMEOUT', detail: 'the headers or the body took too long' };
    case 'HPE_HEADER_OVERFLOW':
      return { code: 'HEADERS_TOO_LARGE', detail: 'the request line and headers exceed the limit' };
    default:
      return { code: 'REQUEST_INVALID', detail: `this is not HTTP/1.1: ${error.message}` };
  }
}
