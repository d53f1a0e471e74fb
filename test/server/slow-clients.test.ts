/**
 * A thousand slow clients at once against the limits as they are shipped: each is closed within ten seconds,
 * and whoever behaves is served all the while.
 */
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { figure } from '../support/figures.ts';
import { StolenTime } from '../support/stolen-time.ts';
import { rawConnection } from './support/raw.ts';
import { startTestServer } from './support/server.ts';

const CONNECTIONS = 1_000;
const CLOSED_WITHIN_MS = 10_000;
const DRIP_MS = 250;

const HEAD = 'GET /v1/selection?count=1 HTTP/1.1\r\nHost: x\r\n';
const POST = 'POST /v1/selection HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';

interface Slow {
  readonly name: string;
  /** Sent at once. */
  readonly first: string;
  /** Sent again and again. */
  readonly drip: string;
  readonly reads: boolean;
}

const KINDS: readonly Slow[] = [
  { name: 'says nothing', first: '', drip: '', reads: true },
  { name: 'drips its head', first: HEAD, drip: 'X: y\r\n', reads: true },
  { name: 'drips its first line', first: 'GET /', drip: 'a', reads: true },
  { name: 'drips its body', first: `${POST}Content-Length: 5000\r\n\r\n{`, drip: ' ', reads: true },
  {
    name: 'drips chunks',
    first: `${POST}Transfer-Encoding: chunked\r\n\r\n`,
    drip: '1\r\n \r\n',
    reads: true,
  },
  {
    name: 'drips chunk extensions',
    first: `${POST}Transfer-Encoding: chunked\r\n\r\n1;`,
    drip: 'a',
    reads: true,
  },
  // 6 MB of answers: more than the system takes for it.
  {
    name: 'asks and never reads',
    first: `${HEAD.replace('count=1', 'count=250')}\r\n`.repeat(150),
    drip: '',
    reads: false,
  },
  {
    name: 'never reads, and then sends garbage',
    first: `${`${HEAD.replace('count=1', 'count=250')}\r\n`.repeat(150)}*`,
    drip: '',
    reads: false,
  },
];

/** One of twenty does not read: moving its megabytes is work for the system, not for the server. */
function kindOf(i: number): Slow {
  const [readers, others] = [KINDS.filter(({ reads }) => reads), KINDS.filter(({ reads }) => !reads)];
  return i % 20 === 0 ? others[(i / 20) % others.length]! : readers[i % readers.length]!;
}

/** Opens one that is slow; resolves with how long it was let live. */
function slowClient(url: string, { first, drip, reads }: Slow): Promise<number> {
  const { socket } = rawConnection(url);
  const startedAt = performance.now();
  if (!reads) socket.pause();
  if (first !== '') socket.write(first);
  const dripping = drip === '' ? undefined : setInterval(() => socket.write(drip), DRIP_MS);
  // One that does not read hears of the end by its writes only.
  const probing = reads ? undefined : setInterval(() => probe(socket), DRIP_MS);
  return new Promise(resolve => {
    socket.once('close', () => {
      clearInterval(dripping);
      clearInterval(probing);
      resolve(performance.now() - startedAt);
    });
  });
}

function probe(socket: Socket): void {
  if (!socket.destroyed) socket.write('X');
}

test('1,000 slow connections are closed within 10 s, and a good client is served meanwhile', async () => {
  const server = await startTestServer({ serveFrom: 'in-place' });
  try {
    let ended = false;
    const stolen = new StolenTime();
    const clients = Array.from({ length: CONNECTIONS }, (_, i) => {
      const kind = kindOf(i);
      return slowClient(server.url, kind).then(lifeMs => ({ name: kind.name, lifeMs }));
    });
    const all = Promise.all(clients).then(lives => {
      ended = true;
      return lives;
    });
    let served = 0;
    let waitingBytesMax = 0;
    while (!ended) {
      const answer = await server.call('/v1/selection?count=3');
      expect(answer.status).toBe(200);
      served++;
      waitingBytesMax = Math.max(waitingBytesMax, server.context.departures.waitingBytes);
      await new Promise(resolve => setTimeout(resolve, 5));
    }
    const longest = new Map<string, number>();
    for (const { name, lifeMs } of await all) {
      longest.set(name, Math.max(longest.get(name) ?? 0, Math.round(lifeMs)));
    }
    // Clients and server share this thread: what other programs take of it, they cannot use.
    const limitMs = CLOSED_WITHIN_MS + stolen.ms();
    const figures = JSON.stringify(Object.fromEntries(longest));
    expect([...longest.keys()].toSorted()).toEqual(KINDS.map(({ name }) => name).toSorted());
    for (const lifeMs of longest.values()) expect(lifeMs, figures).toBeLessThan(limitMs);
    expect(served).toBeGreaterThan(100);
    figure(
      'G10',
      `slow connections, the last one closed after ${Math.max(...longest.values())} ms`,
      CONNECTIONS,
    );
    // Not the answers to all that was asked: 16 a connection at the most.
    expect(waitingBytesMax).toBeLessThan(CONNECTIONS * 16 * 100_000);
    expect(server.context.departures.waitingBytes).toBe(0);
  } finally {
    await server.close();
  }
});
