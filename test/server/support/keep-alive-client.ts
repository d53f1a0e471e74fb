/** Clients that keep their connections, and notice whatever a server does to them that it should not. */
import { connect } from 'node:net';

export const REQUEST = 'GET /v1/selection?count=110 HTTP/1.1\r\nHost: x\r\n\r\n';

export interface Tally {
  answered: number;
  /** Answers that told the client to close. */
  closing: number;
  /** Requests that were sent and not answered in full, or not with 200. */
  failed: string[];
}

export function newTally(): Tally {
  return { answered: 0, closing: 0, failed: [] };
}

/**
 * Sends request after request on one connection, and on a new one when told to close, until nobody listens
 * any more.
 */
export async function keepAliveClient(url: string, tally: Tally): Promise<void> {
  for (;;) {
    const outcome = await oneConnection(url, tally);
    if (outcome === 'refused') return;
  }
}

function oneConnection(url: string, tally: Tally): Promise<'closed' | 'refused'> {
  const { hostname, port } = new URL(url);
  return new Promise(resolve => {
    const socket = connect({ host: hostname, port: Number(port) });
    let pending = false;
    let received = Buffer.alloc(0);
    const send = () => {
      pending = true;
      socket.write(REQUEST);
    };
    socket.once('connect', send);
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk]);
      const answer = wholeAnswer(received);
      if (answer === undefined) return;
      received = Buffer.alloc(0);
      pending = false;
      if (answer.status === 200) tally.answered++;
      else tally.failed.push(`status ${answer.status}`);
      if (!answer.close) return send();
      tally.closing++;
      socket.end();
    });
    socket.once('error', error => {
      // Before anything was sent nothing can have failed: nobody listens.
      if (pending) tally.failed.push(error.message);
    });
    socket.once('close', () => {
      if (pending) tally.failed.push('closed before the answer');
      resolve(socket.bytesWritten === 0 ? 'refused' : 'closed');
    });
  });
}

function wholeAnswer(bytes: Buffer): { status: number; close: boolean } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = bytes.toString('latin1', 0, end);
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
  if (bytes.length < end + 4 + length) return undefined;
  return { status: Number(head.slice(9, 12)), close: /connection: close/i.test(head) };
}
