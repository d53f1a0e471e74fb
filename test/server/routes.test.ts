/** Every route with good input: contents, formats, headers. */
import { unpack } from 'msgpackr';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packr } from './support/messagepack.ts';
import { NODE_COUNT, testNodes } from './support/nodes.ts';
import {
  MESSAGEPACK,
  MESSAGEPACK_BODY,
  postJson,
  type SelectionAnswer,
  startTestServer,
  type TestServer,
} from './support/server.ts';

let server: TestServer;
const nodes = new Map(testNodes().map(node => [node.id, node]));

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

function expectSelection(answer: SelectionAnswer, count: number): void {
  expect(answer.generation).toBe(1);
  expect(answer.ageMs).toBeGreaterThanOrEqual(0);
  expect(new Set(answer.nodes.map(node => node.id)).size).toBe(count);
  for (const { id, ip, port, pool } of answer.nodes) {
    const node = nodes.get(id);
    expect({ ip, port, pool }).toEqual({
      ip: node?.ip,
      port: node?.port,
      pool: node?.vetted ? 'vetted' : 'new',
    });
  }
}

describe('selection', () => {
  test('answers 110 nodes when the count is left out', async () => {
    const answer = await server.call('/v1/selection');
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers['content-length']).toBe(String(answer.bytes.length));
    expectSelection(answer.json(), 110);
  });

  test('takes every scalar field from the URL', async () => {
    const fields = 'count=7&newFraction=0.5&placement=default&distinct=none&partial=false&fillWithNew=true';
    const answer = (await server.call(`/v1/selection?${fields}&order=vetted-first`)).json<SelectionAnswer>();
    expectSelection(answer, 7);
    const pools = answer.nodes.map(node => node.pool);
    expect(pools.toSorted((a, b) => (a === b ? 0 : a === 'vetted' ? -1 : 1))).toEqual(pools);
  });

  test('never returns excluded or held ids, nor a held network', async () => {
    const [first, second] = testNodes();
    const body = { count: 300, exclude: [first!.id], held: [second!.id], newFraction: 0.2 };
    const answer = (await server.call('/v1/selection', postJson(body))).json<SelectionAnswer>();
    expectSelection(answer, 300);
    const ids = answer.nodes.map(node => node.id);
    expect(ids).not.toContain(first!.id);
    expect(ids).not.toContain(second!.id);
    expect(answer.nodes.some(node => node.ip.startsWith('5.0.1.'))).toBe(false);
  });

  test('fits 90 excluded and 80 held ids into the default body limit', async () => {
    const ids = testNodes().map(node => node.id);
    const body = { count: 110, exclude: ids.slice(0, 90), held: ids.slice(90, 170) };
    expect((await server.call('/v1/selection', postJson(body))).status).toBe(200);
  });

  test('answers HEAD without a body and OPTIONS with the methods', async () => {
    const head = await server.call('/v1/selection?count=3', { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.bytes).toHaveLength(0);
    expect(Number(head.headers['content-length'])).toBeGreaterThan(100);
    const options = await server.call('/v1/selection', { method: 'OPTIONS' });
    expect(options.status).toBe(204);
    expect(options.headers.allow).toBe('GET, HEAD, POST, OPTIONS');
  });
});

interface ShortageAnswer extends SelectionAnswer {
  readonly status: number;
  readonly code: string;
  readonly shortage: { readonly requested: number; readonly found: number; readonly reason: string };
}

describe('shortage', () => {
  const short = { count: 900, newFraction: 0 };

  test.each([
    ['JSON', {}],
    ['MessagePack', MESSAGEPACK],
  ])('is a 409 with the nodes found and why, for a client that reads %s', async (_, headers) => {
    const call = postJson(short);
    const answer = await server.call('/v1/selection', { ...call, headers: { ...call.headers, ...headers } });
    expect(answer.status).toBe(409);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    const problem = answer.json<ShortageAnswer>();
    expect(problem).toMatchObject({ code: 'SHORTAGE', status: 409, shortage: { requested: 900 } });
    expect(problem.shortage.reason).not.toBe('');
    expectSelection(problem, problem.shortage.found);
  });

  test('is a 200 when a short answer is fine', async () => {
    const answer = await server.call('/v1/selection?count=900&newFraction=0&partial=true');
    expect(answer.status).toBe(200);
    const { nodes: found } = answer.json<SelectionAnswer>();
    expect(found.length).toBeGreaterThan(200);
    expect(found.length).toBeLessThan(NODE_COUNT);
  });
});

/** Ids are binary in MessagePack; as text, both formats say the same. */
function withTextIds(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, entry) => (isBinary(entry) ? Buffer.from(entry.data).toString('hex') : entry)),
  );
}

function isBinary(value: unknown): value is { data: number[] } {
  return typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'Buffer';
}

describe('messagepack', () => {
  test('selections hold what JSON holds, with binary ids', async () => {
    const answer = await server.call('/v1/selection?count=400&newFraction=0.2&partial=true', {
      headers: MESSAGEPACK,
    });
    expect(answer.headers['content-type']).toBe('application/msgpack');
    const raw = unpack(answer.bytes) as { nodes: { id: Uint8Array }[] };
    expect(raw.nodes[0]?.id).toHaveLength(32);
    const selection = withTextIds(raw) as SelectionAnswer;
    expectSelection(selection, selection.nodes.length);
  });

  test('bodies are taken with ids as text or as 32 bytes', async () => {
    const ids = testNodes().map(node => node.id);
    const body = packr.pack({
      count: 300,
      newFraction: 0.2,
      exclude: [ids[0], Buffer.from(ids[1]!, 'hex')],
      held: [Buffer.from(ids[2]!, 'hex')],
    });
    const answer = await server.call('/v1/selection', { headers: MESSAGEPACK_BODY, body });
    const found = answer.json<SelectionAnswer>().nodes.map(node => node.id);
    expect(found).toHaveLength(300);
    for (const id of ids.slice(0, 3)) expect(found).not.toContain(id);
  });

  test('lookup and status hold what JSON holds', async () => {
    const lookup = postJson({ ids: [testNodes()[0]!.id, 'ff'.repeat(32)] });
    const json = (await server.call('/v1/lookup', lookup)).json<Record<string, unknown>>();
    const packed = await server.call('/v1/lookup', {
      ...lookup,
      headers: { ...lookup.headers, ...MESSAGEPACK },
    });
    expect(withTextIds({ ...(unpack(packed.bytes) as object), ageMs: 0 })).toEqual({ ...json, ageMs: 0 });
    const status = await server.call('/v1/status', { headers: MESSAGEPACK });
    expect(unpack(status.bytes)).toMatchObject({
      ready: true,
      generation: 1,
      loader: { refreshes: { succeeded: 1 } },
    });
  });

  test('batches hold selections and problems as maps', async () => {
    const call = postJson({
      requests: [{ count: 2 }, { count: 900, newFraction: 0 }, { placement: 'none-such' }],
    });
    const answer = await server.call('/v1/selections', {
      ...call,
      headers: { ...call.headers, ...MESSAGEPACK },
    });
    const { answers } = withTextIds(unpack(answer.bytes)) as { answers: ShortageAnswer[] };
    expectSelection(answers[0]!, 2);
    expect(answers[1]).toMatchObject({ code: 'SHORTAGE', shortage: { requested: 900 } });
    expectSelection(answers[1]!, answers[1]!.shortage.found);
    expect(answers[2]).toMatchObject({ code: 'PLACEMENT_UNKNOWN', status: 400, field: 'placement' });
  });
});

describe('batch', () => {
  test('answers in order, each a selection or a problem, the whole 200', async () => {
    const requests = [
      { count: 2 },
      { count: 900, newFraction: 0 },
      { count: 5 },
      { placement: 'x' },
      { count: 1 },
    ];
    const answer = await server.call('/v1/selections', postJson({ requests }));
    expect(answer.status).toBe(200);
    const { answers } = answer.json<{ answers: ShortageAnswer[] }>();
    expect(answers).toHaveLength(5);
    expectSelection(answers[0]!, 2);
    expect(answers[1]).toMatchObject({ code: 'SHORTAGE' });
    expectSelection(answers[2]!, 5);
    expect(answers[3]).toMatchObject({ code: 'PLACEMENT_UNKNOWN', field: 'placement' });
    expectSelection(answers[4]!, 1);
  });
});

describe('lookup', () => {
  test('keeps the order and names the unknown ids', async () => {
    const [first, second] = testNodes();
    const ids = [second!.id.toUpperCase(), 'ee'.repeat(32), first!.id, second!.id];
    const answer = (await server.call('/v1/lookup', postJson({ ids }))).json<{
      nodes: (SelectionAnswer['nodes'][number] | null)[];
      unknown: string[];
    }>();
    expect(answer.nodes.map(node => node?.id)).toEqual([second!.id, undefined, first!.id, second!.id]);
    expect(answer.nodes[1]).toBeNull();
    expect(answer.unknown).toEqual(['ee'.repeat(32)]);
  });

  test('of no ids is empty', async () => {
    const answer = (await server.call('/v1/lookup', postJson({ ids: [] }))).json<{ nodes: unknown[] }>();
    expect(answer.nodes).toEqual([]);
  });
});

describe('status, probes, metrics', () => {
  test('status says what is served, and by which way', async () => {
    const before = (await server.call('/v1/status')).json<{ ways: { inPlace: number } }>();
    await server.call('/v1/selection?count=1');
    const status = (await server.call('/v1/status')).json<Record<string, unknown>>();
    expect(status).toMatchObject({
      ready: true,
      draining: false,
      generation: 1,
      nodes: { total: NODE_COUNT, vetted: 400, new: 100 },
      loader: { state: 'waiting', refreshes: { succeeded: 1, failed: 0 }, restarts: 0 },
      ways: { inPlace: before.ways.inPlace + 1 },
      workerPool: { threads: 1 },
      kernel: 'wasm',
      node: process.version,
    });
  });

  test('probes say yes', async () => {
    expect((await server.call('/livez')).json()).toEqual({ status: 'live' });
    expect((await server.call('/readyz')).json()).toEqual({ status: 'ready', generation: 1 });
  });

  test('metrics are Prometheus text with the figures of the cache and the requests', async () => {
    await server.call('/v1/selection?count=2');
    await server.call('/v1/selection?count=0');
    const answer = await server.call('/metrics');
    const text = answer.bytes.toString();
    expect(answer.headers['content-type']).toMatch(/^text\/plain/);
    for (const line of [
      /^sortition_generation 1$/m,
      /^sortition_nodes\{pool="vetted"\} 400$/m,
      /^sortition_networks\{pool="all"\} \d+$/m,
      /^sortition_refreshes_total\{outcome="succeeded"\} 1$/m,
      /^sortition_load_duration_seconds\{stage="build"\} [\d.e-]+$/m,
      /^sortition_selections_total\{way="inPlace",format="json",outcome="full"\} [1-9]\d*$/m,
      /^sortition_picks_total [1-9]\d*$/m,
      /^sortition_worker_pool_queued 0$/m,
      /^sortition_http_requests_total\{route="\/v1\/selection",status="2xx"\} [1-9]\d*$/m,
      /^sortition_http_requests_total\{route="\/v1\/selection",status="4xx"\} [1-9]\d*$/m,
      /^process_resident_memory_bytes \d+$/m,
      /^sortition_ready 1$/m,
    ]) {
      expect(text).toMatch(line);
    }
  });
});
