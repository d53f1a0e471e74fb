/**
 * Several threads on one port: connections spread, figures add up, a thread that dies is replaced, all drain.
 */
import { once } from 'node:events';
import { Agent } from 'node:http';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownedSlots, sharedRingWords } from '../../src/engine/prepared/ring.ts';
import { sharedControlWords, takenSeats } from '../../src/engine/publication.ts';
import type { RunningServer } from '../../src/server/serve.ts';
import { until } from '../support/until.ts';
import { rawConnection } from './support/raw.ts';
import { call, postJson, type SelectionAnswer, startTestServer, type TestServer } from './support/server.ts';

const THREADS = 3;
const PATH = '/v1/selection?count=110';

interface Status {
  readonly ready: boolean;
  readonly ways: { readonly prepared: number; readonly inPlace: number; readonly pool: number };
  readonly prepared: { readonly ringsUsed: number; readonly rings: number } | null;
  readonly httpThreads: readonly { readonly answers: number; readonly connections: number }[];
  readonly httpThreadRestarts: number;
}

const workers: Worker[] = [];
const watch = (worker: Worker) => void workers.push(worker);
const agents: Agent[] = [];
let server: TestServer;

beforeEach(() => {
  process.on('worker', watch);
});
afterEach(async () => {
  process.off('worker', watch);
  for (const agent of agents.splice(0)) agent.destroy();
  await server.close();
  workers.splice(0);
});

async function start(flags: Parameters<typeof startTestServer>[0] = {}): Promise<void> {
  server = await startTestServer({ httpThreads: String(THREADS), ...flags });
}

/** A client with one connection, which one of the threads serves. */
function client(): (path: string, options?: Parameters<typeof call>[2]) => ReturnType<typeof call> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agents.push(agent);
  return (path, options) => call(server.url, path, { agent, ...options });
}

const statusOf = async () => (await client()('/v1/status')).json<Status>();
const httpWorkers = () => workers.filter(worker => worker.threadId !== -1 && isHttpWorker(worker));
/** After the loader and the one worker of the pool, in the order of their start. */
const isHttpWorker = (worker: Worker) => workers.indexOf(worker) >= 2;

test('connections spread over the threads, and every one says the same of the whole', async () => {
  await start({ serveFrom: 'in-place' });
  const clients = Array.from({ length: 60 }, client);
  for (const ask of clients) expect((await ask(PATH)).json<SelectionAnswer>().nodes).toHaveLength(110);
  for (const ask of clients.slice(0, 12)) {
    const status = (await ask('/v1/status')).json<Status>();
    expect(status.ways).toMatchObject({ prepared: 0, inPlace: 60, pool: 0 });
    expect(status.httpThreads.map(({ answers }) => answers).reduce((a, b) => a + b)).toBe(60);
    // The kernel chooses by a hash: none of three is left out of 60, but for a chance of 10 to the -10.
    for (const { answers, connections } of status.httpThreads) {
      expect(answers).toBeGreaterThan(0);
      expect(connections).toBeGreaterThan(0);
    }
    const metrics = (await ask('/metrics')).bytes.toString();
    expect(metrics).toMatch(/^sortition_selections_total\{way="inPlace",format="json",outcome="full"\} 60$/m);
    expect(metrics).toMatch(/^sortition_picks_total 6600$/m);
    expect(metrics).toMatch(new RegExp(`^sortition_http_threads ${THREADS}$`, 'm'));
    expect((await ask('/readyz')).status).toBe(200);
  }
});

test('every thread answers every route: batches, heavy requests, lookups, refusals', async () => {
  await start({ inPlaceLimitMicros: '60' });
  for (const ask of Array.from({ length: 12 }, client)) {
    const batch = await ask(
      '/v1/selections',
      postJson({ requests: [{ count: 2 }, { count: 3 }, { placement: 'x' }] }),
    );
    expect(batch.json<{ answers: unknown[] }>().answers).toMatchObject([
      { nodes: expect.any(Array) },
      { nodes: expect.any(Array) },
      { code: 'PLACEMENT_UNKNOWN' },
    ]);
    expect((await ask('/v1/selection?count=900&partial=true')).status).toBe(200);
    expect((await ask('/v1/selection?placement=x')).status).toBe(400);
    expect((await ask('/v1/lookup', postJson({ ids: ['ff'.repeat(32)] }))).json()).toMatchObject({
      nodes: [null],
    });
  }
  expect((await statusOf()).ways).toMatchObject({ pool: 12 * 3 });
});

test('a new generation is served by all at once', async () => {
  await start();
  const clients = Array.from({ length: 20 }, client);
  for (let round = 0; round < 3; round++) {
    expect(await server.cache.refresh()).toMatchObject({ ok: true });
    const generation = server.cache.generation();
    for (const ask of clients)
      expect((await ask('/v1/selection?count=1')).json<SelectionAnswer>().generation).toBe(generation);
  }
});

test('each thread has rings of its own for what it is asked for most', async () => {
  await start({ serveFrom: 'prepared' });
  // Enough on each thread for a shape that is hot there: the kernel spreads them by chance.
  const clients: ReturnType<typeof client>[] = [];
  await until('each thread has several connections', async () => {
    clients.push(...Array.from({ length: 6 }, client));
    await Promise.all(clients.map(ask => ask('/livez')));
    return (await statusOf()).httpThreads.every(({ connections }) => connections >= 6);
  });
  const seen = new Set<string>();
  let asked = 0;
  await until('all threads have a ring', async () => {
    for (let i = 0; i < 20; i++) {
      const answers = await Promise.all(clients.map(ask => ask(PATH)));
      for (const answer of answers) seen.add(ids(answer.json()));
      asked += answers.length;
    }
    return (await statusOf()).prepared?.ringsUsed === THREADS;
  });
  for (let i = 0; i < 100; i++) {
    const answers = await Promise.all(clients.map(ask => ask(PATH)));
    for (const answer of answers) seen.add(ids(answer.json()));
    asked += answers.length;
  }
  // Each prepared answer is used once, whichever thread used it.
  expect(seen.size).toBe(asked);
  expect((await statusOf()).ways.prepared).toBeGreaterThan(1_000);
});

const ids = ({ nodes }: SelectionAnswer) => nodes.map(({ id }) => id).join();

test('a thread that dies is replaced; what it counted, its seat and its slots are not lost', async () => {
  await start({ serveFrom: 'prepared' });
  const ask = async () => {
    const answers = await Promise.all(
      Array.from({ length: 24 }, () => client()(PATH).catch(() => undefined)),
    );
    for (const agent of agents.splice(0)) agent.destroy();
    return answers.filter(answer => answer?.status === 200).length;
  };
  const { words, seats } = sharedControlWords(server.cache.handle().control);
  expect(takenSeats(words, seats)).toBe(1 + 1 + (THREADS - 1));
  for (let i = 0; i < 10; i++) await ask();
  const before = await statusOf();
  const started = workers.length;
  const victim = httpWorkers()[0]!;
  const ended = once(victim, 'exit');
  await victim.terminate();
  await ended;
  await until('it is replaced', () => workers.length > started);
  await until('all threads serve again', async () => {
    const healthy = (await ask()) === 24;
    const { httpThreads, httpThreadRestarts } = await statusOf();
    return healthy && httpThreads.length === THREADS && httpThreadRestarts === 1;
  });
  const after = await statusOf();
  const answers = ({ ways }: Status) => ways.prepared + ways.inPlace + ways.pool;
  expect(answers(after)).toBeGreaterThanOrEqual(answers(before));
  await until('no seat is lost', () => takenSeats(words, seats) === 1 + 1 + (THREADS - 1));
  const rings = sharedRingWords(server.context.prepared!.memory);
  await until('no slot is lost', () => ownedSlots(rings.words, rings.shape) === 0);
});

test('all threads say that they are not ready, answer what is under way, and end', async () => {
  await start({ 'shutdown.drainDelayMs': '2000' });
  const clients = Array.from({ length: 24 }, client);
  for (const ask of clients) await ask(PATH);
  const idle = Array.from({ length: 12 }, () => rawConnection(server.url));
  const stopping = (server as RunningServer).stop();
  await until('all say so', async () => {
    const answers = await Promise.all(clients.map(ask => ask('/readyz')));
    return answers.every(({ status }) => status === 503);
  });
  const last = await Promise.all(clients.map(ask => ask(PATH)));
  expect(last.map(({ status }) => status)).toEqual(clients.map(() => 200));
  await stopping;
  await Promise.all(idle.map(({ ended }) => ended));
  expect(httpWorkers()).toEqual([]);
  await expect(call(server.url, '/livez')).rejects.toThrow();
});

test('a port that is in use is refused, though threads of one process can share it', async () => {
  await start();
  const { port } = new URL(server.url);
  await expect(startTestServer({ httpThreads: '2', port })).rejects.toThrow(
    /the port is in use; choose another/,
  );
});
