/** The OpenAPI document is complete, and its page loads without the network. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

interface Operation {
  readonly summary?: string;
  readonly requestBody?: { readonly content: Readonly<Record<string, unknown>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

test('names every route with its answers, refusals and media types', async () => {
  const document = (await server.call('/openapi.json')).json<Document>();
  expect(document.openapi).toBe('3.1.0');
  expect(Object.keys(document.paths).sort()).toEqual([
    '/livez',
    '/metrics',
    '/readyz',
    '/v1/fleet',
    '/v1/lookup',
    '/v1/selection',
    '/v1/selections',
    '/v1/status',
  ]);
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      if (method === 'head') continue;
      expect(operation.summary, `${method} ${path}`).toBeTruthy();
      expect(operation.responses['200'], `${method} ${path}`).toBeDefined();
      if (!path.startsWith('/v1/')) continue;
      expect(Object.keys(operation.responses['200']!.content!)).toEqual([
        'application/json',
        'application/msgpack',
      ]);
      expect(Object.keys(operation.responses['400']!.content!)).toEqual(['application/problem+json']);
      if (method === 'post') {
        expect(Object.keys(operation.requestBody!.content)).toEqual([
          'application/json',
          'application/msgpack',
        ]);
        expect(operation.responses).toHaveProperty('413');
        expect(operation.responses).toHaveProperty('415');
      }
    }
  }
  expect(document.paths['/v1/selection']!.get!.responses).toHaveProperty('409');
});

test('says in its schema what the server enforces', async () => {
  const text = (await server.call('/openapi.json')).bytes.toString();
  expect(text).toContain('"maximum":1000');
  expect(text).toContain('"additionalProperties":false');
  expect(text).toContain('^[0-9a-fA-F]{64}$');
});

test('the page loads everything from this server', async () => {
  const page = await server.call('/docs/');
  expect(page.status).toBe(200);
  const html = page.bytes.toString();
  const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address!);
  expect(assets.length).toBeGreaterThan(3);
  for (const asset of assets) {
    expect(asset).not.toMatch(/^(https?:)?\/\//);
    const answer = await server.call(new URL(asset, `${server.url}/docs/`).pathname);
    expect(answer.status, asset).toBe(200);
    expect(answer.bytes.length).toBeGreaterThan(0);
  }
  expect(page.headers['content-security-policy']).not.toMatch(/upgrade-insecure-requests|https:/);
});
