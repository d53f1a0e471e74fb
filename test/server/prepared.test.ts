/**
 * Answers prepared by the pool: which requests get them, what they are, and what happens when there are none.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Worker } from 'node:worker_threads';
import { unpack } from 'msgpackr';
import { afterEach, describe, expect, test } from 'vitest';
import { countRevocation, sharedRingWords } from '../../src/engine/prepared/ring.ts';
import { until } from '../support/until.ts';
import { nodesCsv, testNodes } from './support/nodes.ts';
import {
  MESSAGEPACK,
  postJson,
  type SelectionAnswer,
  startTestServer,
  type TestServer,
} from './support/server.ts';

interface Status {
  readonly ways: { readonly prepared: number; readonly inPlace: number; readonly pool: number };
  readonly prepared: {
    readonly drops: { readonly generation: number; readonly revoked: number; readonly tenancy: number };
    readonly ringsUsed: number;
    readonly ready: number;
    readonly slots: number;
    readonly filled: number;
    readonly failedTasks: number;
  } | null;
}

let server: TestServer;
afterEach(() => server.close());

const PATH = '/v1/selection?count=110';
/** Slow readers are not cut off. */
const PATIENT = { 'http.connectionTimeoutMs': '60000', 'http.sendTimeoutMs': '60000' };
const statusOf = async () => (await server.call('/v1/status')).json<Status>();
const prepared = async () => (await statusOf()).prepared!;

/** Asks for `path` until its answers are prepared. */
async function heat(path: string, headers: Record<string, string> = {}): Promise<void> {
  const before = (await statusOf()).ways.prepared;
  await until(`answers to ${path} are prepared`, async () => {
    for (let i = 0; i < 60; i++) await server.call(path, { headers });
    return (await statusOf()).ways.prepared > before + 20;
  });
}

/** Asks meanwhile, less than is prepared: a ring whose request is not asked for is given back. */
async function untilFull(): Promise<void> {
  await until('the ring is full', async () => {
    if ((await prepared()).ready === 128) return true;
    for (let i = 0; i < 3; i++) await server.call(PATH);
    return false;
  });
}

const known = new Set(testNodes().map(({ id, ip, port }) => `${id} ${ip} ${port}`));

function expectSelection(answer: SelectionAnswer, count: number): void {
  expect(new Set(answer.nodes.map(({ id }) => id)).size).toBe(count);
  // One `expect` for each answer: for each node it would take longer than everything else.
  expect(answer.nodes.filter(({ id, ip, port }) => !known.has(`${id} ${ip} ${port}`))).toEqual([]);
}

describe('a request that is asked for often', () => {
  test('has its answers prepared: whole, each once, with their age, in both formats', async () => {
    server = await startTestServer({ serveFrom: 'prepared' });
    const path = '/v1/selection?count=20';
    await heat(path);
    await heat(path, MESSAGEPACK);
    const seen = new Set<string>();
    let age = 0;
    for (let i = 0; i < 600; i++) {
      const answer = (await server.call(path)).json<SelectionAnswer>();
      expectSelection(answer, 20);
      // Of the moment that it is sent, not of the one that it was prepared.
      expect(answer.ageMs).toBeGreaterThanOrEqual(age);
      age = answer.ageMs;
      seen.add(answer.nodes.map(({ id }) => id).join());
      const packed = unpack((await server.call(path, { headers: MESSAGEPACK })).bytes) as SelectionAnswer;
      expect(packed.ageMs).toBeGreaterThanOrEqual(age);
      expect(packed.nodes).toHaveLength(20);
    }
    expect(seen.size).toBe(600);
    expect(server.cache.ageMs() - age).toBeLessThan(1_000);
    await until('both have rings', async () => {
      for (let i = 0; i < 30; i++)
        for (const headers of [{}, MESSAGEPACK]) await server.call(path, { headers });
      return (await prepared()).ringsUsed === 2;
    });
    expect((await prepared()).slots).toBe(256);
  });

  test('is known by what it asks for, however its URL spells it', async () => {
    server = await startTestServer({ serveFrom: 'prepared' });
    await heat('/v1/selection?count=10&partial=true');
    await heat('/v1/selection?partial=true&count=10');
    expect((await prepared()).ringsUsed).toBe(1);
  });

  test('gives its ring back when nobody asks for it any more', async () => {
    server = await startTestServer({ serveFrom: 'prepared' });
    await heat(PATH);
    await until('the ring is free', async () => (await prepared()).ringsUsed === 0);
    await heat(PATH);
  });

  test('is answered from the new generation at once when there is one', async () => {
    server = await startTestServer({ serveFrom: 'prepared' });
    await heat(PATH);
    for (let round = 0; round < 5; round++) {
      const result = await server.cache.refresh();
      expect(result.ok).toBe(true);
      const generation = server.cache.generation();
      for (let i = 0; i < 200; i++) {
        expect((await server.call(PATH)).json<SelectionAnswer>().generation).toBe(generation);
      }
    }
    expect((await prepared()).drops.generation).toBeGreaterThan(0);
  });

  test('has no answer from before a revocation', async () => {
    server = await startTestServer({ serveFrom: 'prepared' });
    await heat(PATH);
    await untilFull();
    countRevocation(sharedRingWords(server.context.prepared!.memory).words);
    // New ones are put in front of the old ones meanwhile; each old one is thrown away when its turn comes.
    await until('all of them are dropped', async () => {
      for (let i = 0; i < 30; i++) expect((await server.call(PATH)).status).toBe(200);
      return (await prepared()).drops.revoked === 128;
    });
  });

  test('never names a node that has been revoked, from the moment the revocation is answered', async () => {
    server = await startTestServer({ serveFrom: 'prepared' });
    await heat(PATH);
    await untilFull();
    for (let round = 0; round < 5; round++) {
      const [node] = (await server.call(PATH)).json<SelectionAnswer>().nodes;
      await server.cache.revoke([node!.id]);
      for (let i = 0; i < 100; i++) {
        const { nodes } = (await server.call(PATH)).json<SelectionAnswer>();
        expect(nodes.map(({ id }) => id)).not.toContain(node!.id);
      }
    }
    expect((await prepared()).drops.revoked).toBeGreaterThan(0);
  });

  test('that comes out short is a shortage again and again, and not prepared for long', async () => {
    server = await startTestServer({ serveFrom: 'prepared' });
    await heat(PATH);
    // From now on there are too few networks for 110 nodes.
    const few = nodesCsv(testNodes(100));
    await server.folder.file('nodes.csv', few);
    expect(await server.cache.refresh({ acceptDrop: true })).toMatchObject({ ok: true });
    for (let i = 0; i < 300; i++) expect((await server.call(PATH)).status).toBe(409);
    await until('its ring is free', async () => (await prepared()).ringsUsed === 0);
  });
});

describe('requests of other askers', () => {
  test('with odd Accept headers do not keep a URL from being prepared', async () => {
    server = await startTestServer({ serveFrom: 'prepared' });
    for (let i = 1; i <= 9; i++) {
      await server.call(PATH, { headers: { accept: `application/json;q=0.${i}` } });
    }
    await heat(PATH);
  });

  test('that are too large for any slot take no rings from those that fit', async () => {
    server = await startTestServer({ serveFrom: 'prepared', 'prepared.bytesMax': '8388608' });
    const small = ['/v1/selection?count=5', '/v1/selection?count=6'];
    // Not one after the other: the first may be cold before the second is hot.
    await until('both have rings', async () => {
      for (let i = 0; i < 30; i++) for (const path of small) await server.call(path);
      return (await prepared()).ringsUsed === 2;
    });
    expect(await prepared()).toMatchObject({ rings: 2 });
    // Far hotter than the others, which have all rings there are.
    for (let round = 0; round < 60; round++) {
      for (let i = 0; i < 25; i++) await server.call('/v1/selection?count=250&partial=true');
      for (const path of small) for (let i = 0; i < 6; i++) await server.call(path);
      expect((await prepared()).ringsUsed).toBe(2);
    }
  });
});

describe('what is not prepared', () => {
  test('heavy requests, those with ids, and what is asked for once', async () => {
    server = await startTestServer({ serveFrom: 'prepared' });
    const ids = testNodes().map(({ id }) => id);
    for (let i = 0; i < 300; i++) {
      await server.call('/v1/selection', postJson({ count: 5, exclude: [ids[i]] }));
      await server.call(`/v1/selection?count=${1 + (i % 100)}&newFraction=0.0${i}`);
    }
    for (let i = 0; i < 100; i++) await server.call('/v1/selection?count=400&partial=true');
    const status = await statusOf();
    expect(status.ways.prepared).toBe(0);
    expect(status.prepared).toMatchObject({ ringsUsed: 0, filled: 0 });
  });

  test('anything, with --serve-from in-place', async () => {
    server = await startTestServer({ serveFrom: 'in-place' });
    for (let i = 0; i < 500; i++) await server.call(PATH);
    expect(await statusOf()).toMatchObject({ prepared: null, ways: { prepared: 0 } });
  });
});

describe('without the pool', () => {
  test('answers come in place while workers are killed, and are prepared again after that', async () => {
    const workers: Worker[] = [];
    const watch = (worker: Worker) => void workers.push(worker);
    process.on('worker', watch);
    try {
      // Without a watchdog the last one is of the pool.
      server = await startTestServer({ serveFrom: 'prepared', 'watchdog.stallMs': '0' });
      await heat(PATH);
      for (let kill = 0; kill < 4; kill++) {
        const started = workers.length;
        const victim = workers.at(-1)!;
        const ended = once(victim, 'exit');
        void victim.terminate();
        for (let i = 0; i < 100; i++) expectSelection((await server.call(PATH)).json(), 110);
        await ended;
        await until('the worker is replaced', () => workers.length > started);
        // A worker that is ended while it starts is one too many for its pool: it has to have filled a ring,
        // and answers of the one before may be left in it.
        const { filled } = await prepared();
        await until('the new worker prepares answers', async () => {
          for (let i = 0; i < 60; i++) await server.call(PATH);
          return (await prepared()).filled > filled;
        });
        await heat(PATH);
      }
      // No slot is lost: the ring can be filled to the last.
      await until('the ring is full', async () => {
        for (let i = 0; i < 30; i++) await server.call(PATH);
        const { ready, slots } = await prepared();
        return slots === 128 && ready >= 127;
      });
    } finally {
      process.off('worker', watch);
    }
  });

  test('batches are not kept waiting by workers that keep rings full', async () => {
    server = await startTestServer({ serveFrom: 'prepared' });
    await heat(PATH);
    const batch = postJson({ requests: [{ count: 3 }, { count: 5 }] });
    const times: number[] = [];
    for (let i = 0; i < 60; i++) {
      for (let k = 0; k < 5; k++) await server.call(PATH);
      const start = performance.now();
      expect((await server.call('/v1/selections', batch)).status).toBe(200);
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    // A task of keeping rings full takes 40 ms when nobody asks for the worker.
    expect(times[30]).toBeLessThan(30);
  });
});

describe('slow readers', () => {
  const REQUEST = `GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`;

  function slowReader(requests: number) {
    const { hostname, port } = new URL(server.url);
    const socket: Socket = connect({ host: hostname, port: Number(port) });
    socket.pause();
    socket.write(REQUEST.repeat(requests));
    const chunks: Buffer[] = [];
    socket.on('data', chunk => chunks.push(chunk));
    socket.pause();
    return { socket, text: () => Buffer.concat(chunks).toString('latin1') };
  }

  test('keep the slots of their answers, which stay whole; others are answered all the same', async () => {
    server = await startTestServer({ serveFrom: 'prepared', ...PATIENT });
    await heat(PATH);
    const readers = Array.from({ length: 10 }, () => slowReader(500));
    await until('slots wait', async () => {
      for (let i = 0; i < 20; i++) await server.call(PATH);
      return server.context.departures.count > 0;
    });
    for (let i = 0; i < 500; i++) expect((await server.call(PATH)).status).toBe(200);
    for (const { socket } of readers) socket.resume();
    const seen = new Set<string>();
    for (const { socket, text } of readers) {
      await until('a slow reader has everything', () => text().split(']}').length === 501);
      socket.destroy();
      for (const part of text()
        .split(/HTTP\/1\.1 200 OK\r\n[^{]*/)
        .slice(1)) {
        const answer = JSON.parse(part) as SelectionAnswer;
        expectSelection(answer, 110);
        seen.add(answer.nodes.map(({ id }) => id).join());
      }
    }
    expect(seen.size).toBe(readers.length * 500);
    await until('nothing waits any more', () => server.context.departures.count === 0);
  });

  test('that break off give the slots of their answers back', async () => {
    server = await startTestServer({ serveFrom: 'prepared', ...PATIENT });
    await heat(PATH);
    const readers = Array.from({ length: 10 }, () => slowReader(500));
    await until('slots wait', async () => {
      for (let i = 0; i < 20; i++) await server.call(PATH);
      return server.context.departures.count > 0;
    });
    for (const { socket } of readers) socket.destroy();
    await until('nothing waits any more', () => server.context.departures.count === 0);
    await until('the ring is full', async () => {
      for (let i = 0; i < 30; i++) await server.call(PATH);
      const { ready, slots } = await prepared();
      return slots === 128 && ready >= 127;
    });
  });
});
