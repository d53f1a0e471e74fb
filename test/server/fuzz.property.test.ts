/** Generated input of every kind against the routes: 4xx or a good answer, never a 5xx. `SEED=` replays. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packr } from './support/messagepack.ts';
import { MESSAGEPACK_BODY, postJson, startTestServer, type TestServer } from './support/server.ts';

const SEED = Number(process.env.SEED ?? 20_261_121);

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

describe('fuzz', () => {
  const settings = { seed: SEED, numRuns: 300 };

  test('no query string makes a 5xx, and none with a strange count a 2xx', async () => {
    const pairs = fc.array(
      fc.tuple(fc.constantFrom('count', 'partial', 'newFraction', 'x', ''), fc.string({ unit: 'binary' })),
    );
    await fc.assert(
      fc.asyncProperty(pairs, async entries => {
        // A lone surrogate has no spelling in a URL.
        const query = entries
          .map(([key, value]) => `${key}=${encodeURIComponent(value.toWellFormed())}`)
          .join('&');
        const { status } = await server.call(`/v1/selection?${query}`.slice(0, 1_000));
        const count = entries.find(([key]) => key === 'count')?.[1];
        const plain = count === undefined || /^[1-9]\d{0,3}$/.test(count);
        expect(status === 200 || status === 409 ? plain : status === 400).toBe(true);
      }),
      settings,
    );
  });

  test('no JSON document makes a 5xx', async () => {
    const field = fc.constantFrom(
      'count',
      'exclude',
      'held',
      'placement',
      'order',
      'ids',
      'requests',
      '__proto__',
    );
    const document = fc.oneof(fc.jsonValue(), fc.dictionary(field, fc.jsonValue()));
    const path = fc.constantFrom('/v1/selection', '/v1/selections', '/v1/lookup');
    await fc.assert(
      fc.asyncProperty(document, path, async (value, route) => {
        const { status } = await server.call(route, postJson(value));
        expect([200, 400, 409]).toContain(status);
      }),
      settings,
    );
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test('no bytes make a 5xx, whatever they are said to be', async () => {
    const type = fc.constantFrom('application/json', 'application/msgpack');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), type, async (body, contentType) => {
        const headers = { 'content-type': contentType };
        const { status } = await server.call('/v1/selection', { headers, body });
        expect([200, 400]).toContain(status);
      }),
      settings,
    );
  });

  test('no broken MessagePack makes a 5xx', async () => {
    const good = packr.pack({
      count: 3,
      exclude: [Buffer.alloc(32, 1)],
      placement: 'default',
      partial: true,
    });
    const place = fc.nat(good.length - 1);
    await fc.assert(
      fc.asyncProperty(place, fc.nat(255), fc.nat(good.length), async (at, value, length) => {
        const body = Buffer.from(good.subarray(0, length));
        if (at < length) body[at] = value;
        const { status } = await server.call('/v1/selection', { headers: MESSAGEPACK_BODY, body });
        expect([200, 400]).toContain(status);
      }),
      settings,
    );
  });
});
