/** More than there is room for: what is refused and how, what is answered all the same, and what is held. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TurnBudget } from '../../src/server/http/turn-budget.ts';
import { figure } from '../support/figures.ts';
import { until } from '../support/until.ts';
import { expectProblem } from './support/expect-problem.ts';
import { rawConnection, rawExchange } from './support/raw.ts';
import { postJson, startTestServer, type TestServer } from './support/server.ts';

const GET = 'GET /v1/selection?count=2 HTTP/1.1\r\nHost: x\r\n';
const BODY = '{"count":2}';
const POST =
  'POST /v1/selection HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
  `Content-Length: ${BODY.length}\r\n\r\n${BODY}`;
/** The last one on its connection. */
const LAST = `${GET}Connection: close\r\n\r\n`;

function statusesIn(text: string): string[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status!);
}

describe('a turn of the event loop', () => {
  test('has time for the first one, for others until its budget is used up, and then anew', () => {
    let now = 0;
    const ends: (() => void)[] = [];
    const budget = new TurnBudget(
      50,
      () => now,
      end => ends.push(end),
    );
    const at = (ms: number) => {
      now = ms;
      return budget.hasTime();
    };
    expect([at(0), at(20), at(49), at(50), at(90)]).toEqual([true, true, true, false, false]);
    expect(ends).toHaveLength(1);
    ends[0]!();
    expect([at(91), at(140), at(141)]).toEqual([true, true, false]);
  });
});

describe('while the event loop is too late', () => {
  let server: TestServer;
  beforeAll(async () => {
    // A budget of nothing: one answer a turn.
    server = await startTestServer();
  });
  afterAll(() => server.close());
  beforeEach(() => {
    server.context.overloaded = true;
  });

  test.each([
    ['GET', `${GET}\r\n`.repeat(4).concat(LAST)],
    ['POST', POST.repeat(4).concat(LAST)],
  ])('a turn answers the first %s and refuses the others at once, in their order', async (_, bytes) => {
    // Known before, so that no way is left out.
    server.context.overloaded = false;
    await server.call('/v1/selection?count=2');
    server.context.overloaded = true;
    const text = await rawExchange(server.url, bytes);
    expect(statusesIn(text)).toEqual(['200', '503', '503', '503', '503']);
    expect(text.match(/retry-after: 1\r\n/g)).toHaveLength(4);
    expect(text.match(/"code":"OVERLOADED"/g)).toHaveLength(4);
    expect(text.match(/content-type: application\/problem\+json\r\n/g)).toHaveLength(4);
  });

  test('probes, status and metrics are answered, however many are asked for', async () => {
    const paths = ['/livez', '/readyz', '/v1/status', '/metrics', '/livez'];
    const requests = paths.map((path, i) => {
      const end = i === paths.length - 1 ? 'Connection: close\r\n' : '';
      return `GET ${path} HTTP/1.1\r\nHost: x\r\n${end}\r\n`;
    });
    const text = await rawExchange(server.url, `${GET}\r\n`.repeat(3) + requests.join(''));
    expect(statusesIn(text)).toEqual(['200', '503', '503', ...paths.map(() => '200')]);
    expect(text).toMatch(/sortition_http_shed_total \d+/);
    expect(text).toMatch(/sortition_http_requests_total\{route="shed",status="5xx"\} \d+/);
  });

  test('all is answered again when it has recovered', async () => {
    server.context.overloaded = false;
    const text = await rawExchange(server.url, `${GET}\r\n`.repeat(4).concat(LAST));
    expect(statusesIn(text)).toEqual(['200', '200', '200', '200', '200']);
  });
});

test('batches beyond the queue are refused with Retry-After, others answered, probes too', async () => {
  const server = await startTestServer({ 'workerPool.queueMax': '2' });
  try {
    const requests = Array.from({ length: 200 }, () => ({ count: 200 }));
    const batches = Array.from({ length: 32 }, () => server.call('/v1/selections', postJson({ requests })));
    const alive = await server.call('/livez');
    expect(alive.status).toBe(200);
    const answers = await Promise.all(batches);
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length).toBeGreaterThan(0);
    expect(answers.length - refused.length).toBeGreaterThan(0);
    for (const answer of refused) {
      expectProblem(answer, 503, { code: 'OVERLOADED' });
      expect(answer.headers['retry-after']).toBe('1');
    }
    expect((await server.call('/v1/selections', postJson({ requests }))).status).toBe(200);
    figure('G10', 'batches at once, refused beyond a queue of 2 and never lost', answers.length);
  } finally {
    await server.close();
  }
});

test.each<[string, string]>([
  ['whole answers', 'count=250'],
  ['refusals with nodes, which the framework makes', 'count=1000'],
])('clients that ask for thousands of %s and do not read hold a bounded part of them', async (_, query) => {
  const limitBytes = 4_194_304;
  const server = await startTestServer({
    serveFrom: 'in-place',
    'http.answerBytesMax': String(limitBytes),
    'http.requestsPerSocketMax': '1000000',
  });
  const request = `GET /v1/selection?${query} HTTP/1.1\r\nHost: x\r\n\r\n`;
  try {
    const { departures } = server.context;
    const readers = Array.from({ length: 10 }, () => {
      const { socket } = rawConnection(server.url);
      socket.pause();
      socket.write(request.repeat(1_000));
      return socket;
    });
    let most = 0;
    await until('much waits', () => departures.waitingBytes > 1_000_000);
    for (let i = 0; i < 100; i++) {
      most = Math.max(most, departures.waitingBytes);
      expect((await server.call('/livez')).status).toBe(200);
    }
    // Refusals wait as well, and each connection has room for sixteen of whatever.
    expect(most).toBeLessThan(2 * limitBytes);
    expect(departures.count).toBeLessThanOrEqual(16 * readers.length + 1);
    for (const socket of readers) socket.destroy();
    await until('nothing waits any more', () => departures.waitingBytes === 0);
    expect((await server.call('/v1/selection?count=3')).status).toBe(200);
  } finally {
    await server.close();
  }
});
