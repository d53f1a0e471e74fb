/** Clients that take nothing are cut off, however much they send; those that take a little are not. */
import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { closeStuckWrites } from '../../src/server/http/stuck-writes.ts';
import { until } from '../support/until.ts';
import { startTestServer, type TestServer } from './support/server.ts';

let server: TestServer | undefined;
afterEach(() => server?.close());

async function start(sendTimeoutMs: number): Promise<void> {
  server = await startTestServer({
    serveFrom: 'in-place',
    'http.sendTimeoutMs': String(sendTimeoutMs),
    'http.connectionsCheckingIntervalMs': '50',
    // What waits unread because answers wait is late by no fault of the client.
    'http.connectionTimeoutMs': '60000',
    'http.headersTimeoutMs': '60000',
    'http.requestTimeoutMs': '60000',
    'http.requestsPerSocketMax': '100000000',
  });
}

const GET = 'GET /v1/selection?count=250 HTTP/1.1\r\nHost: x\r\n\r\n';

function pipelining(requests: number) {
  const { hostname, port } = new URL(server!.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => undefined);
  socket.pause();
  socket.write(GET.repeat(requests));
  return socket;
}

const held = () => server!.context.departures.waitingBytes;

test('a client that sends and never reads is cut off', async () => {
  await start(700);
  const socket = pipelining(600);
  // Whole requests, so that nothing but its silence is wrong.
  const sending = setInterval(() => socket.write(GET), 20);
  try {
    await until('answers wait for it', () => held() > 0);
    await until('it is gone', () => server!.context.connections.open === 0);
    expect(held()).toBe(0);
  } finally {
    clearInterval(sending);
    socket.destroy();
  }
});

test('a client that reads slowly gets all of its answers', async () => {
  // Linux says that a socket can be written to when a third of its buffer is free: here twice a second.
  const [sendTimeoutMs, requests] = [3_000, 2_000];
  await start(sendTimeoutMs);
  const socket = pipelining(requests);
  const startedAt = performance.now();
  let answers = 0;
  let tail = '';
  const reading = setInterval(() => {
    // A piece of 64 kB at a time, some 10 MB a second.
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    const text = tail + chunk.toString('latin1');
    answers += text.split('HTTP/1.1 200').length - 1;
    // A status line may lie across two chunks.
    tail = text.slice(-'HTTP/1.1 200'.length + 1);
  }, 5);
  try {
    await until('answers wait for it', () => held() > 0);
    await until('all answers are there', () => answers === requests, 50_000);
    expect(performance.now() - startedAt).toBeGreaterThan(sendTimeoutMs);
  } finally {
    clearInterval(reading);
    socket.destroy();
  }
});

test('time in which the server’s own thread has not run is not held against a client', async () => {
  const limits = { sendTimeoutMs: 1_000, everyMs: 10 };
  let nowMs = 0;
  const listener = createServer();
  closeStuckWrites(listener, limits, () => nowMs);
  const socket = Object.assign(new EventEmitter(), {
    bytesWritten: 1_000,
    writableLength: 1_000,
    isGone: false,
    destroy: () => {
      socket.isGone = true;
    },
  });
  listener.emit('connection', socket);
  const look = () => delay(limits.everyMs + 5);
  await look();
  nowMs += 60_000;
  await look();
  expect(socket.isGone).toBe(false);
  // A second of its own takes it all the same.
  await until('it is cut off', () => {
    nowMs += limits.everyMs;
    return socket.isGone;
  });
  expect(nowMs).toBeGreaterThan(60_000 + limits.sendTimeoutMs - 2 * limits.everyMs);
  listener.emit('close');
});
