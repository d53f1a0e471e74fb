/** The loader thread: when it loads, what it refuses, how it fails, and what happens when it dies. */
import { once } from 'node:events';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { openCache } from '../../src/workers/cache.ts';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import type { LoadReport } from '../../src/workers/load-report.ts';
import type { LoaderStatus } from '../../src/workers/messages.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import { CsvFile, vettedNodes } from '../support/csv-file.ts';
import { networksOf, type TestNode, testId, testIp } from '../support/population.ts';
import { until } from '../support/until.ts';

const caches: Cache[] = [];
const files: CsvFile[] = [];
/** Every thread that this thread has started, in order. */
const threads: Worker[] = [];
process.on('worker', worker => threads.push(worker));

afterEach(async () => {
  await Promise.all(caches.splice(0).map(cache => cache.close()));
  for (const file of files.splice(0)) file.remove();
});

interface Opened {
  readonly cache: Cache;
  readonly file: CsvFile;
  /** The loader thread that lives now. */
  readonly thread: () => Worker;
  /** Every state that was reported, in order. */
  readonly states: LoaderStatus[];
}

async function open(nodes: readonly TestNode[], options: Partial<CacheOptions> = {}): Promise<Opened> {
  const file = new CsvFile(nodes);
  files.push(file);
  const cache = await openCache({
    source: fileSource(file.path),
    capacity: { nodes: 200, readers: 2 },
    ...options,
    refresh: {
      everyMs: 3_600_000,
      backoffFirstMs: 3_600_000,
      backoffLongestMs: 3_600_000,
      ...options.refresh,
    },
  });
  caches.push(cache);
  const states: LoaderStatus[] = [];
  cache.onStatus(status => states.push(status));
  await cache.ready();
  await until('the first load is reported', () => cache.status().state === 'waiting');
  return { cache, file, states, thread: () => threads.at(-1)! };
}

/** Resolves when a load is said to run: also one that is over by the time it is heard of. */
function loads(cache: Cache): Promise<void> {
  return new Promise(resolve => {
    const stop = cache.onStatus(({ state }) => {
      if (state !== 'loading') return;
      stop();
      resolve();
    });
  });
}

const idsIn = (cache: Cache, nodes: readonly TestNode[]) =>
  nodes.filter(({ id }) => cache.lookup([id]).unknown.length === 0).map(({ id }) => id);

describe('a refresh', () => {
  test('on demand loads what is there now, and answers with the report of that load', async () => {
    const { cache, file } = await open(vettedNodes(20));
    file.write(vettedNodes(20, 10));
    const result = await cache.refresh();
    expect(result).toMatchObject({ ok: true, report: { generation: 2, nodes: { total: 20 } } });
    expect(idsIn(cache, vettedNodes(40))).toEqual(vettedNodes(20, 10).map(({ id }) => id));
    expect(cache.status()).toMatchObject({
      state: 'waiting',
      refreshes: { succeeded: 2, failed: 0 },
      lastLoad: { generation: 2 },
    });
  });

  test('that many ask for at once is one load, or few when the first has begun', async () => {
    const { cache } = await open(vettedNodes(20));
    const results = await Promise.all(Array.from({ length: 50 }, () => cache.refresh()));
    const generations = new Set(results.map(result => (result as { report: LoadReport }).report.generation));
    // The first may be over before the last has been asked for.
    expect(generations.size).toBeLessThanOrEqual(10);
    expect(cache.generation()).toBeLessThanOrEqual(11);
  });

  test('that is asked for after a change never answers with a load that began before it', async () => {
    const { cache, file } = await open(vettedNodes(20));
    for (let round = 1; round < 15; round++) {
      const running = cache.refresh();
      file.write(vettedNodes(20, round));
      const after = await cache.refresh();
      expect(after.ok).toBe(true);
      expect(idsIn(cache, vettedNodes(50))).toEqual(vettedNodes(20, round).map(({ id }) => id));
      await running;
    }
  });

  test('more than a thousand at once are refused beyond the thousandth', async () => {
    const { cache } = await open(vettedNodes(20));
    const results = await Promise.all(Array.from({ length: 1005 }, () => cache.refresh()));
    expect(results.filter(result => result.ok)).toHaveLength(1000);
    expect(results.at(-1)).toMatchObject({ ok: false, error: { code: 'OVERLOADED' } });
  });

  test('comes by itself on the interval, earlier by a random part of it', async () => {
    const { cache, states } = await open(vettedNodes(20), { refresh: { everyMs: 100, jitterRatio: 0.5 } });
    await until('twenty generations', () => cache.generation() >= 20);
    // What is said later in a wait is what is left of it then.
    const begun = states.filter(({ state }, i) => state === 'waiting' && states[i - 1]?.state !== state);
    const waits = begun.map(({ nextLoadInMs }) => nextLoadInMs!);
    // What the load itself took is taken off.
    expect(Math.max(...waits)).toBeGreaterThanOrEqual(50);
    expect(Math.max(...waits)).toBeLessThanOrEqual(100);
    expect(new Set(waits).size).toBeGreaterThan(3);
  });

  test('comes an interval after the start of the load before it, not after its end', async () => {
    const { cache, states } = await open(vettedNodes(20), { refresh: { everyMs: 500, jitterRatio: 0 } });
    await until('four generations', () => cache.generation() >= 4);
    const waiting = states.filter(({ state }) => state === 'waiting');
    expect(waiting.length).toBeGreaterThan(1);
    for (const { nextLoadInMs, lastLoad } of waiting) {
      expect(nextLoadInMs).toBeLessThanOrEqual(Math.max(10, Math.ceil(500 - lastLoad!.durationMs)));
    }
  });

  test('comes after a short pause where loads take longer than the interval', async () => {
    const { cache, states } = await open(vettedNodes(20), { refresh: { everyMs: 1, jitterRatio: 0 } });
    await until('five generations', () => cache.generation() >= 5);
    const waits = states.filter(({ state }) => state === 'waiting').map(({ nextLoadInMs }) => nextLoadInMs);
    // A busy machine may take some of the pause between its plan and the report.
    expect(Math.max(...waits.map(wait => wait ?? Number.POSITIVE_INFINITY))).toBe(10);
  });
});

describe('a load that fails', () => {
  test('keeps the last good generation, shows in status, and is tried again until it works', async () => {
    const backoff = { backoffFirstMs: 10, backoffLongestMs: 30 };
    const { cache, file, states } = await open(vettedNodes(20), { refresh: backoff });
    file.takeAway();
    const result = await cache.refresh();
    expect(result).toMatchObject({ ok: false, error: { code: 'SOURCE_UNAVAILABLE' } });
    await until('the third failure', () => (cache.status().lastError?.consecutive ?? 0) >= 3);
    expect(cache.generation()).toBe(1);
    expect(cache.select({ count: 20 }).length).toBe(20);
    expect(cache.status()).toMatchObject({
      lastLoad: { generation: 1 },
      lastError: { code: 'SOURCE_UNAVAILABLE', at: expect.any(String) },
    });
    file.write(vettedNodes(21));
    await until('it recovers', () => cache.generation() === 2);
    await until('status says so', () => cache.status().state === 'waiting');
    expect(cache.status().lastError).toBeUndefined();
    expect(cache.status().refreshes.failed).toBe(
      states.filter(({ state }) => state === 'backing-off').length,
    );
  });

  test('waits longer each time, at random, up to a limit, and starts over after a success', async () => {
    const { cache, file, states } = await open(vettedNodes(20), {
      refresh: { backoffFirstMs: 4, backoffLongestMs: 32 },
    });
    file.takeAway();
    await cache.refresh();
    await until('eight failures', () => (cache.status().lastError?.consecutive ?? 0) >= 8);
    const failures = () => states.filter(({ state }) => state === 'backing-off');
    for (const [i, { nextLoadInMs, lastError }] of failures().entries()) {
      expect(lastError?.consecutive).toBe(i + 1);
      expect(nextLoadInMs).toBeLessThanOrEqual(Math.min(32, 4 * 2 ** i));
    }
    file.write(vettedNodes(20));
    await until('it recovers', () => cache.status().state === 'waiting');
    file.takeAway();
    await cache.refresh();
    expect(failures().at(-1)?.lastError?.consecutive).toBeGreaterThan(0);
    const again = failures().findLast(({ lastError }) => lastError?.consecutive === 1);
    expect(again?.nextLoadInMs).toBeLessThanOrEqual(4);
  });

  test.each<[string, string, string]>([
    ['an empty file', '', 'SOURCE_SCHEMA'],
    ['another header', 'name,address\n', 'SOURCE_SCHEMA'],
    ['a line that is cut off', `id,ip,port\n${testId(1)},20.0.0.1\n`, 'SOURCE_FAILED'],
    ['a quote that is never closed', `id,ip,port\n"${testId(1)},20.0.0.1,80\n`, 'SOURCE_FAILED'],
  ])('because of %s keeps the last good generation', async (_, text, code) => {
    const { cache, file } = await open(vettedNodes(20));
    file.writeText(text);
    expect(await cache.refresh({ acceptDrop: true })).toMatchObject({ ok: false, error: { code } });
    expect(cache.generation()).toBe(1);
    expect(idsIn(cache, vettedNodes(20))).toHaveLength(20);
  });

  test('because it takes longer than the limit says so', async () => {
    const { cache, file } = await open(vettedNodes(20), {
      capacity: { nodes: 60_000, readers: 2 },
      // Twenty nodes are loaded at the second try at the latest, even on a busy machine.
      refresh: { timeoutMs: 40, backoffFirstMs: 1, backoffLongestMs: 5 },
    });
    file.write(vettedNodes(60_000));
    const result = await cache.refresh();
    expect(result).toMatchObject({
      ok: false,
      error: { code: 'SOURCE_TIMEOUT', field: 'refresh.timeoutMs' },
    });
    expect(idsIn(cache, vettedNodes(20))).toHaveLength(20);
  });

  test('because there are more nodes than the capacity keeps the old ones', async () => {
    const { cache, file } = await open(vettedNodes(200));
    file.write(vettedNodes(201));
    expect(await cache.refresh()).toMatchObject({
      ok: false,
      error: { code: 'CAPACITY_EXCEEDED', field: 'capacity.nodes' },
    });
    expect(cache.generation()).toBe(1);
    expect(idsIn(cache, vettedNodes(201))).toHaveLength(200);
    file.write(vettedNodes(200, 1));
    expect(await cache.refresh()).toMatchObject({ ok: true });
  });
});

describe('a result that has shrunk', () => {
  test.each([
    [100, 80, 0.2, true],
    [100, 79, 0.2, false],
    [100, 0, 1, false],
    [100, 1, 1, true],
    [100, 99, 0, false],
    [100, 100, 0, true],
  ])(
    'from %i to %i nodes, with a drop limit of %d, is published: %s',
    async (before, after, dropRatioMax, published) => {
      const { cache, file } = await open(vettedNodes(before), {
        guard: { dropRatioMax, dropPerHourRatioMax: 1 },
      });
      file.write(vettedNodes(after));
      const result = await cache.refresh();
      expect(result.ok).toBe(published);
      expect(cache.generation()).toBe(published ? 2 : 1);
      if (!result.ok)
        expect(result.error).toMatchObject({
          code: 'SNAPSHOT_REJECTED',
          field: after === 0 ? 'guard.nodesMin' : 'guard.dropRatioMax',
        });
    },
  );

  test('in vetted nodes alone is refused, however many new ones there are', async () => {
    const { cache, file } = await open(vettedNodes(100));
    file.write(networksOf(Array(100).fill(1), 'new'));
    expect(await cache.refresh()).toMatchObject({
      ok: false,
      error: {
        code: 'SNAPSHOT_REJECTED',
        field: 'guard.dropRatioMax',
        message: expect.stringContaining('vetted nodes fell from 100 to 0'),
      },
    });
    expect(await cache.refresh({ acceptDrop: true })).toMatchObject({ ok: true });
  });

  test('is accepted when that is asked for, once', async () => {
    const { cache, file } = await open(vettedNodes(100));
    file.write(vettedNodes(10));
    expect(await cache.refresh()).toMatchObject({ ok: false });
    expect(cache.status().lastError).toMatchObject({ code: 'SNAPSHOT_REJECTED' });
    expect(await cache.refresh({ acceptDrop: true })).toMatchObject({
      ok: true,
      report: { nodes: { total: 10 } },
    });
    file.write(vettedNodes(2));
    expect(await cache.refresh()).toMatchObject({ ok: false });
  });

  test('to nothing is refused even then, and so is one of which nothing can be chosen', async () => {
    const { cache, file } = await open(vettedNodes(20));
    const ineligible = networksOf(Array(20).fill(1), 'ineligible');
    for (const nodes of [[], ineligible]) {
      file.write(nodes);
      expect(await cache.refresh({ acceptDrop: true })).toMatchObject({
        ok: false,
        error: { code: 'SNAPSHOT_REJECTED', field: 'guard.nodesMin' },
      });
    }
    expect(cache.select({ count: 20 }).length).toBe(20);
  });

  test('in what can be chosen is refused although the table has as many rows as before', async () => {
    const { cache, file } = await open(vettedNodes(100));
    file.write([
      ...vettedNodes(50),
      ...networksOf(Array(50).fill(1), 'ineligible', { network: 50, number: 50 }),
    ]);
    expect(await cache.refresh()).toMatchObject({ ok: false, error: { field: 'guard.dropRatioMax' } });
  });
});

describe('rows that cannot be used', () => {
  const bad = (count: number) =>
    Array.from({ length: count }, (_, n) => `${testId(1000 + n)},10.0.0.${n},80,1`);
  const good = (count: number) => vettedNodes(count).map(node => `${node.id},${testIp(node)},80,1`);
  const table = (...lines: readonly string[]) => `id,ip,port,vetted\n${lines.join('\n')}\n`;

  test('are refused one by one and counted by reason', async () => {
    const { cache, file } = await open(vettedNodes(20), {
      guard: { rejectRatioMax: 0.5, duplicateRatioMax: 0.5 },
    });
    file.writeText(
      table(
        ...good(20),
        `${testId(0)},20.9.9.9,80,1`,
        `xyz,20.9.9.9,80,1`,
        `${testId(901)},20.9.9,80,1`,
        `${testId(902)},20.9.9.9,0,1`,
        `${testId(903)},20.9.9.9,eighty,1`,
        `${testId(904)},192.168.1.1,80,1`,
        `${testId(905)},127.0.0.1,80,1`,
        `${testId(906)},::ffff:127.0.0.1,80,1`,
      ),
    );
    expect(await cache.refresh()).toMatchObject({
      ok: true,
      report: {
        nodes: { total: 20 },
        refused: {
          'id-duplicate': 1,
          'id-invalid': 1,
          'address-invalid': 1,
          'port-invalid': 2,
          'special-use:private-192': 1,
          'special-use:loopback': 2,
        },
      },
    });
  });

  test.each([
    [95, 5, true],
    [94, 6, false],
  ])('beside %i good ones, %i of them let the load through: %s', async (goodRows, badRows, published) => {
    const { cache, file } = await open(vettedNodes(94));
    file.writeText(table(...good(goodRows), ...bad(badRows)));
    const result = await cache.refresh();
    expect(result.ok).toBe(published);
    if (!result.ok) {
      expect(result.error).toMatchObject({
        code: 'SNAPSHOT_REJECTED',
        field: 'guard.rejectRatioMax',
        message: expect.stringContaining('special-use:private-10 6'),
      });
    }
  });

  test('are let through where their range is allowed by name', async () => {
    const { cache, file } = await open(vettedNodes(20), { guard: { allowRanges: ['private-10'] } });
    file.writeText(table(...good(20), ...bad(5)));
    expect(await cache.refresh()).toMatchObject({ ok: true, report: { nodes: { total: 25 }, refused: {} } });
  });
});

describe('a loader thread that dies', () => {
  test('is started again, loads, and never goes back to a generation that was there', async () => {
    const { cache, thread, states } = await open(vettedNodes(20));
    for (let death = 1; death <= 3; death++) {
      const generation = cache.generation();
      const exited = once(thread(), 'exit');
      await thread().terminate();
      await exited;
      expect(cache.select({ count: 20 })).toMatchObject({ length: 20, generation });
      expect(cache.status()).toMatchObject({
        state: 'restarting',
        restarts: death,
        lastError: { code: 'LOADER_LOST' },
        lastLoad: { generation },
      });
      await until('the next generation', () => cache.generation() > generation);
      expect(cache.generation()).toBe(generation + 1);
      await until('the load is reported', () => cache.status().lastLoad?.generation === generation + 1);
      expect(cache.status()).toMatchObject({
        restarts: death,
        refreshes: { succeeded: death + 1, failed: death },
      });
      expect(cache.status().lastError).toBeUndefined();
    }
    // The wait starts over with every load that works.
    const waits = states
      .filter(({ state }) => state === 'restarting')
      .map(({ nextLoadInMs }) => nextLoadInMs);
    expect(waits).toEqual([100, 100, 100]);
  });

  test('answers those who wait for a refresh, and refuses new ones until it is back', async () => {
    const { cache, thread, file } = await open(vettedNodes(20), { capacity: { nodes: 60_000, readers: 2 } });
    file.write(vettedNodes(60_000));
    const running = loads(cache);
    const waiting = cache.refresh();
    await running;
    const exited = once(thread(), 'exit');
    await thread().terminate();
    await exited;
    expect(await waiting).toMatchObject({ ok: false, error: { code: 'LOADER_LOST' } });
    expect(await cache.refresh()).toMatchObject({ ok: false, error: { code: 'LOADER_LOST' } });
    expect(idsIn(cache, vettedNodes(20))).toHaveLength(20);
    await until('the new loader has loaded', () => cache.generation() === 2);
    expect(await cache.refresh()).toMatchObject({
      ok: true,
      report: { generation: 3, nodes: { total: 60_000 } },
    });
  });

  test('in the middle of writing a generation leaves nothing of it to be seen', async () => {
    const { cache, thread, file } = await open(vettedNodes(20), { capacity: { nodes: 30_000, readers: 2 } });
    for (let death = 1; death <= 4; death++) {
      file.write(vettedNodes(20_000 + death));
      const running = loads(cache);
      void cache.refresh();
      await running;
      const generation = cache.generation();
      await thread().terminate();
      const selection = cache.select({ count: 1000, newFraction: 0 });
      expect(selection.generation).toBeGreaterThanOrEqual(generation);
      expect(selection.length).toBe(selection.generation === 1 ? 20 : 1000);
      await until('the new loader has loaded', () => cache.status().lastLoad?.nodes.total === 20_000 + death);
    }
    expect(cache.select({ count: 1000, newFraction: 0 }).length).toBe(1000);
    expect(
      cache.lookup(
        vettedNodes(20_004)
          .slice(-1000)
          .map(({ id }) => id),
      ).unknown,
    ).toEqual([]);
  });

  test('is not started again when the cache is closed meanwhile', async () => {
    const { cache, thread } = await open(vettedNodes(20));
    await thread().terminate();
    const started = threads.length;
    await cache.close();
    expect(cache.status().state).toBe('stopped');
    expect(threads.length).toBe(started);
  });
});

describe('a refresh that is demanded while the file of the last process is read', () => {
  test('waits for that, so that neither writes into the slot of the other', async () => {
    const file = new CsvFile(vettedNodes(50_000));
    files.push(file);
    const options = {
      source: fileSource(file.path),
      capacity: { nodes: 60_000, readers: 2 },
      guard: { dropRatioMax: 1, dropPerHourRatioMax: 1 },
      snapshotFile: join(file.folder, 'nodes.snapshot'),
      refresh: { everyMs: 3_600_000 },
    };
    const before = await openCache(options);
    await until('the file is written', () => before.status().lastLoad !== undefined);
    await before.close();
    const few = vettedNodes(42_000).slice(-40_000);
    file.write(few);
    const known = new Set(few.map(({ id }) => id));
    for (let round = 0; round < 4; round++) {
      const cache = await openCache({ ...options, waitForFirstLoad: false });
      let isDone = false;
      const refreshed = cache.refresh().finally(() => {
        isDone = true;
      });
      // Readers look all the while: into no slot that is being written.
      while (!isDone) {
        await new Promise(resolve => setImmediate(resolve));
        if (cache.generation() > 0) expect(cache.select({ count: 100 }).nodes).toHaveLength(100);
      }
      expect(await refreshed).toMatchObject({ ok: true });
      expect(cache.status()).toMatchObject({ restarts: 0, restored: { generation: 1 } });
      const { nodes, generation } = cache.select({ count: 100 });
      expect(generation).toBeGreaterThan(1);
      expect(nodes.every(({ id }) => known.has(id))).toBe(true);
      await cache.close();
    }
  });
});
