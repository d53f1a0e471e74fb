/** The admin plane: token, listener, refresh. */
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/server/config.ts';
import { LoginGuard } from '../../src/server/http/login-guard.ts';
import { until } from '../support/until.ts';
import { expectProblem } from './support/expect-problem.ts';
import { loneVettedIds, nodesCsv, testNodes } from './support/nodes.ts';
import {
  ADMIN_TOKEN,
  type CallOptions,
  call,
  JSON_BODY,
  type SelectionAnswer,
  startTestServer,
  type TestServer,
} from './support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const HOUR_MS = 3_600_000;
const BEARER = { authorization: `Bearer ${ADMIN_TOKEN}` };

function admin(path: string, options: CallOptions) {
  return call(server.adminUrl!, path, options);
}

function refresh(body?: unknown) {
  const options = body === undefined ? {} : { body: JSON.stringify(body) };
  const headers = body === undefined ? BEARER : { ...BEARER, ...JSON_BODY };
  return admin('/v1/admin/refresh', { method: 'POST', headers, ...options });
}

describe('authorization', () => {
  test.each<[string, Record<string, string>]>([
    ['no header', {}],
    ['a wrong token', { authorization: 'Bearer a-token-for-tests-onlx' }],
    ['a prefix of the token', { authorization: `Bearer ${ADMIN_TOKEN.slice(0, -1)}` }],
    ['a longer token', { authorization: `Bearer ${ADMIN_TOKEN}x` }],
    ['the token alone', { authorization: ADMIN_TOKEN }],
    ['another scheme', { authorization: `Basic ${ADMIN_TOKEN}` }],
    ['an empty token', { authorization: 'Bearer ' }],
    ['the token in the URL', { 'x-token': ADMIN_TOKEN }],
  ])('with %s every path and method is 401', async (_, headers) => {
    const before = server.context.cache.generation();
    for (const path of ['/v1/admin/refresh', '/v1/admin', '/', `/v1/admin/refresh?token=${ADMIN_TOKEN}`]) {
      for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD']) {
        const answer = await admin(path, { method, headers });
        expect(answer.status).toBe(401);
        expect(answer.headers['www-authenticate']).toBe('Bearer');
        if (method !== 'HEAD') expect(answer.json()).toMatchObject({ code: 'UNAUTHORIZED' });
      }
    }
    expect(server.context.cache.generation()).toBe(before);
  });

  test('the data listener has no admin routes, token or not', async () => {
    const answer = await server.call('/v1/admin/refresh', { method: 'POST', headers: BEARER });
    expect(answer.status).toBe(404);
  });

  test('the admin listener has no data routes', async () => {
    expect((await admin('/v1/selection', { headers: BEARER })).status).toBe(404);
    expect((await admin('/v1/admin/refresh', { headers: BEARER })).status).toBe(405);
  });

  test('without a token there is no admin listener', async () => {
    const folder = server.folder.path;
    const flags = new Map([['source.location', join(folder, 'nodes.csv')]] as const);
    expect(loadConfig({ environment: {}, flags }).server.admin.token).toBeUndefined();
  });
});

describe('an address that sends wrong tokens', () => {
  const WRONG = { authorization: 'Bearer a-token-for-tests-onlx' };

  test('is refused after the limit, with the right token too, and told when to come back', async () => {
    const guarded = await startTestServer({ 'admin.failedLoginsMax': '3' });
    try {
      const ask = (headers: Record<string, string>) =>
        call(guarded.adminUrl!, '/v1/admin/refresh', { method: 'POST', headers });
      for (let failure = 0; failure < 3; failure++) {
        expect((await ask(BEARER)).status).toBe(200);
        expect((await ask(WRONG)).status).toBe(401);
      }
      const before = guarded.context.cache.generation();
      for (const headers of [WRONG, BEARER, {}]) {
        const refused = await ask(headers);
        expectProblem(refused, 429, { code: 'LOGINS_LIMITED' });
        expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50);
        expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
      }
      expect(guarded.context.cache.generation()).toBe(before);
      expect((await guarded.call('/v1/selection?count=1')).status).toBe(200);
    } finally {
      await guarded.close();
    }
  });

  test('may try again when its minute has ended; others are not concerned', () => {
    let now = 0;
    const guard = new LoginGuard(2, () => now);
    expect([guard.countFailure('a'), guard.countFailure('a'), guard.countFailure('a')]).toEqual([
      false,
      true,
      false,
    ]);
    expect(guard.refusedMs('b')).toBe(0);
    now = 59_999;
    expect(guard.refusedMs('a')).toBe(1);
    now = 60_000;
    expect(guard.refusedMs('a')).toBe(0);
    expect(guard.countFailure('a')).toBe(false);
  });

  test('is forgotten, the oldest first, when there are too many of them', () => {
    const guard = new LoginGuard(1, () => 0);
    for (let address = 0; address < 1_025; address++) guard.countFailure(String(address));
    expect(guard.refusedMs('0')).toBe(0);
    expect(guard.refusedMs('1')).toBeGreaterThan(0);
    expect(guard.refusedMs('1024')).toBeGreaterThan(0);
  });
});

describe('refresh', () => {
  test('is answered when the load is done, with its report', async () => {
    const before = server.context.cache.generation();
    const answer = await refresh();
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ generation: before + 1, nodes: { vetted: 400, new: 100 } });
    expect(answer.bytes.toString()).toMatch(/"durationMs":\d+(\.\d{1,3})?,/);
    expect(server.context.cache.generation()).toBe(before + 1);
    expect((await refresh({})).status).toBe(200);
  });

  test('that would drop too many nodes is refused, unless the drop is accepted', async () => {
    const file = join(server.folder.path, 'nodes.csv');
    await writeFile(file, nodesCsv(testNodes(200)));
    const before = server.context.cache.generation();
    const refused = await refresh();
    expect(refused.status).toBe(409);
    expect(refused.json()).toMatchObject({ code: 'SNAPSHOT_REJECTED' });
    expect(server.context.cache.generation()).toBe(before);
    const accepted = await refresh({ acceptDrop: true });
    expect(accepted.json()).toMatchObject({ generation: before + 1, nodes: { total: 200 } });
    await writeFile(file, nodesCsv(testNodes()));
    expect((await refresh()).status).toBe(200);
  });

  test('of a broken source names what is wrong, and the last good generation stays', async () => {
    const file = join(server.folder.path, 'nodes.csv');
    await writeFile(file, 'name,address\n');
    await appendFile(file, 'a,b\n');
    const before = server.context.cache.generation();
    const answer = await refresh();
    expect(answer.status).toBe(502);
    expect(answer.json()).toMatchObject({ code: 'SOURCE_SCHEMA' });
    expect(server.context.cache.generation()).toBe(before);
    expect((await server.call('/v1/selection?count=1')).status).toBe(200);
    const status = (await server.call('/v1/status')).json<{ loader: { lastError?: { code: string } } }>();
    expect(status.loader.lastError?.code).toBe('SOURCE_SCHEMA');
    await writeFile(file, nodesCsv(testNodes()));
    expect((await refresh()).status).toBe(200);
  });

  test.each<[unknown, string]>([
    [{ acceptDrop: 'true' }, 'acceptDrop'],
    [{ acceptDrop: 1 }, 'acceptDrop'],
    [{ accept: true }, 'accept'],
    [[], 'body'],
  ])('with the body %j is refused', async (body, field) => {
    const answer = await refresh(body);
    expect(answer.status).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'REQUEST_INVALID', field });
  });
});

describe('POST /v1/admin/revoke', () => {
  function revoke(path: string, body: unknown) {
    return admin(path, { method: 'POST', headers: { ...BEARER, ...JSON_BODY }, body: JSON.stringify(body) });
  }
  const everybody = async () => {
    const answer = await server.call('/v1/selection?count=1000&partial=true');
    return answer.json<SelectionAnswer>().nodes.map(({ id }) => id);
  };

  test('takes nodes out of the very next answer, and restore brings them back', async () => {
    const [first, second] = loneVettedIds();
    expect(await everybody()).toEqual(expect.arrayContaining([first, second]));
    const answer = await revoke('/v1/admin/revoke', { ids: [first, second!.toUpperCase()], holdSeconds: 60 });
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ revoked: 2, notEligible: 0, already: 0 });
    const { heldUntil } = answer.json<{ heldUntil: string }>();
    expect(Date.parse(heldUntil) - Date.now()).toBeLessThanOrEqual(60_000);
    const left = await everybody();
    expect(left).not.toContain(first);
    expect(left).not.toContain(second);
    expect((await server.call('/v1/status')).json<{ loader: object }>().loader).toMatchObject({ revoked: 2 });
    const text = (await server.call('/metrics')).bytes.toString();
    expect(text).toContain('sortition_revoked_nodes 2');
    const restored = await revoke('/v1/admin/restore', { ids: [first, second] });
    expect(restored.json()).toEqual({ restored: 2 });
    await until('both are back', async () => {
      const ids = await everybody();
      return ids.includes(first!) && ids.includes(second!);
    });
  });

  test.each<[string, unknown, string]>([
    ['no ids', {}, 'ids'],
    ['an empty list', { ids: [] }, 'ids'],
    ['an id that is none', { ids: ['abc'] }, 'ids'],
    ['a time of zero', { ids: ['a'.repeat(64)], holdSeconds: 0 }, 'holdSeconds'],
    ['an unknown field', { ids: ['a'.repeat(64)], hold: 1 }, 'hold'],
  ])('refuses %s by name', async (_, body, field) => {
    const answer = await revoke('/v1/admin/revoke', body);
    expect(answer.status).toBe(400);
    expect(answer.json().field).toContain(field);
  });
});

describe('POST /v1/admin/override', () => {
  const post = (body: unknown) =>
    admin('/v1/admin/override', {
      method: 'POST',
      headers: { ...BEARER, ...JSON_BODY },
      body: JSON.stringify(body),
    });

  test('lets one load pass that the guard had refused, and the status says all of it', async () => {
    // No load but those that are asked for here.
    const guarded = await startTestServer({
      'refresh.backoffFirstMs': String(HOUR_MS),
      'refresh.backoffLongestMs': String(24 * HOUR_MS),
    });
    const own = (path: string, body: unknown) =>
      call(guarded.adminUrl!, path, {
        method: 'POST',
        headers: { ...BEARER, ...JSON_BODY },
        body: JSON.stringify(body),
      });
    const guard = async () =>
      (await guarded.call('/v1/status')).json<{ loader: { guard: unknown } }>().loader.guard;
    try {
      await guarded.folder.file('nodes.csv', nodesCsv(testNodes(120)));
      expect((await own('/v1/admin/refresh', {})).json()).toMatchObject({ code: 'SNAPSHOT_REJECTED' });
      expect(await guard()).toMatchObject({ refusals: { drop: 1 }, refusing: { times: 1 }, override: null });
      const { validators } = ((await guard()) as { refusing: { validators: string[] } }).refusing;
      expect((await own('/v1/admin/override', { validators })).json()).toMatchObject({
        override: { validators },
      });
      expect((await own('/v1/admin/refresh', {})).status).toBe(200);
      expect(await guard()).toMatchObject({ refusing: null, override: null });
      const text = (await guarded.call('/metrics')).bytes.toString();
      expect(text).toContain('sortition_loads_refused_total{validator="drop"} 1');
    } finally {
      await guarded.close();
    }
  });

  test('refuses what cannot be overridden, and what is no validator', async () => {
    expect((await post({ validators: ['fewest-nodes'] })).json()).toMatchObject({ field: 'validators' });
    expect((await post({ validators: ['dropp'] })).status).toBe(400);
    expect((await post({ validators: [] })).status).toBe(400);
  });
});
