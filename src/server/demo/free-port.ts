/** A port for a server that is about to be started, by us or as another program. */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { CacheError } from '../../engine/errors.ts';

export const LOOPBACK = '127.0.0.1';

/**
 * Below the ports that connections going out are given (Linux: from 32,768; others: from 49,152). One of
 * those is often taken again before the server listens on it, or while that is started anew.
 */
const PORT_FIRST = 10_000;
const PORT_END = 32_768;
const ATTEMPTS_MAX = 100;

/** A port of loopback on which nobody listens now. Throws SOURCE_UNAVAILABLE. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const port = randomInt(PORT_FIRST, PORT_END);
    if (await isFree(port)) return port;
  }
  throw new CacheError('SOURCE_UNAVAILABLE', `of ${ATTEMPTS_MAX} ports of ${LOOPBACK} none is free`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
