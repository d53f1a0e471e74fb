/** What `openCache` takes, what it refuses by its path, and when it resolves. */
import { afterEach, describe, expect, test } from 'vitest';
import { openCache } from '../../src/workers/cache.ts';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import type { Cache, CacheReader } from '../../src/workers/cache-types.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import { CsvFile, vettedNodes } from '../support/csv-file.ts';

const caches: Cache[] = [];
const files: CsvFile[] = [];

afterEach(async () => {
  await Promise.all(caches.splice(0).map(cache => cache.close()));
  for (const file of files.splice(0)) file.remove();
});

function newFile(count = 20): CsvFile {
  const file = new CsvFile(vettedNodes(count));
  files.push(file);
  return file;
}

async function open(options: CacheOptions): Promise<Cache> {
  const cache = await openCache({ capacity: { nodes: 100, readers: 2 }, ...options });
  caches.push(cache);
  return cache;
}

describe('openCache', () => {
  test('resolves when there is something to pick', async () => {
    const cache = await open({ source: fileSource(newFile().path) });
    expect(cache.select({ count: 5 }).length).toBe(5);
  });

  test('resolves at once where that is asked for', async () => {
    const file = newFile();
    file.takeAway();
    const cache = await open({ source: fileSource(file.path), waitForFirstLoad: false });
    expect(cache.generation()).toBe(0);
  });

  test('gives up after its time, says why, and has closed everything', async () => {
    const file = newFile();
    file.takeAway();
    const started: unknown[] = [];
    const watch = (worker: { once(event: 'exit', listener: () => void): void }) => {
      started.push('started');
      worker.once('exit', () => started.push('ended'));
    };
    process.on('worker', watch);
    const listenersBefore = process.listenerCount('worker');
    await expect(open({ source: fileSource(file.path), readyTimeoutMs: 4_000 })).rejects.toMatchObject({
      code: 'SNAPSHOT_NOT_READY',
      message: expect.stringMatching(/within 4000 ms; SOURCE_UNAVAILABLE: .*does not exist/),
    });
    expect(started).toEqual(['started', 'ended']);
    expect(process.listenerCount('worker')).toBe(listenersBefore);
    process.off('worker', watch);
  });

  test('gives what can be disposed of', async () => {
    const cache = await open({ source: fileSource(newFile().path) });
    await cache[Symbol.asyncDispose]();
    expect(cache.status().state).toBe('stopped');
    const reader: CacheReader = cache;
    expect(reader[Symbol.dispose]()).toBeUndefined();
  });
});

describe('an option', () => {
  const source = fileSource('/nowhere/nodes.csv');

  test.each<[string, string, unknown]>([
    ['options', 'found undefined', undefined],
    ['source', 'is missing', {}],
    ['source', 'found a text', { source: 'nodes.csv' }],
    ['source.kind', 'did you mean "file"?', { source: { kind: 'fil' } }],
    ['source.pth', 'did you mean "path"?', { source: { ...source, pth: 'x' } }],
    ['source.path', 'found 5', { source: { kind: 'file', path: 5 } }],
    ['snapshotfile', 'did you mean "snapshotFile"?', { source, snapshotfile: '/x' }],
    ['snapshotFile', 'found 5', { source, snapshotFile: 5 }],
    ['refresh.everMs', 'did you mean "everyMs"?', { source, refresh: { everMs: 5 } }],
    ['refresh.everyMs', 'found a text', { source, refresh: { everyMs: '5' } }],
    ['refresh', 'found 5', { source, refresh: 5 }],
    ['capacity', 'found null', { source, capacity: null }],
    ['capacity.node', 'did you mean "nodes"?', { source, capacity: { node: 5 } }],
    ['limits', 'found an array', { source, limits: [] }],
    ['limits.countmax', 'did you mean "countMax"?', { source, limits: { countmax: 5 } }],
    ['guard.nodeMin', 'did you mean "nodesMin"?', { source, guard: { nodeMin: 5 } }],
    ['guard.allowRanges', 'found a text', { source, guard: { allowRanges: 'loopback' } }],
    ['guard.allowRanges', 'did you mean "loopback"?', { source, guard: { allowRanges: ['lopback'] } }],
    ['guard.allowRanges[0]', 'found 5', { source, guard: { allowRanges: [5] } }],
    ['networkPrefixBits.ipv5', 'did you mean "ipv4"?', { source, networkPrefixBits: { ipv5: 5 } }],
    ['placements', 'found null', { source, placements: null }],
    ['fleet.bus', 'expected an object', { source, fleet: {} }],
    [
      'fleet.bus.kind',
      'did you mean "redis"?',
      { source, fleet: { bus: { kind: 'reddis' }, election: { url: 'postgres:///' } } },
    ],
    [
      'fleet.election.url',
      'is missing',
      { source, fleet: { bus: { kind: 'redis', url: 'redis://127.0.0.1:1' } } },
    ],
    [
      'fleet.keyFile',
      '"/nowhere/key"',
      {
        source,
        fleet: { bus: { kind: 'postgres', url: 'postgres://127.0.0.1:1/x' }, keyFile: '/nowhere/key' },
      },
    ],
    [
      'fleet.bus.url',
      'url',
      {
        source,
        fleet: { bus: { kind: 'redis', url: 'http://127.0.0.1' }, election: { url: 'postgres:///' } },
      },
    ],
    ['waitForFirstLoad', 'found a text', { source, waitForFirstLoad: 'no' }],
    ['readyTimeoutMs', 'found 0', { source, readyTimeoutMs: 0 }],
  ])('%s is refused: %s', async (field, message, options) => {
    await expect(openCache(options as CacheOptions)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      field,
      message: expect.stringContaining(message),
    });
  });

  test('that is undefined means its default', async () => {
    const options = {
      refresh: undefined,
      capacity: undefined,
      snapshotFile: undefined,
      guard: { nodesMin: undefined },
    };
    const cache = await open({ source: fileSource(newFile().path), ...options } as unknown as CacheOptions);
    expect(cache.generation()).toBe(1);
  });
});
