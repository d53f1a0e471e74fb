/**
 * Limits below the routes, on real sockets: headers, slow clients, broken HTTP, connections, requests per
 * connection.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { rawConnection, rawExchange } from './support/raw.ts';
import { startTestServer, type TestServer } from './support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({
    'http.headersTimeoutMs': '400',
    'http.requestTimeoutMs': '600',
    'http.connectionsCheckingIntervalMs': '50',
    'http.connectionTimeoutMs': '1000',
    'http.keepAliveTimeoutMs': '300',
    'http.requestsPerSocketMax': '3',
  });
});
afterAll(() => server.close());

const POST = 'POST /v1/selection HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
const GET = 'GET /v1/selection?count=1 HTTP/1.1\r\nHost: x\r\n';

describe('refusals below Fastify are problem documents too', () => {
  test.each<[string, string, number]>([
    ['headers beyond the limit', `${GET}X: ${'x'.repeat(9_000)}\r\n\r\n`, 431],
    ['a request line beyond the limit', `GET /${'x'.repeat(9_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
    ['garbage', '\u0001\u0002\u0003\r\n\r\n', 400],
    ['an unknown method', 'FOO / HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['a length and chunks', `${POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    [
      'two lengths',
      'POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde',
      400,
    ],
    ['an unknown transfer encoding', `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, 400],
    ['a line that ends in a bare line feed', 'GET /livez HTTP/1.1\nHost: x\n\n', 400],
    ['a folded header', `${GET}X: a\r\n b\r\n\r\n`, 400],
  ])('%s', async (_, bytes, status) => {
    const text = await rawExchange(server.url, bytes);
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(text).toContain('content-type: application/problem+json');
    expect(text).toContain('connection: close');
    expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toMatchObject({ status });
  });

  test('a request without a host is refused', async () => {
    const text = await rawExchange(server.url, 'GET /livez HTTP/1.1\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1.1 400 /);
  });
});

describe('slow clients are closed', () => {
  test('one that drips its headers', async () => {
    const { socket, ended } = rawConnection(server.url);
    socket.write('GET /v1/selection HTTP/1.1\r\nHost: x\r\n');
    const drip = setInterval(() => socket.write('X: y\r\n'), 50);
    const text = await ended;
    clearInterval(drip);
    expect(text).toMatch(/^HTTP\/1.1 408 /);
  });

  test('one that drips its body', async () => {
    const { socket, ended } = rawConnection(server.url);
    socket.write(`${POST}Content-Length: 5000\r\n\r\n{`);
    const drip = setInterval(() => socket.write(' '), 50);
    const text = await ended;
    clearInterval(drip);
    expect(text).toMatch(/^HTTP\/1.1 408 /);
  });

  test('many that say nothing at all', async () => {
    const connections = Array.from({ length: 100 }, () => rawConnection(server.url));
    await Promise.all(connections.map(({ ended }) => ended));
    for (const { socket } of connections) expect(socket.destroyed).toBe(true);
  });

  test('one that is idle after its answer', async () => {
    const text = await rawExchange(server.url, `${GET}\r\n`);
    expect(text).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('a connection', () => {
  test('ends after its number of requests', async () => {
    const text = await rawExchange(server.url, `${GET}\r\n`.repeat(5));
    const statuses = text.match(/HTTP\/1\.1 \d{3}/g);
    expect(statuses?.slice(0, 3)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 200']);
    expect(text.match(/connection: close/gi)?.length).toBeGreaterThanOrEqual(1);
  });
});

describe('connections', () => {
  test('beyond the limit from one address are closed unread until others have gone', async () => {
    const limited = await startTestServer({ 'http.connectionsPerAddressMax': '3' });
    try {
      const held = Array.from({ length: 3 }, () => rawConnection(limited.url));
      for (const { socket } of held) socket.write(`${GET}\r\n`);
      await until('three are served', () => held.every(connection => connection.text().includes('200 OK')));
      expect(await rawExchange(limited.url, `${GET}\r\n`)).toBe('');
      held[0]!.socket.destroy();
      await until('another one is served', async () => {
        const text = await rawExchange(limited.url, `${GET}Connection: close\r\n\r\n`);
        return text.includes('200 OK');
      });
      for (const { socket } of held) socket.destroy();
    } finally {
      await limited.close();
    }
  });
});
