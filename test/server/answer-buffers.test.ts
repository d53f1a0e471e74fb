/**
 * Invariant I6: bytes handed to a socket do not change until they have left, however slowly they are read.
 */
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AnswerBuffers } from '../../src/server/answers/answer-buffers.ts';
import { Departures, WAITING_PER_CONNECTION_MAX } from '../../src/server/answers/departures.ts';
import { threadReport, waysOf } from '../../src/server/thread-report.ts';
import { until } from '../support/until.ts';
import { testNodes } from './support/nodes.ts';
import { type SelectionAnswer, startTestServer, type TestServer } from './support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    'http.connectionTimeoutMs': '60000',
    'http.sendTimeoutMs': '60000',
    'http.requestsPerSocketMax': '100000',
    serveFrom: 'in-place',
  });
});
afterAll(() => server.close());

const REQUEST = 'GET /v1/selection?count=300&newFraction=0.2 HTTP/1.1\r\nHost: x\r\n\r\n';
const known = new Set(testNodes().map(node => `${node.id} ${node.ip} ${node.port}`));

/** Whole answers out of a byte stream; throws when one is not what it should be. */
function parseAnswers(bytes: Buffer): SelectionAnswer[] {
  const answers: SelectionAnswer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const headEnd = bytes.indexOf('\r\n\r\n', at);
    const head = bytes.toString('latin1', at, headEnd);
    expect(head).toMatch(/^HTTP\/1.1 200 OK/);
    const length = Number(/content-length: (\d+)/i.exec(head)![1]);
    answers.push(JSON.parse(bytes.toString('utf8', headEnd + 4, headEnd + 4 + length)) as SelectionAnswer);
    at = headEnd + 4 + length;
  }
  return answers;
}

/** Answers computed in place so far. */
const inPlace = () => waysOf(threadReport(server.context)).inPlace;

/** A client that reads nothing until it is let; `requests` are pipelined. */
function slowReader(requests: number) {
  const { hostname, port } = new URL(server.url);
  const socket: Socket = connect({ host: hostname, port: Number(port) });
  socket.pause();
  socket.write(REQUEST.repeat(requests));
  const chunks: Buffer[] = [];
  socket.on('data', chunk => chunks.push(chunk));
  return { socket, bytes: () => Buffer.concat(chunks) };
}

test('answers that wait for slow readers stay whole while thousands of others are served', async () => {
  const perReader = 400;
  const { departures } = server.context;
  // The data listener pauses to be asked when what waits is large, so not all of these are computed at once.
  const readers = Array.from({ length: 12 }, () => slowReader(perReader));
  for (const { socket } of readers) socket.pause();
  await until('answers wait', () => departures.waitingBytes > 0);
  const before = inPlace();
  for (let i = 0; i < 1_500; i++) {
    const answer = await server.call('/v1/selection?count=110');
    expect(answer.status).toBe(200);
  }
  expect(inPlace()).toBeGreaterThanOrEqual(before + 1_500);
  expect(departures.waitingBytes).toBeGreaterThan(0);
  for (const { socket } of readers) socket.resume();
  const seen = new Set<string>();
  for (const { socket, bytes } of readers) {
    await until('a slow reader has everything', () => countAnswers(bytes()) === perReader);
    socket.destroy();
    for (const { nodes } of parseAnswers(bytes())) {
      expect(nodes).toHaveLength(300);
      // One `expect` for each answer: for each node it would take longer than everything else.
      expect(nodes.filter(({ id, ip, port }) => !known.has(`${id} ${ip} ${port}`))).toEqual([]);
      seen.add(nodes.map(node => node.id).join());
    }
  }
  // Two equal answers would be one buffer sent twice.
  expect(seen.size).toBe(readers.length * perReader);
  await until('nothing waits any more', () => departures.waitingBytes === 0);
});

function countAnswers(bytes: Buffer): number {
  let count = 0;
  let at = bytes.indexOf(']}');
  while (at >= 0) {
    count++;
    at = bytes.indexOf(']}', at + 2);
  }
  return count;
}

test('buffers of connections that break off are taken back', async () => {
  const readers = Array.from({ length: 8 }, () => slowReader(300));
  for (const { socket } of readers) socket.pause();
  await until('answers wait', () => server.context.departures.waitingBytes > 0);
  for (const { socket } of readers) socket.destroy();
  await until('nothing waits any more', () => server.context.departures.waitingBytes === 0);
});

test.each([
  ['large', 300, 3_000],
  ['small', 1, 40_000],
])(
  'a connection that pipelines %s answers and does not read holds few of them, and gets all',
  async (_, count, requests) => {
    const { departures } = server.context;
    const { hostname, port } = new URL(server.url);
    const socket = connect({ host: hostname, port: Number(port) });
    socket.pause();
    socket.write(
      `GET /v1/selection?count=${count}&newFraction=0.2 HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(requests),
    );
    await until('answers wait', () => departures.count > 0);
    let most = 0;
    await until('its reader has been waited for', async () => {
      for (let i = 0; i < 50; i++) await server.call('/v1/selection?count=110');
      most = Math.max(most, departures.count);
      return departures.count === WAITING_PER_CONNECTION_MAX;
    });
    expect(most).toBe(WAITING_PER_CONNECTION_MAX);
    let answers = 0;
    // Each answer has one `{"generation"`; the part of one that two chunks share is kept.
    let rest = '';
    socket.on('data', chunk => {
      const parts = (rest + chunk.toString('latin1')).split('{"generation"');
      answers += parts.length - 1;
      rest = parts.at(-1)!.slice(-12);
    });
    socket.resume();
    await until('it has everything', () => answers === requests);
    socket.destroy();
    await until('nothing waits any more', () => departures.count === 0);
  },
);

/** An answer that the system has not taken yet, until it says `close`. */
function waitingAnswer(): ServerResponse {
  const raw = new EventEmitter();
  return Object.assign(raw, {
    writableLength: 1,
    req: { socket: new EventEmitter() },
  }) as unknown as ServerResponse;
}

test('one answer is always taken, however small the limit', () => {
  const departures = new Departures();
  const buffers = new AnswerBuffers(10, departures);
  for (let i = 0; i < 2; i++) {
    const raw = waitingAnswer();
    const buffer = buffers.take(100_000);
    departures.settle(raw, buffer);
    expect(() => buffers.take(1)).toThrow(/slow readers/);
    raw.emit('close');
    expect(buffers.take(100_000)).toBe(buffer);
    buffer.giveBack();
  }
});

test('take refuses beyond its limit and gives buffers of the asked size', () => {
  const departures = new Departures();
  const buffers = new AnswerBuffers(100_000, departures);
  expect(buffers.take(1).body).toHaveLength(32_768);
  expect(buffers.take(32_769).body).toHaveLength(65_536);
  const raw = waitingAnswer();
  departures.settle(raw, buffers.take(1));
  expect(() => buffers.take(100_001)).toThrow('32768 bytes of answers wait for slow readers');
  raw.emit('close');
  const buffer = buffers.take(10);
  buffer.giveBack();
  expect(buffers.take(20)).toBe(buffer);
});
