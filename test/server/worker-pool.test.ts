/**
 * Selections by the worker pool: what goes there, in how many tasks, and what happens when workers die or
 * queues are full.
 */
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import {
  MESSAGEPACK,
  postJson,
  type SelectionAnswer,
  startTestServer,
  type TestServer,
} from './support/server.ts';

/** Every worker thread that was started, in order: the loader, then the pool's. There is no watchdog. */
const workers: Worker[] = [];
const watch = (worker: Worker) => void workers.push(worker);
let server: TestServer;

beforeAll(async () => {
  process.on('worker', watch);
  server = await startTestServer({ serveFrom: 'pool', 'watchdog.stallMs': '0' });
});
afterAll(async () => {
  process.off('worker', watch);
  await server.close();
});

interface Status {
  readonly ways: { readonly inPlace: number; readonly pool: number; readonly poolFallbacks: number };
  readonly workerPool: { readonly threads: number; readonly tasks: number; readonly lost: number };
}

async function status(): Promise<Status> {
  return (await server.call('/v1/status')).json<Status>();
}

describe('with --serve-from pool', () => {
  test('the pool answers everything, in both formats, shortages and errors included', async () => {
    const before = await status();
    const json = (await server.call('/v1/selection?count=110')).json<SelectionAnswer>();
    expect(new Set(json.nodes.map(node => node.id)).size).toBe(110);
    expect((await server.call('/v1/selection?count=5', { headers: MESSAGEPACK })).status).toBe(200);
    expect((await server.call('/v1/selection?count=900&newFraction=0')).status).toBe(409);
    expect((await server.call('/v1/selection?placement=x')).json()).toMatchObject({
      code: 'PLACEMENT_UNKNOWN',
    });
    const after = await status();
    expect(after.ways.pool - before.ways.pool).toBe(3);
    expect(after.ways.inPlace).toBe(before.ways.inPlace);
  });

  test('requests of one turn go as one task', async () => {
    const before = await status();
    const count = 200;
    const answers = await Promise.all(
      Array.from({ length: count }, () => server.call('/v1/selection?count=10')),
    );
    expect(answers.every(answer => answer.status === 200)).toBe(true);
    const after = await status();
    expect(after.ways.pool - before.ways.pool).toBe(count);
    expect(after.workerPool.tasks - before.workerPool.tasks).toBeLessThan(count);
  });

  test('a killed worker costs no request: it is answered in place, and the pool heals', async () => {
    const before = await status();
    let stop = false;
    const statuses = new Map<number, number>();
    const client = async () => {
      while (!stop) {
        const { status: code, bytes } = await server.call('/v1/selection?count=110');
        statuses.set(code, (statuses.get(code) ?? 0) + 1);
        expect((JSON.parse(bytes.toString()) as SelectionAnswer).nodes).toHaveLength(110);
      }
    };
    const clients = Array.from({ length: 16 }, client);
    for (let kill = 0; kill < 3; kill++) {
      const known = workers.length;
      const victim = workers.at(-1)!;
      const { tasks } = (await status()).workerPool;
      await until('the pool works', async () => (await status()).workerPool.tasks > tasks + 5);
      await victim.terminate();
      await until('the worker is replaced', () => workers.length > known);
    }
    const healed = await status();
    await until('the pool answers again', async () => (await status()).ways.pool > healed.ways.pool + 20);
    stop = true;
    await Promise.all(clients);
    expect([...statuses.keys()]).toEqual([200]);
    const after = await status();
    expect(after.workerPool.threads).toBe(1);
    // A worker can die between two tasks: then nothing is lost at all.
    expect(after.workerPool.lost - before.workerPool.lost).toBeLessThanOrEqual(3 * 2);
    expect(after.ways.poolFallbacks).toBeGreaterThanOrEqual(before.ways.poolFallbacks);
  });
});

describe('with the default way', () => {
  test('heavy requests go to the pool, ordinary ones do not', async () => {
    const ordinary = await startTestServer({ inPlaceLimitMicros: '30' });
    try {
      const ways = async () => (await ordinary.call('/v1/status')).json<Status>().ways;
      await ordinary.call('/v1/selection?count=110');
      expect(await ways()).toMatchObject({ inPlace: 1, pool: 0 });
      await ordinary.call('/v1/selection?count=1000&partial=true');
      expect(await ways()).toMatchObject({ inPlace: 1, pool: 1 });
      await ordinary.call('/v1/selections', postJson({ requests: [{ count: 1 }, { count: 2 }] }));
      expect(await ways()).toMatchObject({ inPlace: 1, pool: 3 });
    } finally {
      await ordinary.close();
    }
  });

  test('a full queue refuses batches with Retry-After, while single requests are answered', async () => {
    const small = await startTestServer({ 'workerPool.queueMax': '1', serveFrom: 'pool' });
    try {
      const batch = postJson({
        requests: Array.from({ length: 100 }, () => ({ count: 300, partial: true })),
      });
      const batches = Array.from({ length: 24 }, () => small.call('/v1/selections', batch));
      const singles = Array.from({ length: 24 }, () => small.call('/v1/selection?count=3'));
      const refused = (await Promise.all(batches)).filter(answer => answer.status !== 200);
      expect(refused.length).toBeGreaterThan(0);
      for (const answer of refused) {
        expect(answer.status).toBe(503);
        expect(answer.headers['retry-after']).toBe('1');
        expect(answer.json()).toMatchObject({ code: 'OVERLOADED' });
      }
      expect((await Promise.all(singles)).map(answer => answer.status)).toEqual(singles.map(() => 200));
    } finally {
      await small.close();
    }
  });
});
