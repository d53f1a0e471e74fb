/** Clients that take nothing are cut off, however much they send; those that take a little are not. */
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { startTestServer, type TestServer } from './support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    serveFrom: 'in-place',
    'http.sendTimeoutMs': '700',
    'http.connectionsCheckingIntervalMs': '50',
    'http.connectionTimeoutMs': '60000',
    'http.requestsPerSocketMax': '100000000',
  });
});
afterAll(() => server.close());

const GET = 'GET /v1/selection?count=250 HTTP/1.1\r\nHost: x\r\n\r\n';
const REQUESTS = 600;

function pipelining() {
  const { hostname, port } = new URL(server.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => undefined);
  socket.pause();
  socket.write(GET.repeat(REQUESTS));
  return socket;
}

const held = () => server.context.departures.waitingBytes;

test('a client that sends and never reads is cut off', async () => {
  const socket = pipelining();
  await until('answers wait for it', () => held() > 0);
  // Whole requests, so that nothing but its silence is wrong.
  const sending = setInterval(() => socket.write(GET), 20);
  await until('it is gone', () => server.context.connections.open === 0);
  clearInterval(sending);
  expect(held()).toBe(0);
  socket.destroy();
});

test('a client that reads slowly gets all of its answers', async () => {
  const socket = pipelining();
  await until('answers wait for it', () => held() > 0);
  const startedAt = performance.now();
  let answers = 0;
  let tail = '';
  const reading = setInterval(() => {
    // About 10 MB a second.
    for (let bytes = 0; bytes < 200_000; ) {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      bytes += chunk.length;
      const text = tail + chunk.toString('latin1');
      answers += text.split('HTTP/1.1 200').length - 1;
      // A status line may lie across two chunks.
      tail = text.slice(-'HTTP/1.1 200'.length + 1);
    }
  }, 20);
  await until('all answers are there', () => answers === REQUESTS);
  clearInterval(reading);
  expect(performance.now() - startedAt).toBeGreaterThan(700);
  socket.destroy();
});
