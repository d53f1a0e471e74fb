/** Bad input: always 4xx with a problem document that names the field; never 5xx, never a coerced value. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from './support/expect-problem.ts';
import { packr } from './support/messagepack.ts';
import { testNodes } from './support/nodes.ts';
import { JSON_BODY, MESSAGEPACK_BODY, postJson, startTestServer, type TestServer } from './support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const BAD_COUNTS = [
  '0',
  '-1',
  '-0',
  '1.5',
  '1e9',
  '1e2',
  '2147483648',
  '4294967297',
  '9007199254740992',
  '9007199254740993',
  '٣',
  '１',
  '',
  ' ',
  '%20',
  '+5',
  '05',
  '0x10',
  'NaN',
  'Infinity',
  '-Infinity',
  'null',
  'undefined',
  'true',
  '[]',
  '[5]',
  '5,5',
  '{}',
  '5%00',
  '%',
  '%ff',
  '1_000',
  '1001',
  '99999999999999999999',
  '5.0',
  "5'--",
];

describe('count in the URL', () => {
  test.each(BAD_COUNTS)('%j is refused by name', async text => {
    const path = `/v1/selection?count=${/^[\x21-\x7e]*$/.test(text) ? text : encodeURIComponent(text)}`;
    expectProblem(await server.call(path), 400, { code: 'REQUEST_INVALID', field: 'count' });
  });

  test.each(['count=1&count=2', 'count=1&count=1', 'count=1&partial=true&c%6funt=1'])(
    '%s is refused',
    async query => {
      const problem = expectProblem(await server.call(`/v1/selection?${query}`), 400, { field: 'count' });
      expect(problem.detail).toBe('count is given 2 times');
    },
  );

  test.each([
    'count[]=5',
    'count[0]=5',
    'count.x=5',
    'Count=5',
    'limit=5',
    'count5',
    '=5',
    '__proto__=5',
    'constructor=5',
  ])('%s is refused as an unknown field', async query => {
    const field = decodeURIComponent(query.split('=', 1)[0]!);
    expectProblem(await server.call(`/v1/selection?${query}`), 400, { code: 'REQUEST_INVALID', field });
  });
});

const BAD_JSON_COUNTS = [
  0,
  -1,
  1.5,
  1e9,
  2 ** 31,
  2 ** 32 + 1,
  2 ** 53,
  1_001,
  '5',
  '',
  true,
  false,
  null,
  [],
  [5],
  {},
  { $gt: 1 },
];

describe('fields of the body', () => {
  test.each(BAD_JSON_COUNTS)('count %j is refused by name', async count => {
    expectProblem(await server.call('/v1/selection', postJson({ count })), 400, { field: 'count' });
  });

  test.each([
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2n ** 63n,
    Buffer.alloc(32),
    Buffer.alloc(3),
    new Date(0),
    new Map([[1, 2]]),
  ])('count %s in MessagePack is refused by name', async count => {
    const body = packr.pack({ count });
    expectProblem(await server.call('/v1/selection', { headers: MESSAGEPACK_BODY, body }), 400, {
      field: 'count',
    });
  });

  const id = testNodes()[0]!.id;
  test.each<[string, unknown, string]>([
    ['newFraction', 1.1, 'newFraction'],
    ['newFraction', -0.1, 'newFraction'],
    ['newFraction', '0.5', 'newFraction'],
    ['placement', 5, 'placement'],
    ['placement', 'none-such', 'placement'],
    ['placement', '__proto__', 'placement'],
    ['distinct', 'none-such', 'distinct'],
    ['distinct', null, 'distinct'],
    ['partial', 1, 'partial'],
    ['partial', 'true', 'partial'],
    ['fillWithNew', 'yes', 'fillWithNew'],
    ['order', 'sorted', 'order'],
    ['exclude', id, 'exclude'],
    ['exclude', [id, 'xyz'], 'exclude[1]'],
    ['exclude', [id.slice(1)], 'exclude[0]'],
    ['exclude', [null], 'exclude[0]'],
    ['held', [[id]], 'held[0]'],
    ['held', { 0: id }, 'held'],
    ['seed', 1, 'seed'],
    ['toString', 1, 'toString'],
  ])('%s = %j is refused as %s', async (field, value, named) => {
    expectProblem(await server.call('/v1/selection', postJson({ [field]: value })), 400, { field: named });
    const batch = await server.call('/v1/selections', postJson({ requests: [{}, { [field]: value }] }));
    if (batch.status !== 200) expectProblem(batch, 400, { field: `requests[1].${named}` });
    else expect(batch.json<{ answers: unknown[] }>().answers[1]).toMatchObject({ status: 400, field: named });
  });

  test.each([
    ['{"count":1,"count":2}', 'count'],
    ['{"count":1,"\\u0063ount":2}', 'count'],
    ['{"__proto__":{"count":1}}', '__proto__'],
    ['{"constructor":{"prototype":{}}}', 'constructor'],
  ])('the JSON %s is refused', async (body, field) => {
    expectProblem(await server.call('/v1/selection', { headers: JSON_BODY, body }), 400, { field });
    expect(({} as { count?: unknown }).count).toBeUndefined();
  });

  test.each([
    '',
    ' ',
    '{',
    '{"count":1}}',
    'null',
    '5',
    '"x"',
    '[]',
    '{"count":01}',
    '{count:1}',
    '['.repeat(9_000),
  ])('the JSON %j is refused', async body => {
    expectProblem(await server.call('/v1/selection', { headers: JSON_BODY, body }), 400, {
      code: 'REQUEST_INVALID',
    });
  });

  test('JSON that is not UTF-8 is refused', async () => {
    const body = Buffer.concat([Buffer.from('{"placement":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    expectProblem(await server.call('/v1/selection', { headers: JSON_BODY, body }), 400);
  });

  test('a missing body and a missing list are refused', async () => {
    expectProblem(await server.call('/v1/selection', { method: 'POST' }), 400, { field: 'body' });
    expectProblem(await server.call('/v1/lookup', postJson({})), 400, { field: 'ids' });
    expectProblem(await server.call('/v1/selections', postJson({ requests: [] })), 400, {
      field: 'requests',
    });
    expectProblem(await server.call('/v1/selections', postJson({ requests: [5] })), 400, {
      field: 'requests[0]',
    });
    expectProblem(await server.call('/v1/lookup', postJson({ ids: ['x'] })), 400, { field: 'ids[0]' });
    expectProblem(await server.call('/v1/lookup', postJson({ ids: [], x: 1 })), 400, { field: 'x' });
    expectProblem(await server.call('/v1/status?x=1'), 400, { field: 'x' });
    expectProblem(await server.call('/v1/selection?count=1', postJson({})), 400, { field: 'count' });
  });

  test('lists beyond their limits are refused', async () => {
    const ids = Array.from({ length: 1_001 }, () => id);
    expectProblem(await server.call('/v1/lookup', postJson({ ids })), 400, { field: 'ids' });
    const requests = Array.from({ length: 1_001 }, () => ({ count: 1 }));
    expectProblem(await server.call('/v1/selections', postJson({ requests })), 400, { field: 'requests' });
    const many = Array.from({ length: 111 }, () => ({ count: 1_000 }));
    expectProblem(await server.call('/v1/selections', postJson({ requests: many })), 400, {
      field: 'requests',
    });
  });
});
