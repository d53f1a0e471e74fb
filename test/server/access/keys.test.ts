/** API keys: every route by every way to an answer, counts, rates, and a file that changes. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../../../src/server/access/identity.ts';
import { until } from '../../support/until.ts';
import { expectProblem } from '../support/expect-problem.ts';
import { type TemporaryFolder, temporaryFolder, testNodes } from '../support/nodes.ts';
import { rawConnection, rawExchange } from '../support/raw.ts';
import {
  type CallOptions,
  JSON_BODY,
  type SelectionAnswer,
  startTestServer,
  type TestFlags,
  type TestServer,
} from '../support/server.ts';

const KEYS = {
  full: 'full-key-0123456789abcdef',
  small: 'small-key-0123456789abcdef',
  lookup: 'lookup-key-0123456789abcdef',
  status: 'status-key-0123456789abcdef',
  slow: 'slow-key-0123456789abcdef',
} as const;

const LINES = [
  `full ${digestOf(KEYS.full)}`,
  `small ${digestOf(KEYS.small)} count=5`,
  `lookup ${digestOf(KEYS.lookup)} may=lookup`,
  `status ${digestOf(KEYS.status)} may=status`,
  `slow ${digestOf(KEYS.slow)} rate=10`,
];

let folder: TemporaryFolder;
let file: string;
let server: TestServer;

function start(flags: TestFlags = {}): Promise<TestServer> {
  return startTestServer({ 'access.mode': 'keys', 'access.file': file, ...flags });
}

beforeAll(async () => {
  folder = await temporaryFolder();
  file = await folder.file('keys', LINES.join('\n'));
  server = await start({ serveFrom: 'in-place' });
});
afterAll(async () => {
  await server.close();
  await folder.remove();
});

function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

const ID = testNodes()[0]!.id;

/** Method, URL, body, and the right that it takes. */
const ROUTES: readonly (readonly [string, string, unknown, keyof typeof KEYS])[] = [
  ['GET', '/v1/selection?count=1', undefined, 'small'],
  ['HEAD', '/v1/selection?count=1', undefined, 'small'],
  ['POST', '/v1/selection', { count: 1 }, 'small'],
  ['POST', '/v1/selections', { requests: [{ count: 1 }] }, 'small'],
  ['POST', '/v1/lookup', { ids: [ID] }, 'lookup'],
  ['GET', '/v1/status', undefined, 'status'],
  ['GET', '/', undefined, 'status'],
  ['GET', '/metrics', undefined, 'status'],
  ['GET', '/openapi.json', undefined, 'status'],
  ['GET', '/docs/', undefined, 'status'],
];

function options(method: string, body: unknown, headers: Record<string, string>): CallOptions {
  if (body === undefined) return { method, headers };
  return { method, headers: { ...JSON_BODY, ...headers }, body: JSON.stringify(body) };
}

describe('every route', () => {
  test.each(ROUTES)(
    '%s %s is refused without a key, with a wrong one, and with a low one',
    async (...route) => {
      const [method, url, body, right] = route;
      const ask = (headers: Record<string, string>) => server.call(url, options(method, body, headers));
      const wrong = [
        {},
        bearer('wrong-key-0123456789abcdef'),
        bearer(`${KEYS.full}x`),
        bearer(KEYS.full.slice(0, -1)),
        bearer(digestOf(KEYS.full)),
        bearer('x'),
        bearer(''),
        { authorization: KEYS.full },
        { authorization: `Basic ${KEYS.full}` },
        { authorization: `Bearer  ${KEYS.full}` },
        { authorization: `Bearer ${KEYS.full} ` + `${KEYS.full}` },
        { 'x-api-key': KEYS.full },
      ];
      for (const headers of wrong) {
        const answer = await ask(headers);
        expect(answer.status).toBe(401);
        expect(answer.headers['www-authenticate']).toBe('Bearer');
        if (method !== 'HEAD') expectProblem(answer, 401, { code: 'UNAUTHORIZED' });
      }
      const low = right === 'lookup' ? 'status' : 'lookup';
      const refused = await ask(bearer(KEYS[low]));
      expect(refused.status).toBe(403);
      if (method !== 'HEAD') expectProblem(refused, 403, { code: 'FORBIDDEN' });
      expect((await ask(bearer(KEYS[right]))).status).toBe(200);
      // The scheme has no case.
      expect((await ask({ authorization: `bearer ${KEYS[right]}` })).status).toBe(200);
    },
  );

  test('that there is not, and every other method, is hidden from whoever has no key', async () => {
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      expect((await server.call('/v1/selection', { method })).status).toBe(401);
    }
    expectProblem(await server.call('/none'), 401);
    expectProblem(await server.call('/none', { headers: bearer(KEYS.lookup) }), 404);
  });

  test('of probes is open, and others where the configuration says so', async () => {
    for (const path of ['/livez', '/readyz']) expect((await server.call(path)).status).toBe(200);
    const open = await start({ 'access.public': 'metrics,documentation' });
    try {
      for (const path of ['/metrics', '/openapi.json', '/docs/', '/livez']) {
        expect((await open.call(path)).status, path).toBe(200);
      }
      for (const path of ['/v1/status', '/v1/selection', '/v1/fleet']) {
        expect((await open.call(path)).status, path).toBe(401);
      }
    } finally {
      await open.close();
    }
  });
});

describe('every way to an answer', () => {
  const WAYS: readonly (readonly [string, TestFlags])[] = [
    ['in-place', { serveFrom: 'in-place' }],
    ['pool', { serveFrom: 'pool' }],
    ['prepared', { serveFrom: 'prepared' }],
  ];

  test.each(WAYS)('%s asks for the key, and for what the key may have', async (_, flags) => {
    const own = await start(flags);
    const get = (headers: Record<string, string>, count: number) =>
      own.call(`/v1/selection?count=${count}`, { headers });
    const post = (headers: Record<string, string>, count: number) =>
      own.call('/v1/selection', options('POST', { count, exclude: [ID] }, headers));
    try {
      // So often that each way is taken by whoever may: URLs and bodies are known, and rings are full.
      for (let i = 0; i < 300; i++) {
        for (const ask of [get, post]) expect((await ask(bearer(KEYS.full), 6)).status).toBe(200);
      }
      if (flags.serveFrom === 'prepared') {
        await until('answers are prepared', async () => {
          for (let i = 0; i < 50; i++) await get(bearer(KEYS.full), 6);
          const text = (await own.call('/v1/status', { headers: bearer(KEYS.full) })).bytes.toString();
          return (JSON.parse(text) as { ways: { prepared: number } }).ways.prepared > 0;
        });
      }
      for (const ask of [get, post]) {
        for (let i = 0; i < 5; i++) {
          expectProblem(await ask({}, 6), 401);
          expectProblem(await ask(bearer('wrong-key-0123456789abcdef'), 6), 401);
          expectProblem(await ask(bearer(KEYS.lookup), 6), 403);
          expectProblem(await ask(bearer(KEYS.small), 6), 403, { field: 'count' });
          const answer = await ask(bearer(KEYS.small), 5);
          expect(answer.json<SelectionAnswer>().nodes).toHaveLength(5);
        }
      }
      const metrics = (await own.call('/metrics', { headers: bearer(KEYS.full) })).bytes.toString();
      expect(metrics).toContain('sortition_http_denied_total{code="UNAUTHORIZED"} 20');
      expect(metrics).toContain('sortition_http_denied_total{code="FORBIDDEN"} 20');
    } finally {
      await own.close();
    }
  });

  test('one connection may ask with several keys, pipelined', async () => {
    const line = (key: string | undefined, last = false) =>
      'GET /v1/selection?count=6 HTTP/1.1\r\nHost: x\r\n' +
      (key === undefined ? '' : `Authorization: Bearer ${key}\r\n`) +
      (last ? 'Connection: close\r\n\r\n' : '\r\n');
    const order = [KEYS.full, undefined, KEYS.small, KEYS.full, KEYS.lookup, undefined, KEYS.full];
    const text = order.map((key, i) => line(key, i === order.length - 1)).join('');
    const statuses = (await rawExchange(server.url, text)).match(/(?<=HTTP\/1\.1 )\d{3}/g);
    expect(statuses).toEqual(['200', '401', '403', '200', '403', '401', '200']);
  });

  test('the default count counts, and so does every count of a batch', async () => {
    const ask = (path: string, body: unknown, key: string) =>
      server.call(path, options('POST', body, bearer(key)));
    expectProblem(await ask('/v1/selection', {}, KEYS.small), 403, { field: 'count' });
    expectProblem(await server.call('/v1/selection', { headers: bearer(KEYS.small) }), 403);
    const requests = [{ count: 5 }, { count: 6 }];
    expectProblem(await ask('/v1/selections', { requests }, KEYS.small), 403, { field: 'count' });
    expect((await ask('/v1/selections', { requests: [{ count: 5 }, { count: 1 }] }, KEYS.small)).status).toBe(
      200,
    );
  });
});

describe('a rate', () => {
  test('is kept by GET, POST and batches together, and tells when to come back', async () => {
    const own = await start();
    try {
      const get = () => own.call('/v1/selection?count=1', { headers: bearer(KEYS.slow) });
      const batch = (length: number) =>
        own.call(
          '/v1/selections',
          options('POST', { requests: Array.from({ length }, () => ({ count: 1 })) }, bearer(KEYS.slow)),
        );
      expectProblem(await batch(11), 403, { code: 'FORBIDDEN' });
      await until('a batch passes', async () => (await batch(9)).status === 200);
      const answers = [];
      for (let i = 0; i < 40; i++) answers.push(await get());
      const limited = answers.filter(({ status }) => status === 429);
      // 40 requests in a row take less than two seconds.
      expect(limited.length).toBeGreaterThan(10);
      expectProblem(limited[0]!, 429, { code: 'RATE_LIMITED' });
      expect(limited[0]!.headers['retry-after']).toBe('1');
      // Others are not concerned, and it comes back by itself.
      expect((await own.call('/v1/selection?count=1', { headers: bearer(KEYS.full) })).status).toBe(200);
      await until('it may ask again', async () => (await get()).status === 200);
    } finally {
      await own.close();
    }
  });
});

test('probes, open routes and what is not there take nothing of a rate', async () => {
  const path = await folder.file('once', `once ${digestOf(KEYS.full)} rate=1`);
  const own = await start({ 'access.file': path, 'access.public': 'metrics' });
  const ask = (url: string, method = 'GET') => own.call(url, { method, headers: bearer(KEYS.full) });
  try {
    for (let round = 0; round < 3; round++) {
      for (const url of ['/livez', '/readyz', '/metrics']) expect((await ask(url)).status, url).toBe(200);
      for (const url of ['/none', '/v1/selectionx']) expect((await ask(url)).status, url).toBe(404);
      expect((await ask('/v1/selection?count=1', 'PUT')).status).toBe(405);
    }
    expect((await ask('/v1/selection?count=1')).status).toBe(200);
    // Each of these asks for one in its turn, however the route is spelled.
    for (const url of ['/v1/status', '/v1/selection?count=1', '/v1/%73election?count=1']) {
      await until('it is limited', async () => (await ask(url)).status === 429);
      await until('it may ask again', async () => (await ask(url)).status === 200);
    }
  } finally {
    await own.close();
  }
});

describe('the file', () => {
  const NEW_KEY = 'a-new-key-0123456789abcdef';

  test('is read again when it changes, on all threads; a wrong one is refused and said', async () => {
    const path = await folder.file('changing', LINES[0]!);
    const own = await start({ 'access.file': path, httpThreads: '2' });
    /** Every call on a connection of its own, so that all threads are asked. */
    const statuses = async (key: string) => {
      const head = 'GET /v1/selection?count=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n';
      const text = `${head}Authorization: Bearer ${key}\r\n\r\n`;
      const answers = await Promise.all(Array.from({ length: 12 }, () => rawExchange(own.url, text)));
      return new Set(answers.map(answer => answer.slice(9, 12)));
    };
    const access = async () => {
      const answer = await own.call('/v1/status', { headers: bearer(KEYS.full) });
      return answer.json<{ access: { identities: number; problem: string | null } }>().access;
    };
    const replace = (text: string) => {
      writeFileSync(`${path}.new`, text);
      renameSync(`${path}.new`, path);
    };
    try {
      expect(await statuses(NEW_KEY)).toEqual(new Set(['401']));
      expect(await access()).toMatchObject({ mode: 'keys', identities: 1, problem: null, tls: false });
      replace(`${LINES[0]}\nnew ${digestOf(NEW_KEY)}`);
      await until('the new key is known to all', async () => {
        const seen = await statuses(NEW_KEY);
        return seen.size === 1 && seen.has('200');
      });
      replace(`${LINES[0]}\nnew ${NEW_KEY}`);
      await until('the wrong file is noticed', async () => (await access()).problem !== null);
      const { problem, identities } = await access();
      expect(problem).toContain('line 2');
      expect(problem).not.toContain(NEW_KEY);
      expect(identities).toBe(2);
      expect(await statuses(NEW_KEY)).toEqual(new Set(['200']));
      replace(LINES[0]!);
      await until('the key is gone', async () => {
        const seen = await statuses(NEW_KEY);
        return seen.size === 1 && seen.has('401');
      });
      expect(await access()).toMatchObject({ identities: 1, problem: null });
    } finally {
      await own.close();
    }
  });

  test('that is wrong, or not there, refuses to start', async () => {
    const path = await folder.file('wrong', `${LINES[0]}\noops`);
    await expect(start({ 'access.file': path })).rejects.toThrow(/access\.file: .*line 2: /);
    await expect(start({ 'access.file': join(folder.path, 'none') })).rejects.toThrow(
      /access\.file: .*ENOENT/,
    );
    await expect(startTestServer({ 'access.mode': 'keys' })).rejects.toThrow('access.file: missing');
    await expect(startTestServer({ 'access.file': file })).rejects.toThrow('access.mode is open');
  });
});

test.each([
  ['in chunks', 'Transfer-Encoding: chunked'],
  ['longer than the route takes', 'Content-Length: 1000000000'],
])('a body without end of who may not ask, %s, is not read', async (_, line) => {
  const { socket, ended } = rawConnection(server.url);
  socket.write(
    `POST /v1/selections HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${line}\r\n\r\n`,
  );
  // As chunk and as any bytes.
  const block = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(2 ** 20, 32), Buffer.from('\r\n')]);
  const send = () => {
    while (!socket.destroyed && socket.write(block));
  };
  socket.on('drain', send);
  send();
  const text = await ended;
  expect(text.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 401']);
  expect(text).toMatch(/connection: close\r\n/i);
});
