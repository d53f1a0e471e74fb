/**
 * The fuzzer in its short form, and whether it finds what is wrong. `npm run fuzz` is the long one, and so is
 * `PROOF=long`.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { figure, LONG, seededBugFound } from '../support/figures.ts';
import { SEED } from '../support/property.ts';
import { answerProblem } from './fuzz/answer-check.ts';
import type { WireAnswer } from './fuzz/pipeline.ts';
import { FuzzRandom } from './fuzz/random.ts';
import { type FuzzRequest, type FuzzSubject, fuzzRequest, type OpenApi } from './fuzz/requests.ts';
import { runFuzzer } from './fuzz/run.ts';
import { changed, fitting, misfit, type Schema } from './fuzz/schema.ts';
import { startTestServer } from './support/server.ts';

const REQUESTS = LONG ? 1_000_000 : 50_000;
const TIMEOUT_MS = LONG ? 3_600_000 : 180_000;

test(
  `${REQUESTS.toLocaleString('en')} requests, right and wrong, are answered as documented`,
  async () => {
    const { answers, elapsedMs, operations } = await runFuzzer({ seed: SEED, requests: REQUESTS });
    expect([...operations].toSorted()).toEqual([
      'GET /livez',
      'GET /metrics',
      'GET /readyz',
      'GET /v1/selection',
      'GET /v1/status',
      'POST /v1/lookup',
      'POST /v1/selection',
      'POST /v1/selections',
    ]);
    // Every kind of wrong request was among them.
    const kinds = new Set([...answers.keys()].map(key => key.split(':', 1)[0]));
    expect(kinds.size).toBe(13);
    figure('G9', 'requests made from the OpenAPI document', REQUESTS);
    figure('G9', `of them a second, seed ${SEED}`, Math.round(REQUESTS / (elapsedMs / 1_000)));
  },
  TIMEOUT_MS,
);

describe('an answer is found to be wrong', () => {
  let request: FuzzRequest;
  beforeAll(async () => {
    const server = await startTestServer();
    const document = (await server.call('/openapi.json')).json<OpenApi>();
    await server.close();
    const subject: FuzzSubject = {
      document,
      ids: ['a'.repeat(64)],
      credentials: { full: 'full', lowFor: () => 'low' },
    };
    const wanted = ({ what, path, method }: FuzzRequest) =>
      what === 'all of it fits' && path === '/v1/selection' && method === 'GET';
    for (let index = 0; ; index++) {
      request = { ...fuzzRequest(subject, 1, index), count: 2 };
      if (wanted(request)) return;
    }
  });

  const node = (id: string) => ({ id, ip: '5.0.0.1', port: 1_025, pool: 'vetted' });
  const good = { generation: 1, ageMs: 5, nodes: [node('a'), node('b')] };
  const json = { 'content-type': 'application/json', 'cache-control': 'no-store' };

  function answer(body: unknown, status = 200, headers: Record<string, string> = json): WireAnswer {
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    return { status, headers: new Map(Object.entries(headers)), body: bytes };
  }

  test('but not one that is right', () => {
    expect(answerProblem(request, answer(good))).toBeUndefined();
  });

  test.each<[string, WireAnswer]>([
    ['a server error', answer({}, 500)],
    ['a status that does not fit', answer({}, 404)],
    ['a member that is missing', answer({ ...good, ageMs: undefined })],
    ['a member of another type', answer({ ...good, generation: '1' })],
    ['a value beyond its range', answer({ ...good, nodes: [{ ...node('a'), port: 0 }] })],
    ['a value that is none of the list', answer({ ...good, nodes: [{ ...node('a'), pool: 'old' }] })],
    ['a node twice', answer({ ...good, nodes: [node('a'), node('a')] })],
    ['a node too many', answer({ ...good, nodes: [node('a'), node('b'), node('c')] })],
    ['another media type', answer(good, 200, { ...json, 'content-type': 'text/html' })],
    ['an answer for caches', answer(good, 200, { 'content-type': 'application/json' })],
    ['the name of the program', answer(good, 200, { ...json, 'x-powered-by': 'x' })],
  ])('%s', (_, wrong) => {
    expect(answerProblem(request, wrong)).toBeDefined();
    seededBugFound('G9');
  });
});

describe('values', () => {
  const schema: Schema = {
    type: 'object',
    required: ['ids'],
    additionalProperties: false,
    properties: {
      ids: { type: 'array', maxItems: 3, items: { type: 'string', pattern: '^[0-9a-fA-F]{64}$' } },
      count: { type: 'integer', minimum: 1, maximum: 9 },
      order: { type: 'string', enum: ['a', 'b'] },
      partial: { type: 'boolean' },
      share: { type: 'number', minimum: 0, maximum: 1 },
    },
  };

  test('that are made to fit do, and most of those that are changed do not', () => {
    let misfits = 0;
    for (let index = 0; index < 2_000; index++) {
      const random = new FuzzRandom(SEED, index);
      const value = fitting(schema, random, ['f'.repeat(64)]);
      expect(misfit(schema, value)).toBeUndefined();
      if (misfit(schema, changed(value, random)) !== undefined) misfits++;
    }
    expect(misfits).toBeGreaterThan(1_400);
  });

  test('are the same for the same seed and number', () => {
    const make = (seed: number, index: number) =>
      JSON.stringify(fitting(schema, new FuzzRandom(seed, index), ['f'.repeat(64)]));
    expect(make(5, 7)).toBe(make(5, 7));
    expect(new Set(Array.from({ length: 50 }, (_, index) => make(5, index))).size).toBeGreaterThan(30);
  });

  test('of a keyword that the check does not know are an error of the check', () => {
    expect(() => misfit({ format: 'ipv4' } as Schema, 'x')).toThrow('"format"');
  });
});
