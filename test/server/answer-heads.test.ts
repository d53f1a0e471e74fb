/**
 * Answers on the wire, byte by byte: the head that is written in front of the body says what Node's own says,
 * and whatever is not the ordinary request is answered as it should be.
 */
import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AnswerSender, HEAD_ROOM_BYTES } from '../../src/server/answers/answer-sender.ts';
import { until } from '../support/until.ts';
import { rawConnection, rawExchange } from './support/raw.ts';
import { MESSAGEPACK, type SelectionAnswer, startTestServer, type TestServer } from './support/server.ts';

const WAYS = ['in-place', 'prepared', 'pool'] as const;
const PATH = '/v1/selection?count=110';

interface RawAnswer {
  readonly status: string;
  /** Names in lower case. */
  readonly fields: ReadonlyMap<string, string>;
  readonly names: readonly string[];
  readonly body: string;
}

/** The answers in a stream of bytes, by their lengths; `heads`: their bodies were not asked for. */
function parseAnswers(text: string, heads = false): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = text;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    const [status = '', ...lines] = rest.slice(0, end).split('\r\n');
    const pairs = lines.map(line => [
      line.slice(0, line.indexOf(':')),
      line.slice(line.indexOf(':') + 1).trim(),
    ]);
    const fields = new Map(pairs.map(([name, value]) => [name!.toLowerCase(), value!]));
    const length = heads ? 0 : Number(fields.get('content-length'));
    const body = rest.slice(end + 4, end + 4 + length);
    expect(body).toHaveLength(length);
    answers.push({ status, fields, names: lines.map(line => line.split(':', 1)[0]!), body });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}

describe.each(WAYS)('with --serve-from %s', serveFrom => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ serveFrom, 'http.requestsPerSocketMax': '5000' });
    // Known, and with `prepared` hot, from now on.
    for (let round = 0; round < 3; round++) {
      const until = performance.now() + 250;
      while (performance.now() < until) await server.call(PATH);
    }
    if (serveFrom === 'prepared') {
      expect(server.context.prepared?.counts().ringsUsed).toBe(1);
    }
  });
  afterAll(() => server.close());

  const request = (line: string, fields = '') => `${line}\r\nHost: x\r\n${fields}\r\n`;
  const LAST = 'Connection: close\r\n';

  function expectWhole({ status, fields, body }: RawAnswer, count = 110): void {
    expect(status).toBe('HTTP/1.1 200 OK');
    expect(fields.get('content-type')).toBe('application/json');
    expect(fields.get('cache-control')).toBe('no-store');
    expect(Math.abs(Date.parse(fields.get('date')!) - Date.now())).toBeLessThan(3_000);
    expect((JSON.parse(body) as SelectionAnswer).nodes).toHaveLength(count);
    // Compact: no blank stands anywhere.
    expect(body).toMatch(/^\{"generation":1,"ageMs":\d+,"nodes":\[\{"id":"[^ ]*$/);
  }

  test('an answer on a connection that stays has the lines that Node writes, each once', async () => {
    const text = await rawExchange(
      server.url,
      request(`GET ${PATH} HTTP/1.1`) + request('GET /livez HTTP/1.1', LAST),
    );
    const [selection, live] = parseAnswers(text);
    expectWhole(selection!);
    expect(selection!.fields.get('connection')).toBe('keep-alive');
    expect(selection!.fields.get('keep-alive')).toBe('timeout=15, max=5000');
    expect(new Set(selection!.names).size).toBe(selection!.names.length);
    expect(new Set(selection!.fields.keys())).toEqual(new Set([...live!.fields.keys(), 'keep-alive']));
  });

  test('a connection that is to be closed is closed behind the answer', async () => {
    const [answer, ...more] = parseAnswers(
      await rawExchange(server.url, request(`GET ${PATH} HTTP/1.1`, LAST)),
    );
    expectWhole(answer!);
    expect(answer!.fields.get('connection')).toBe('close');
    expect(more).toEqual([]);
  });

  test('HTTP/1.0 is answered and closed, or kept when asked for', async () => {
    const [closed] = parseAnswers(await rawExchange(server.url, request(`GET ${PATH} HTTP/1.0`)));
    expectWhole(closed!);
    expect(closed!.fields.get('connection')).toBe('close');
    const { socket, text, ended } = rawConnection(server.url);
    socket.write(request(`GET ${PATH} HTTP/1.0`, 'Connection: keep-alive\r\n'));
    await until('there is an answer', () => text().endsWith(']}'));
    socket.write(request(`GET ${PATH} HTTP/1.0`));
    const answers = parseAnswers(await ended);
    expect(answers).toHaveLength(2);
    for (const answer of answers) expectWhole(answer);
    expect(answers[0]!.fields.get('connection')).toBe('keep-alive');
  });

  test('HEAD has the head alone', async () => {
    const [head] = parseAnswers(await rawExchange(server.url, request(`HEAD ${PATH} HTTP/1.1`, LAST)), true);
    expect(head!.status).toBe('HTTP/1.1 200 OK');
    expect(Number(head!.fields.get('content-length'))).toBeGreaterThan(5_000);
    expect(head!.body).toBe('');
  });

  test('pipelined requests are answered in their order, each with other nodes', async () => {
    const counts = Array.from({ length: 40 }, (_, i) => (i % 4 === 0 ? 3 : 110));
    const lines = counts.map(count => request(`GET /v1/selection?count=${count} HTTP/1.1`));
    const answers = parseAnswers(
      await rawExchange(server.url, lines.join('') + request('GET /livez HTTP/1.1', LAST)),
    );
    expect(answers).toHaveLength(counts.length + 1);
    for (const [index, count] of counts.entries()) expectWhole(answers[index]!, count);
    expect(new Set(answers.map(({ body }) => body)).size).toBe(answers.length);
  });

  test('a request that comes in pieces is answered when it is whole', async () => {
    const { socket, ended } = rawConnection(server.url);
    for (const piece of request(`GET ${PATH} HTTP/1.1`, LAST).match(/.{1,9}/gs)!) {
      socket.write(piece);
      await new Promise(resolve => setTimeout(resolve, 1));
    }
    expectWhole(parseAnswers(await ended)[0]!);
  });

  test('a GET with a body is refused, known or not', async () => {
    const text = await rawExchange(
      server.url,
      `${request(`GET ${PATH} HTTP/1.1`, 'Content-Length: 2\r\n')}{}`,
    );
    expect(text).toMatch(/^HTTP\/1.1 413 /);
  });

  test('a POST that says JSON and has no body is refused at once', async () => {
    const fields = `Content-Type: application/json\r\n${LAST}`;
    const text = await rawExchange(server.url, request('POST /v1/selection HTTP/1.1', fields));
    expect(text).toMatch(/^HTTP\/1.1 400 /);
  });

  test('Expect: 100-continue is followed', async () => {
    const fields = `Content-Type: application/json\r\nContent-Length: 11\r\nExpect: 100-continue\r\n${LAST}`;
    const text = await rawExchange(
      server.url,
      `${request('POST /v1/selection HTTP/1.1', fields)}{"count":3}`,
    );
    expect(text.startsWith('HTTP/1.1 100 Continue\r\n\r\n')).toBe(true);
    expectWhole(parseAnswers(text.slice('HTTP/1.1 100 Continue\r\n\r\n'.length))[0]!, 3);
  });

  test('the format goes by Accept, not by what was asked for before', async () => {
    const packed = await server.call(PATH, { headers: MESSAGEPACK });
    expect(packed.headers['content-type']).toBe('application/msgpack');
    expect((await server.call(PATH)).headers['content-type']).toBe('application/json');
    expect((await server.call(PATH, { headers: { accept: 'text/html' } })).status).toBe(406);
    expect((await server.call(PATH, { method: 'DELETE' })).status).toBe(405);
  });

  test('connections that break off in the middle cost nobody else an answer', async () => {
    const broken = Array.from({ length: 30 }, () => rawConnection(server.url));
    for (const { socket } of broken) socket.write(request(`GET ${PATH} HTTP/1.1`).repeat(20));
    await until('some have begun to read', () => broken.some(({ text }) => text() !== ''));
    for (const { socket } of broken) socket.destroy();
    for (let i = 0; i < 50; i++) expect((await server.call(PATH)).status).toBe(200);
    await until('nothing waits any more', () => server.context.departures.waitingBytes === 0);
  });
});

test('a request that was short is short again, on every way as often', async () => {
  const server = await startTestServer();
  /** How often of `times` it is. */
  const shortOf = async (times: number, path: string, options: Parameters<typeof server.call>[1]) => {
    let short = 0;
    for (let i = 0; i < times; i++) {
      const { status } = await server.call(path, options);
      if (status === 409) short++;
      else expect(status).toBe(200);
    }
    return short;
  };
  try {
    for (let i = 0; i < 3; i++) {
      const answer = await server.call('/v1/selection?count=900&newFraction=0');
      expect(answer.status).toBe(409);
      expect(answer.headers['content-type']).toBe('application/problem+json');
    }
    // 69.5 new nodes are wanted: with 70 there are enough vetted ones. One that was short before the
    // framework must not be drawn again by it: that would come out whole half of the time.
    const [count, newFraction] = [390, 69.5 / 390];
    const url = `/v1/selection?count=${count}&newFraction=${newFraction}`;
    const body = JSON.stringify({ count, newFraction });
    const type = (text: string) => ({ method: 'POST', body, headers: { 'content-type': text } }) as const;
    const ways = [
      await shortOf(400, url, {}),
      await shortOf(400, url, { method: 'HEAD' }),
      await shortOf(400, '/v1/selection', type('application/json')),
      await shortOf(400, '/v1/selection', type('application/json; charset=utf-8')),
    ];
    // Five standard deviations around a half.
    for (const short of ways) expect(Math.abs(short - 200), `${ways}`).toBeLessThan(50);
  } finally {
    await server.close();
  }
});

test('the last request of a connection says so', async () => {
  const server = await startTestServer({ 'http.requestsPerSocketMax': '3' });
  try {
    const text = await rawExchange(
      server.url,
      'GET /v1/selection?count=2 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3),
    );
    const answers = parseAnswers(text);
    expect(answers.map(({ fields }) => fields.get('connection'))).toEqual([
      'keep-alive',
      'keep-alive',
      'close',
    ]);
  } finally {
    await server.close();
  }
});

test('the date follows the clock, also when it is set back', () => {
  let now = Date.parse('2026-01-02T12:00:00.900Z');
  const terms = { keepAliveTimeoutMs: 15_000, requestsPerSocketMax: 10 };
  const sender = new AnswerSender(terms, () => now);
  const req = { httpVersionMajor: 1, httpVersionMinor: 1, method: 'GET' };
  const date = () => {
    let sent = '';
    const end = (bytes: Buffer) => {
      sent = bytes.toString('latin1');
    };
    const raw = { shouldKeepAlive: true, req, end } as unknown as ServerResponse;
    const bytes = Buffer.alloc(HEAD_ROOM_BYTES + 8);
    sender.send(raw, 'json', bytes, HEAD_ROOM_BYTES, bytes.length, false);
    return /Date: (.*)\r/.exec(sent)![1];
  };
  for (const stepMs of [0, 50, 50, 999, 1, -1, -3_600_000, -1, 1_800_000, -86_400_000, 1_000]) {
    now += stepMs;
    expect(date()).toBe(new Date(now).toUTCString());
  }
});
