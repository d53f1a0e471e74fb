/** POST bodies on the wire, in one piece or many: answered, or handed on whole to who says what is wrong. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { testNodes } from './support/nodes.ts';
import { rawConnection, rawExchange, serverTurn } from './support/raw.ts';
import { type Problem, type SelectionAnswer, startTestServer, type TestServer } from './support/server.ts';

const IDS = testNodes().map(({ id }) => id);
const LAST = 'Connection: close\r\n';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    serveFrom: 'in-place',
    inPlaceLimitMicros: '1000000',
    'http.bodyBytesMax': '1000000',
  });
});
afterAll(() => server.close());

/** A request as text, a character a byte. */
function post(body: string, fields = LAST): string {
  const head = 'POST /v1/selection HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
  return `${head}Content-Length: ${body.length}\r\n${fields}\r\n${body}`;
}

function parse<T>(text: string): T & { readonly head: string } {
  const end = text.indexOf('\r\n\r\n');
  return { ...(JSON.parse(text.slice(end + 4)) as T), head: text.slice(0, end) };
}

/** Sends `text` in pieces of these sizes, each in a packet of its own, and returns the answer. */
async function inPieces(text: string, sizes: readonly number[]): Promise<string> {
  const { socket, ended } = rawConnection(server.url);
  socket.setNoDelay(true);
  let from = 0;
  for (let i = 0; from < text.length; i++) {
    const piece = text.slice(from, from + sizes[i % sizes.length]!);
    from += piece.length;
    await new Promise<void>(resolve => socket.write(piece, 'latin1', () => resolve()));
    await serverTurn();
  }
  return await ended;
}

/** The ids of the nodes in an answer. */
function picked(text: string): string[] {
  const { head, nodes } = parse<SelectionAnswer>(text);
  expect(head).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  return nodes.map(({ id }) => id);
}

describe('a body', () => {
  const exclude = IDS.slice(0, 400);
  const body = JSON.stringify({ count: 60, newFraction: 0.2, exclude, distinct: 'none' });
  const headBytes = post(body).length - body.length;

  test.each<[string, number[]]>([
    ['in one piece', [1_000_000]],
    ['behind its head', [headBytes, 1_000_000]],
    ['but for its last byte', [headBytes + body.length - 1, 1]],
    ['in packets', [1_400]],
    ['in small pieces, head and all', [70, 333, 1]],
  ])('that comes %s is answered', async (_, sizes) => {
    const ids = picked(await inPieces(post(body), sizes));
    expect(new Set(ids).size).toBe(60);
    for (const id of ids) expect(exclude).not.toContain(id);
  });

  test('larger than what a stream holds is answered', async () => {
    const many = [...IDS.slice(0, 400), ...Array(4_000).fill('f'.repeat(64))];
    const text = JSON.stringify({ count: 60, newFraction: 0.2, exclude: many, distinct: 'none' });
    for (const sizes of [[1_000_000], [5_000]]) {
      const ids = picked(await inPieces(post(text), sizes));
      for (const id of ids) expect(exclude).not.toContain(id);
    }
  });

  test.each<[string, string, number, object]>([
    ['a key twice', `{"count":3,"exclude":["${IDS[0]}"],"count":3}`, 400, { field: 'count' }],
    ['an unknown key', `{"exclude":["${IDS[0]}"],"size":3}`, 400, { field: 'size' }],
    ['no JSON', `{"exclude":["${IDS[0]}"],}`, 400, {}],
    ['no id', `{"exclude":["${IDS[0]}","${IDS[1]!.slice(1)}x"]}`, 400, { field: 'exclude[1]' }],
    ['no UTF-8', `{"placement":"\xff"}`, 400, {}],
    ['too few nodes', JSON.stringify({ count: 200, exclude: IDS.slice(0, 400) }), 409, {}],
  ])('with %s is handed on, in one piece or many', async (_, text, status, expected) => {
    const bodyStart = post(text).length - text.length;
    for (const sizes of [[1_000_000], [bodyStart, 9], [bodyStart + 3, 1_000_000]]) {
      const problem = parse<Problem>(await inPieces(post(text), sizes));
      expect(problem.head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(problem).toMatchObject({ status, ...expected });
    }
  });

  test('is one of many on its connection, each answered in its turn', async () => {
    const good = (count: number) => JSON.stringify({ count, exclude: IDS.slice(0, 90) });
    const bodies = Array.from({ length: 60 }, (_, i) => (i % 7 === 3 ? '{"count":0}' : good(1 + i)));
    const text = await rawExchange(
      server.url,
      bodies.map((each, i) => post(each, i === bodies.length - 1 ? LAST : '')).join(''),
    );
    const answers = text.split(/(?=HTTP\/1\.1 \d\d\d )/);
    expect(answers).toHaveLength(bodies.length);
    for (const [i, answer] of answers.entries()) {
      if (i % 7 === 3) expect(parse<Problem>(answer)).toMatchObject({ status: 400, field: 'count' });
      else expect(picked(answer)).toHaveLength(1 + i);
    }
  });

  test('that never comes to its end costs nobody else an answer', async () => {
    const broken = Array.from({ length: 20 }, (_, i) => {
      const connection = rawConnection(server.url);
      connection.socket.write(post(body).slice(0, headBytes - 1 + i * 100));
      return connection;
    });
    expect(picked(await rawExchange(server.url, post(body)))).toHaveLength(60);
    for (const { socket } of broken) socket.destroy();
    expect(picked(await rawExchange(server.url, post(body)))).toHaveLength(60);
    await until('nothing waits any more', () => server.context.departures.waitingBytes === 0);
  });
});
