// @hotpath
/**
 * What Node's parser lets pass in the head of a request, and a server should not: more than one host (RFC
 * 9112, 3.2), a host that is none, two credentials, other versions, framings of the wrong version, too many
 * headers. A proxy in front may read such a request in another way. HTTP threads; asked once for every
 * request, whichever way its answer takes.
 */
import type { IncomingMessage } from 'node:http';
import type { Problem } from '../routes/problem.ts';

const HOST = 'host';
const AUTHORIZATION = 'authorization';
/** A name or an address, and a port; nothing is allowed as well. */
const HOST_FORM = /^(\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(:\d{0,5})?$/;
/** Names and values stand one behind the other. */
const NAME_AND_VALUE = 2;

/** The host that was in order last: mostly the one of the next request. */
let knownHost = '';

/** Why a request is refused for its head; undefined when it is in order. */
export function headProblem(incoming: IncomingMessage, headersMax: number): Problem | undefined {
  const { headers, httpVersionMajor, httpVersionMinor, rawHeaders } = incoming;
  if (rawHeaders.length > NAME_AND_VALUE * headersMax) {
    return closing({ code: 'HEADERS_TOO_LARGE', detail: `the limit is ${headersMax} headers` });
  }
  if (httpVersionMajor !== 1) return invalid('this server speaks HTTP/1.1');
  if (httpVersionMinor !== 1 && headers['transfer-encoding'] !== undefined) {
    return invalid('a transfer encoding needs HTTP/1.1');
  }
  const { host } = headers;
  if (host !== knownHost && host !== undefined) {
    if (!HOST_FORM.test(host)) return invalid('the host is none', HOST);
    knownHost = host;
  }
  let hosts = 0;
  let credentials = 0;
  for (let i = 0; i < rawHeaders.length; i += NAME_AND_VALUE) {
    const name = rawHeaders[i]!;
    if (name.length === HOST.length && name.toLowerCase() === HOST) hosts++;
    else if (name.length === AUTHORIZATION.length && name.toLowerCase() === AUTHORIZATION) credentials++;
  }
  if (hosts > 1) return invalid('there are several hosts', HOST);
  if (credentials > 1) return invalid('there are several credentials', AUTHORIZATION);
  return undefined;
}

function invalid(detail: string, field?: string): Problem {
  return closing({ code: 'REQUEST_INVALID', detail, field });
}

/** Nothing that follows on the connection is looked at. */
function closing(problem: Problem): Problem {
  return { ...problem, headers: { connection: 'close' } };
}
