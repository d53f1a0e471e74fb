/**
 * A cache that starts from the file of the one before: at once, with its true age, and never from a bad one.
 */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { HEADER_BYTES, HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { ROW_NETWORK_WORD } from '../../native-layout/snapshot-row.ts';
import { openCache } from '../../src/workers/cache.ts';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import { writeSnapshotFile } from '../../src/workers/snapshot-file.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import { CsvFile, vettedNodes } from '../support/csv-file.ts';
import { resealed } from '../support/snapshot-mutations.ts';
import { until } from '../support/until.ts';

/** Of the first row. */
const ROW_NETWORK = HEADER_BYTES / 4 + ROW_NETWORK_WORD;

const caches: Cache[] = [];
const files: CsvFile[] = [];

afterEach(async () => {
  await Promise.all(caches.splice(0).map(cache => cache.close()));
  for (const file of files.splice(0)) file.remove();
});

async function open(file: CsvFile, options: Partial<CacheOptions> = {}): Promise<Cache> {
  const cache = await openCache({
    source: fileSource(file.path),
    capacity: { nodes: 100, readers: 2 },
    snapshotFile: join(file.folder, 'nodes.snapshot'),
    ...options,
    refresh: { everyMs: 3_600_000, backoffFirstMs: 20, backoffLongestMs: 50, ...options.refresh },
  });
  caches.push(cache);
  return cache;
}

/** A cache that has loaded `nodes` and written them, and is closed; its source is gone. */
async function left(nodes = vettedNodes(20)): Promise<CsvFile> {
  const file = new CsvFile(nodes);
  files.push(file);
  const cache = await open(file);
  await until('the file is written', () => existsSync(join(file.folder, 'nodes.snapshot')));
  await cache.close();
  file.takeAway();
  return file;
}

/** The status comes by a message, a moment after what it tells of. */
function restoredIn(cache: Cache): Promise<void> {
  return until('the status tells of it', () => cache.status().restored !== undefined);
}

describe('a cache whose source is away', () => {
  test('serves what the one before had, at once, and says how old it is', async () => {
    const before = Date.now();
    const file = await left();
    const cache = await open(file);
    expect(cache.select({ count: 20 }).nodes).toHaveLength(20);
    expect(cache.ageMs()).toBeGreaterThan(0);
    expect(cache.ageMs()).toBeLessThanOrEqual(Date.now() - before + 1);
    await until('the load has failed', () => cache.status().refreshes.failed > 0);
    const { restored, lastLoad, nodes } = cache.status();
    expect(restored).toMatchObject({ generation: 1, path: join(file.folder, 'nodes.snapshot') });
    expect(lastLoad).toBeUndefined();
    expect(nodes).toMatchObject({ vetted: 20 });
    expect(cache.select({ count: 20 }).nodes).toHaveLength(20);
  });

  test('goes on from there when the source is back, and does not lose its nodes to a bad load', async () => {
    const file = await left();
    const cache = await open(file);
    file.write(vettedNodes(3));
    await until('the guard has refused it', () => cache.status().lastError?.code === 'SNAPSHOT_REJECTED');
    expect(cache.select({ count: 20 }).nodes).toHaveLength(20);
    file.write(vettedNodes(25));
    await until('it has loaded', () => cache.status().lastLoad !== undefined);
    expect(cache.select({ count: 25 }).nodes).toHaveLength(25);
    expect(cache.generation()).toBeGreaterThan(1);
  });

  test('starts from the file before where the last is damaged, and from none where both are', async () => {
    const file = await left();
    const path = join(file.folder, 'nodes.snapshot');
    writeFileSync(`${path}.previous`, readFileSync(path));
    truncateSync(path, 1_000);
    const cache = await open(file);
    expect(cache.select({ count: 20 }).nodes).toHaveLength(20);
    await restoredIn(cache);
    expect(cache.status().restored).toMatchObject({ problem: { code: 'SNAPSHOT_CORRUPT' } });
    await cache.close();
    rmSync(`${path}.previous`);
    const none = await open(file, { waitForFirstLoad: false });
    await until('the load has failed', () => none.status().refreshes.failed > 0);
    expect(none.generation()).toBe(0);
    expect(none.status().restored).toMatchObject({ problem: { code: 'SNAPSHOT_CORRUPT' } });
  });

  test('does not start from a file of other placements, and says what differs', async () => {
    const file = await left();
    const placements = { de: { filter: { countries: ['DE'] } } };
    const cache = await open(file, { placements, waitForFirstLoad: false });
    await until('the load has failed', () => cache.status().refreshes.failed > 0);
    expect(cache.generation()).toBe(0);
    expect(cache.status().restored?.problem).toMatchObject({ code: 'LAYOUT_MISMATCH' });
  });

  test('starts from the file before where the last one is forged, and its thread lives', async () => {
    const file = await left();
    const path = join(file.folder, 'nodes.snapshot');
    const good = readFileSync(path);
    const forgeries: [string, (words: Uint32Array, floats: Float64Array) => unknown][] = [
      ['pools larger than the rows', words => words.fill(2 ** 31, HEADER_WORD.VETTED, HEADER_WORD.NEW)],
      ['no generation', words => words.fill(0, HEADER_WORD.GENERATION, HEADER_WORD.ROWS)],
      ['a row of no network', words => words.fill(99, ROW_NETWORK, ROW_NETWORK + 1)],
      ['a moment that is none', (_, floats) => floats.fill(1e300, HEADER_WORD.READ_AT_UNIX / 2)],
    ];
    for (const [what, forge] of forgeries) {
      writeFileSync(`${path}.previous`, good);
      const bytes = new Uint8Array(good);
      const end = HEADER_WORD.READ_AT_UNIX / 2 + 1;
      forge(new Uint32Array(bytes.buffer), new Float64Array(bytes.buffer, 0, end));
      resealed(bytes, true);
      writeFileSync(path, bytes);
      const cache = await open(file);
      expect(cache.select({ count: 20 }).nodes, what).toHaveLength(20);
      await restoredIn(cache);
      const { restored, restarts } = cache.status();
      expect(restored, what).toMatchObject({
        path: `${path}.previous`,
        problem: { code: 'SNAPSHOT_CORRUPT' },
      });
      expect(restarts, what).toBe(0);
      await cache.close();
    }
  });

  test('counts the age of what a clock of then said is still to come by the monotonic clock', async () => {
    const file = await left();
    const path = join(file.folder, 'nodes.snapshot');
    const bytes = new Uint8Array(readFileSync(path));
    const floats = new Float64Array(bytes.buffer, 0, HEADER_WORD.READ_AT_UNIX / 2 + 1);
    floats[HEADER_WORD.READ_AT_UNIX / 2]! += 3_600_000;
    floats[HEADER_WORD.READ_AT_MONOTONIC / 2]! -= 60_000;
    resealed(bytes, true);
    writeFileSync(path, bytes);
    const cache = await open(file);
    expect(cache.ageMs()).toBeGreaterThan(60_000);
    expect(cache.ageMs()).toBeLessThan(3_600_000);
  });

  test('starts from no file that is not signed, where signatures are asked for', async () => {
    const file = await left();
    const path = join(file.folder, 'nodes.snapshot');
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const keyFile = join(file.folder, 'secret.pem');
    const publicKeyFile = join(file.folder, 'public.pem');
    writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(publicKeyFile, publicKey.export({ type: 'spki', format: 'pem' }));
    const snapshotSigning = { keyFile, publicKeyFiles: [publicKeyFile] };
    const none = await open(file, { snapshotSigning, waitForFirstLoad: false });
    await until('the load has failed', () => none.status().refreshes.failed > 0);
    expect(none.generation()).toBe(0);
    expect(none.status().restored?.problem?.message).toContain('not signed');
    await none.close();
    await writeSnapshotFile(path, new Uint8Array(readFileSync(path)), snapshotSigning);
    const cache = await open(file, { snapshotSigning });
    expect(cache.select({ count: 20 }).nodes).toHaveLength(20);
    await restoredIn(cache);
    expect(cache.status().restored).toMatchObject({ path });
  });
});
