/**
 * The cache as a program uses it: opened on a file, attached from other threads, closed; and what it refuses.
 */
import { execFile } from 'node:child_process';
import { on, once } from 'node:events';
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { sharedControlWords, takenSeats } from '../../src/engine/publication.ts';
import { type SlotMemory, slotBuffer } from '../../src/engine/shared-memory.ts';
import { attachCache, openCache } from '../../src/workers/cache.ts';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import type { Cache, CacheHandle } from '../../src/workers/cache-types.ts';
import { readSnapshotFile } from '../../src/workers/snapshot-file.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import type { AttachCommand, AttachData } from '../support/attach-messages.ts';
import { CsvFile, vettedNodes } from '../support/csv-file.ts';
import { networksOf, testNode } from '../support/population.ts';
import { until } from '../support/until.ts';

const ATTACH_URL = new URL('../support/attach-worker.ts', import.meta.url);

const caches: Cache[] = [];
const files: CsvFile[] = [];
const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(caches.splice(0).map(cache => cache.close()));
  await Promise.all(workers.splice(0).map(worker => worker.terminate()));
  for (const file of files.splice(0)) file.remove();
});

async function open(nodes = vettedNodes(20), options: Partial<CacheOptions> = {}) {
  const file = new CsvFile(nodes);
  files.push(file);
  const cache = await openCache({
    source: fileSource(file.path),
    capacity: { nodes: 100, readers: 4 },
    ...options,
    refresh: { everyMs: 3_600_000, ...options.refresh },
  });
  caches.push(cache);
  return { cache, file };
}

function seatsOf(cache: Cache): number {
  const { words, seats } = sharedControlWords(cache.handle().control);
  return takenSeats(words, seats);
}

/** A thread that attaches as `data` says, and what it has to say, message by message. */
class Attached {
  readonly worker: Worker;
  readonly #messages: AsyncIterator<[Record<string, unknown>]>;

  constructor(data: AttachData) {
    this.worker = new Worker(ATTACH_URL, { workerData: data });
    // Kept from now on: a message may come before it is asked for.
    this.#messages = on(this.worker, 'message') as AsyncIterator<[Record<string, unknown>]>;
    workers.push(this.worker);
  }

  async next(): Promise<Record<string, unknown>> {
    const { value } = await this.#messages.next();
    return value[0];
  }

  tell(command: AttachCommand): Promise<Record<string, unknown>> {
    this.worker.postMessage(command);
    return this.next();
  }
}

describe('an open cache', () => {
  test('resolves ready with the first generation, and serves selections and lookups', async () => {
    const nodes = [...vettedNodes(20), testNode(50, 50, 'ineligible')];
    const { cache } = await open(nodes);
    expect(await cache.ready()).toBe(1);
    expect(cache.select({ count: 20 }).length).toBe(20);
    const found = cache.lookup(nodes.map(node => node.id));
    expect(found.nodes.map(node => node?.pool)).toEqual(nodes.map(node => node.pool));
    expect(cache.ageMs()).toBeGreaterThan(0);
    expect(cache.ageMs()).toBeLessThan(60_000);
  });

  test('reports what it has loaded, and what it has left out', async () => {
    const nodes = [
      ...networksOf([2, 2], 'vetted'),
      ...networksOf([3], 'new', { network: 1, number: 10 }),
      testNode(20, 9, 'ineligible'),
    ];
    const { cache } = await open(nodes);
    await cache.ready();
    const { lastLoad, refreshes, state, restarts } = cache.status();
    expect({ refreshes, state, restarts }).toEqual({
      refreshes: { succeeded: 1, failed: 0 },
      state: 'waiting',
      restarts: 0,
    });
    expect(lastLoad).toMatchObject({
      generation: 1,
      nodes: { total: 8, vetted: 4, new: 3, ineligible: 1, vettedNetworks: 2, newNetworks: 1, networks: 3 },
      refused: {},
      ineligible: { suspended: 1 },
      digest: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
  });

  test('says what it has loaded as soon as it is ready, also to a thread that hears late of it', async () => {
    const { cache } = await open(vettedNodes(20), { waitForFirstLoad: false });
    const ready = cache.ready();
    // No message comes in meanwhile.
    const deadline = performance.now() + 20_000;
    while (cache.generation() === 0 && performance.now() < deadline);
    await ready;
    expect(cache.status()).toMatchObject({
      state: 'waiting',
      nodes: { total: 20 },
      lastLoad: { generation: 1 },
    });
  });

  test('is not ready as long as its source is missing, says why, and recovers by itself', async () => {
    const { cache, file } = await open(vettedNodes(3), {
      refresh: { backoffFirstMs: 5, backoffLongestMs: 20 },
    });
    await cache.ready();
    await cache.close();
    file.takeAway();
    const late = await openCache({
      source: fileSource(file.path),
      waitForFirstLoad: false,
      capacity: { nodes: 10, readers: 2 },
      refresh: { backoffFirstMs: 5, backoffLongestMs: 20 },
    });
    caches.push(late);
    await until('the first load has failed', () => late.status().lastError !== undefined);
    await expect(late.ready({ timeoutMs: 50 })).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_READY',
      message: expect.stringContaining('SOURCE_UNAVAILABLE'),
    });
    expect(() => late.select()).toThrow(expect.objectContaining({ code: 'SNAPSHOT_NOT_READY' }));
    expect(late.generation()).toBe(0);
    file.write(vettedNodes(4));
    expect(await late.ready()).toBe(1);
    expect(late.status().lastError).toBeUndefined();
  });

  test('takes no more memory than it uses, however much it has reserved', async () => {
    const before = process.memoryUsage().rss;
    const { cache } = await open(vettedNodes(100), { capacity: { nodes: 1_000_000, readers: 16 } });
    await cache.ready();
    // 18 slots of 149 MB are reserved; the loader thread itself takes some 40 MB.
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
  });
});

describe('a configuration error names its key:', () => {
  test.each<[string, object]>([
    ['capacity.nodes', { capacity: { nodes: 0 } }],
    ['capacity.nodes', { capacity: { nodes: 1.5 } }],
    ['capacity.nodes', { capacity: { nodes: 20_000_001 } }],
    ['capacity.readers', { capacity: { readers: 0 } }],
    ['capacity.readers', { capacity: { readers: 1025 } }],
    ['limits.countMax', { limits: { countMax: 0 } }],
    ['limits.idsMax', { limits: { idsMax: -1 } }],
    ['refresh.everyMs', { refresh: { everyMs: 0 } }],
    ['refresh.everyMs', { refresh: { everyMs: 2 ** 31 } }],
    ['refresh.timeoutMs', { refresh: { timeoutMs: Number.NaN } }],
    ['refresh.jitterRatio', { refresh: { jitterRatio: 1.1 } }],
    ['refresh.backoffFirstMs', { refresh: { backoffFirstMs: 0 } }],
    ['refresh.backoffLongestMs', { refresh: { backoffFirstMs: 100, backoffLongestMs: 99 } }],
    ['guard.rejectRatioMax', { guard: { rejectRatioMax: -0.1 } }],
    ['guard.dropRatioMax', { guard: { dropRatioMax: '0.2' } }],
    ['guard.nodesMin', { guard: { nodesMin: -1 } }],
    ['guard.allowRanges', { guard: { allowRanges: ['private-11'] } }],
    ['networkPrefixBits.ipv4', { networkPrefixBits: { ipv4: 33 } }],
    ['networkPrefixBits.ipv6', { networkPrefixBits: { ipv6: 0 } }],
    ['placements.x.newFraction', { placements: { x: { newFraction: 2 } } }],
    ['distinctAttributes', { distinctAttributes: [''] }],
  ])('%s in %j', async (field, options) => {
    const opened = openCache({ source: fileSource('/nowhere/nodes.csv'), ...options } as CacheOptions);
    await expect(opened).rejects.toMatchObject({ code: 'CONFIG_INVALID', field });
  });
});

describe('a reader in another thread', () => {
  test('sees the same generation, and the next one as soon as it is published', async () => {
    const { cache, file } = await open();
    await cache.ready();
    const thread = new Attached({ handle: cache.handle() });
    expect(await thread.next()).toEqual({ attached: 1 });
    expect(await thread.tell('select')).toMatchObject({ selected: { length: 3 } });
    file.write(vettedNodes(3, 500));
    expect(await cache.refresh({ acceptDrop: true })).toMatchObject({ ok: true });
    const { selected } = (await thread.tell('select')) as { selected: { id: string }[] };
    expect(selected.map(({ id }) => id).toSorted()).toEqual(
      vettedNodes(3, 500)
        .map(({ id }) => id)
        .toSorted(),
    );
  });

  test('can be there before anything is published', async () => {
    const { cache, file } = await open();
    await cache.ready();
    file.takeAway();
    const empty = await openCache({
      source: fileSource(file.path),
      capacity: { nodes: 100, readers: 2 },
      waitForFirstLoad: false,
    });
    caches.push(empty);
    const thread = new Attached({ handle: empty.handle() });
    expect(await thread.next()).toEqual({ attached: 0 });
    file.write(vettedNodes(5));
    expect(await empty.refresh()).toMatchObject({ ok: true });
    expect(await thread.tell('select')).toMatchObject({ selected: { length: 3 } });
  });

  test('can be a thread that another worker has started', async () => {
    const { cache } = await open();
    await cache.ready();
    const thread = new Attached({ handle: cache.handle(), depth: 2 });
    expect(await thread.next()).toEqual({ attached: 1 });
    expect(await thread.tell('select')).toMatchObject({ selected: { length: 3 } });
    expect(seatsOf(cache)).toBe(2);
    thread.worker.postMessage('end');
    await once(thread.worker, 'exit');
    expect(seatsOf(cache)).toBe(1);
  });

  const GARBAGE: [string, (handle: CacheHandle) => unknown][] = [
    ['nothing', () => undefined],
    ['null', () => null],
    ['a text', () => 'sortition-cache'],
    ['an empty object', () => ({})],
    ['a kind and nothing else', () => ({ kind: 'sortition-cache' })],
    ['another kind', handle => ({ ...handle, kind: 'other' })],
    ['other memory for control words', handle => ({ ...handle, control: new SharedArrayBuffer(4096) })],
    ['odd bytes for control words', handle => ({ ...handle, control: new SharedArrayBuffer(1027) })],
    ['no memory for control words', handle => ({ ...handle, control: undefined })],
    ['no slots', handle => ({ ...handle, slots: [] })],
    ['a slot too few', handle => ({ ...handle, slots: handle.slots.slice(1) })],
    [
      'slots that are too small',
      handle => ({ ...handle, slots: handle.slots.map(() => new SharedArrayBuffer(64)) }),
    ],
    ['no settings', handle => ({ ...handle, settings: undefined })],
    [
      'settings for another capacity',
      handle => ({ ...handle, settings: { ...(handle.settings as object), nodes: 7 } }),
    ],
  ];

  test('refuses whatever is not the handle of an open cache, and takes no seat', async () => {
    const { cache } = await open();
    await cache.ready();
    for (const [what, change] of GARBAGE) {
      const handle = change(cache.handle()) as CacheHandle;
      expect(() => attachCache(handle), what).toThrow(expect.objectContaining({ code: 'LAYOUT_MISMATCH' }));
      expect(seatsOf(cache), what).toBe(1);
    }
  });

  test('refuses memory whose current snapshot is damaged, and takes no seat', async () => {
    const { cache } = await open();
    await cache.ready();
    for (const slot of cache.handle().slots) {
      new Uint8Array(slotBuffer(slot as SlotMemory)).fill(0xff, 1600, 1601);
    }
    expect(() => attachCache(cache.handle())).toThrow(expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }));
    expect(seatsOf(cache)).toBe(1);
  });
});

describe('a seat', () => {
  test('is refused when all are taken, and free again after close', async () => {
    const { cache } = await open(vettedNodes(20), { capacity: { nodes: 20, readers: 3 } });
    await cache.ready();
    const [first] = [attachCache(cache.handle()), attachCache(cache.handle())];
    expect(() => attachCache(cache.handle())).toThrow(
      expect.objectContaining({ code: 'SEATS_EXHAUSTED', field: 'capacity.readers' }),
    );
    first.close();
    first.close();
    expect(seatsOf(cache)).toBe(2);
    const again = attachCache(cache.handle());
    expect(again.select({ count: 20 }).length).toBe(20);
    expect(() => first.select()).toThrow(expect.objectContaining({ code: 'CACHE_CLOSED' }));
    expect(() => attachCache(cache.handle())).toThrow(expect.objectContaining({ code: 'SEATS_EXHAUSTED' }));
  });

  test('is freed by a thread that closes, and by one that ends without closing', async () => {
    const { cache } = await open();
    await cache.ready();
    const threads = [new Attached({ handle: cache.handle() }), new Attached({ handle: cache.handle() })];
    for (const thread of threads) await thread.next();
    expect(seatsOf(cache)).toBe(3);
    expect(await threads[0]!.tell('close')).toEqual({ closed: true });
    expect(seatsOf(cache)).toBe(2);
    threads[1]!.worker.postMessage('end');
    await once(threads[1]!.worker, 'exit');
    expect(seatsOf(cache)).toBe(1);
  });

  test('of a thread that is terminated in the middle of a selection is freed with its lease', async () => {
    const { cache, file } = await open(vettedNodes(20), { capacity: { nodes: 20, readers: 2 } });
    await cache.ready();
    for (let round = 0; round < 4; round++) {
      const thread = new Attached({ handle: cache.handle() });
      await thread.next();
      expect(await thread.tell('spin')).toEqual({ spinning: true });
      await thread.worker.terminate();
      await until('the seat is free', () => seatsOf(cache) === 1);
      file.write(vettedNodes(20, round));
      expect(await cache.refresh()).toMatchObject({ ok: true });
    }
  });

  test('of a thread that was started before the cache is freed once the thread is adopted', async () => {
    const thread = new Attached({});
    await once(thread.worker, 'online');
    const { cache } = await open();
    await cache.ready();
    cache.adopt(thread.worker);
    expect(await thread.tell({ attach: cache.handle() })).toEqual({ attached: 1 });
    await thread.tell('spin');
    expect(seatsOf(cache)).toBe(2);
    await thread.worker.terminate();
    await until('the seat is free', () => seatsOf(cache) === 1);
  });
});

describe('close', () => {
  test('ends everything, as often as it is called; later calls say so', async () => {
    const { cache } = await open();
    await cache.ready();
    await Promise.all([cache.close(), cache.close()]);
    await cache.close();
    expect(cache.status().state).toBe('stopped');
    const closed = expect.objectContaining({ code: 'CACHE_CLOSED' });
    for (const call of [
      () => cache.select(),
      () => cache.lookup([]),
      () => cache.generation(),
      () => cache.ageMs(),
    ]) {
      expect(call).toThrow(closed);
    }
    expect(await cache.refresh()).toMatchObject({ ok: false, error: { code: 'CACHE_CLOSED' } });
    await expect(cache.ready()).rejects.toMatchObject({ code: 'CACHE_CLOSED' });
  });

  test('while a load runs, or before the first one, answers all who wait', async () => {
    const { cache } = await open(vettedNodes(20), { waitForFirstLoad: false });
    const waiting = [cache.ready(), cache.refresh(), cache.refresh()].map(promise =>
      promise.then(
        value => value,
        error => error,
      ),
    );
    await cache.close();
    const [ready, ...refreshes] = await Promise.all(waiting);
    expect(ready === 1 || (ready as { code: string }).code === 'CACHE_CLOSED').toBe(true);
    for (const refresh of refreshes)
      expect(refresh).toMatchObject({ ok: false, error: { code: 'CACHE_CLOSED' } });
  });

  test('leaves nothing open: the process ends by itself', async () => {
    const file = new CsvFile(vettedNodes(20));
    files.push(file);
    const script = join(import.meta.dirname, '../support/open-and-close.ts');
    const { stdout } = await promisify(execFile)(process.execPath, [script, file.path], { timeout: 20_000 });
    expect(stdout).toBe('picked 5, closed\n');
  });
});

describe('a snapshot file', () => {
  const pathIn = (file: CsvFile) => join(file.folder, 'snapshot.sortition');

  async function openWithFile(nodes = vettedNodes(20)) {
    const file = new CsvFile(nodes);
    files.push(file);
    const cache = await openCache({
      source: fileSource(file.path),
      capacity: { nodes: 100, readers: 2 },
      snapshotFile: pathIn(file),
    });
    caches.push(cache);
    await cache.ready();
    const report = await cache.refresh();
    await until('it is written', () => cache.status().snapshotFile?.generation === 2);
    return { cache, file, path: pathIn(file), report };
  }

  test('holds each generation as it is published, for its owner only, beside the one before', async () => {
    const { cache, file, path, report } = await openWithFile();
    expect(report).toMatchObject({ ok: true, report: { generation: 2 } });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const snapshot = await readSnapshotFile(path);
    expect(snapshot).toMatchObject({ generation: 2, rowCount: 20, vettedCount: 20 });
    expect(statSync(path).size).toBe(cache.status().lastLoad?.snapshotBytes);
    file.write(vettedNodes(19));
    await cache.refresh();
    await until('it is written', () => cache.status().snapshotFile?.generation === 3);
    expect(await readSnapshotFile(path)).toMatchObject({ generation: 3, rowCount: 19 });
    expect(readdirSync(file.folder).toSorted()).toEqual([
      'nodes.csv',
      'snapshot.sortition',
      'snapshot.sortition.previous',
    ]);
  });

  test('that is damaged, cut off, or something else is refused when it is read', async () => {
    const { path, file } = await openWithFile();
    const good = readFileSync(path);
    for (const at of [0, 4, 8, 100, 1536, good.length - 20]) {
      const damaged = Buffer.from(good);
      damaged[at]! ^= 1;
      writeFileSync(path, damaged);
      const code = at < 8 ? 'LAYOUT_MISMATCH' : 'SNAPSHOT_CORRUPT';
      await expect(readSnapshotFile(path), `byte ${at}`).rejects.toMatchObject({ code });
    }
    writeFileSync(path, good);
    for (const length of [good.length - 1, 1536, 100, 0]) {
      truncateSync(path, length);
      await expect(readSnapshotFile(path)).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
    }
    await expect(readSnapshotFile(file.path)).rejects.toMatchObject({
      code: /LAYOUT_MISMATCH|SNAPSHOT_CORRUPT/,
    });
    await expect(readSnapshotFile(file.folder)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    rmSync(path);
    await expect(readSnapshotFile(path)).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  });

  test('that cannot be written is reported, and the generation stands all the same', async () => {
    const file = new CsvFile(vettedNodes(20));
    files.push(file);
    const cache = await openCache({
      source: fileSource(file.path),
      capacity: { nodes: 100, readers: 2 },
      snapshotFile: join(file.folder, 'missing', 'snapshot'),
    });
    caches.push(cache);
    expect(await cache.ready()).toBe(1);
    await until('it is said', () => cache.status().snapshotFile?.problem !== undefined);
    expect(cache.status().snapshotFile?.problem).toMatch(/ENOENT/);
    expect(cache.status().lastError).toBeUndefined();
    expect(cache.select({ count: 5 }).length).toBe(5);
  });
});
