/** Wrong methods, paths, formats, types, sizes: 4xx with a problem document, and its headers. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem } from './support/expect-problem.ts';
import { type CallOptions, JSON_BODY, postJson, startTestServer, type TestServer } from './support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

describe('methods, formats, paths', () => {
  test.each<[string, string, string]>([
    ['DELETE', '/v1/selection', 'GET, HEAD, POST, OPTIONS'],
    ['PUT', '/v1/selection', 'GET, HEAD, POST, OPTIONS'],
    ['PROPFIND', '/v1/lookup', 'POST, OPTIONS'],
    ['GET', '/v1/lookup', 'POST, OPTIONS'],
    ['GET', '/v1/selections', 'POST, OPTIONS'],
    ['POST', '/v1/status', 'GET, HEAD, OPTIONS'],
    ['POST', '/livez', 'GET, HEAD, OPTIONS'],
    ['TRACE', '/readyz', 'GET, HEAD, OPTIONS'],
  ])('%s %s is 405 with the methods allowed', async (method, path, allow) => {
    const answer = await server.call(path, { method });
    expectProblem(answer, 405, { code: 'METHOD_NOT_ALLOWED' });
    expect(answer.headers.allow).toBe(allow);
  });

  test.each([
    '//',
    '/v1',
    '/v1/selection/',
    '/v1/admin/refresh',
    '/V1/selection',
    '/v1/selection/1',
    '/.env',
    '/%2e%2e/',
  ])('%s is 404', async path => {
    expectProblem(await server.call(path), 404, { code: 'NOT_FOUND' });
  });

  test.each(['/%', '/%ff', '/v1/%E0%A4%A'])('the broken path %s is 4xx', async path => {
    const { status } = await server.call(path);
    expect([400, 404]).toContain(status);
  });

  test.each([
    'text/html',
    'application/json;q=0',
    'image/*',
    'application/json;q=2',
    '*/*;q=0',
    'text/plain, application/xml',
  ])('Accept: %s is 406', async accept => {
    for (const call of [{}, postJson({})]) {
      const headers = { ...call.headers, accept };
      expectProblem(await server.call('/v1/selection', { ...call, headers }), 406, {
        code: 'NOT_ACCEPTABLE',
      });
    }
  });

  test.each<[string, string]>([
    ['application/json', 'application/json'],
    ['*/*', 'application/json'],
    ['application/*;q=0.5', 'application/json'],
    ['text/html, application/xhtml+xml, */*;q=0.8', 'application/json'],
    ['application/msgpack', 'application/msgpack'],
    ['application/x-msgpack, text/html', 'application/msgpack'],
    ['application/json;q=0.5, application/vnd.msgpack;q=0.9', 'application/msgpack'],
    ['application/json, application/msgpack', 'application/json'],
    ['application/json;q=0, */*', 'application/msgpack'],
    ['APPLICATION/MSGPACK; Q=1.000', 'application/msgpack'],
  ])('Accept: %s is answered with %s', async (accept, type) => {
    expect(
      (await server.call('/v1/selection?count=1', { headers: { accept } })).headers['content-type'],
    ).toBe(type);
  });

  test.each([
    'text/plain',
    'application/xml',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'json',
  ])('Content-Type: %s is 415', async type => {
    const call: CallOptions = { headers: { 'content-type': type }, body: '{"count":1}' };
    expectProblem(await server.call('/v1/selection', call), 415, {
      code: 'MEDIA_TYPE_UNSUPPORTED',
      field: 'content-type',
      detail: expect.stringContaining('application/json'),
    });
  });

  test('a body without a type, and one that is compressed, are 415', async () => {
    expectProblem(await server.call('/v1/selection', { body: '{}' }), 415);
    const headers = { ...JSON_BODY, 'content-encoding': 'gzip' };
    expectProblem(await server.call('/v1/selection', { headers, body: '{}' }), 415, {
      field: 'content-encoding',
    });
  });

  test.each<[string, number]>([
    ['/v1/selection', 16_384],
    ['/v1/lookup', 131_072],
    ['/v1/selections', 1_048_576],
  ])('a body of %s beyond %i bytes is 413', async (path, limit) => {
    const answer = await server.call(path, {
      headers: JSON_BODY,
      body: `{"placement":"${'x'.repeat(limit)}"}`,
    });
    expectProblem(answer, 413, { detail: `the limit is ${limit} bytes`, field: 'body' });
  });

  test('a GET with a body is 413, and its connection is closed', async () => {
    const answer = await server.call('/v1/selection', { method: 'GET', body: '{}' });
    expectProblem(answer, 413, { field: 'body' });
    expect(answer.headers.connection).toBe('close');
  });

  test('a URL beyond the limit is 414', async () => {
    const answer = await server.call(`/v1/selection?placement=${'x'.repeat(1_024)}`);
    expectProblem(answer, 414, { code: 'URL_TOO_LONG' });
  });
});
