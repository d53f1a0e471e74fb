/** Revocation through an open cache: at once on every thread, over generations, until it is over. */
import { once } from 'node:events';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { attachCache, openCache } from '../../src/workers/cache.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import { CsvFile, vettedNodes } from '../support/csv-file.ts';
import { testId } from '../support/population.ts';
import { until } from '../support/until.ts';

const caches: Cache[] = [];
const files: CsvFile[] = [];
const threads: Worker[] = [];
process.on('worker', worker => threads.push(worker));

afterEach(async () => {
  await Promise.all(caches.splice(0).map(cache => cache.close()));
  for (const file of files.splice(0)) file.remove();
});

const NODES = vettedNodes(10);
const ID = NODES[3]!.id;

async function open(everyMs = 3_600_000) {
  const file = new CsvFile(NODES);
  files.push(file);
  const cache = await openCache({
    source: fileSource(file.path),
    capacity: { nodes: 6_000, readers: 4 },
    refresh: { everyMs, backoffFirstMs: 5, backoffLongestMs: 20 },
  });
  caches.push(cache);
  return { cache, file };
}

const picked = (cache: Pick<Cache, 'select'>) => cache.select({ count: 10 }).nodes.map(({ id }) => id);

describe('a revoked node', () => {
  test('is out of selections on every reader when the call resolves, in the same generation', async () => {
    const { cache } = await open();
    const other = attachCache(cache.handle());
    const generation = cache.generation();
    expect(await cache.revoke([ID])).toEqual({ revoked: 1, notEligible: 0, already: 0 });
    for (const reader of [cache, other]) {
      expect(picked(reader)).not.toContain(ID);
      expect(picked(reader)).toHaveLength(9);
      expect(reader.generation()).toBe(generation);
    }
    expect(cache.lookup([ID]).unknown).toEqual([]);
    expect(cache.status().revoked).toBe(1);
    other.close();
  });

  test('stays out over refreshes in which the source has it as before', async () => {
    const { cache } = await open();
    await cache.revoke([ID]);
    for (let i = 0; i < 3; i++) {
      expect(await cache.refresh()).toMatchObject({ ok: true });
      expect(picked(cache)).not.toContain(ID);
    }
    expect(await cache.revoke([ID])).toEqual({ revoked: 0, notEligible: 0, already: 1 });
  });

  test('that the source has left out since comes back when the source has it again', async () => {
    const { cache, file } = await open();
    await cache.revoke([ID]);
    file.write(NODES.filter(({ id }) => id !== ID));
    await cache.refresh();
    expect(cache.status().revoked).toBe(0);
    file.write(NODES);
    await cache.refresh();
    expect(picked(cache)).toContain(ID);
  });

  test('comes back by itself when its time is over', async () => {
    const { cache } = await open();
    // Long enough for a look at it before, on a machine that is busy.
    await cache.revoke([ID], { holdMs: 1_500 });
    expect(picked(cache)).not.toContain(ID);
    await until('the node is back', () => picked(cache).includes(ID));
    await until('nothing is revoked', () => cache.status().revoked === 0);
  });

  test('comes back when it is restored, without anybody asking for a refresh', async () => {
    const { cache } = await open();
    await cache.revoke([ID, NODES[5]!.id]);
    expect(await cache.restore([ID, testId(999)])).toBe(1);
    await until('the node is back', () => picked(cache).includes(ID));
    expect(picked(cache)).not.toContain(NODES[5]!.id);
  });

  test('stays out when the loader thread dies, and after the load of the next one', async () => {
    const { cache } = await open();
    await cache.revoke([ID]);
    const loader = threads.at(-1)!;
    const exited = once(loader, 'exit');
    await loader.terminate();
    await exited;
    expect(picked(cache)).not.toContain(ID);
    await until(
      'the next loader has loaded',
      () => cache.generation() > 1 && cache.status().state === 'waiting',
    );
    expect(picked(cache)).not.toContain(ID);
    expect(cache.status().revoked).toBe(1);
  });

  test('that nobody knows yet is held out when it comes', async () => {
    const { cache, file } = await open();
    const late = vettedNodes(12)[11]!;
    expect(await cache.revoke([late.id])).toEqual({ revoked: 0, notEligible: 1, already: 0 });
    file.write([...NODES, late]);
    // This read is the first that could confirm it, and has it as eligible: it is not confirmed.
    await cache.refresh();
    expect(cache.select({ count: 10 }).nodes.map(({ id }) => id)).not.toContain(late.id);
  });

  test('stays out of every selection while generations are published back to back', async () => {
    const { cache } = await open(10);
    await cache.revoke([ID]);
    const first = cache.generation();
    await until('twenty generations have gone by', () => {
      for (let i = 0; i < 50; i++) expect(picked(cache)).not.toContain(ID);
      return cache.generation() > first + 20;
    });
  });
});

describe('a revocation', () => {
  test('of what is no id is refused by name, and revokes nothing', async () => {
    const { cache } = await open();
    await expect(cache.revoke([ID, 'no id'])).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      field: 'ids[1]',
    });
    await expect(cache.revoke([ID], { holdMs: 0 })).rejects.toMatchObject({ field: 'holdMs' });
    expect(picked(cache)).toContain(ID);
  });

  test('beyond the limit is refused as a whole', async () => {
    const { cache } = await open();
    const many = Array.from({ length: 4_096 }, (_, i) => testId(i + 100));
    expect(await cache.revoke(many)).toMatchObject({ notEligible: 4_096 });
    await expect(cache.revoke([ID])).rejects.toMatchObject({ code: 'CAPACITY_EXCEEDED' });
    expect(picked(cache)).toContain(ID);
    expect(await cache.restore(many)).toBe(4_096);
    expect(await cache.revoke([ID])).toMatchObject({ revoked: 1 });
  });

  test('on a closed cache is refused', async () => {
    const { cache } = await open();
    await cache.close();
    await expect(cache.revoke([ID])).rejects.toMatchObject({ code: 'CACHE_CLOSED' });
  });
});

test('revocations outlive a loader thread with their own time', async () => {
  const { cache } = await open();
  await cache.revoke([ID], { holdMs: 86_400_000 });
  await cache.revoke([NODES[4]!.id], { holdMs: 4_000 });
  const loader = threads.at(-1)!;
  const exited = once(loader, 'exit');
  await loader.terminate();
  await exited;
  await until(
    'the next loader has loaded',
    () => cache.generation() > 1 && cache.status().state === 'waiting',
  );
  await until('the short one is over', () => cache.status().revoked === 1);
  await until('its node is back', () => picked(cache).includes(NODES[4]!.id));
  expect(picked(cache)).not.toContain(ID);
});

describe('the file of revocations beside the snapshot file', () => {
  const pathOf = (file: CsvFile) => join(file.folder, 'nodes.snapshot.revocations');

  async function openWith(file: CsvFile): Promise<Cache> {
    const cache = await openCache({
      source: fileSource(file.path),
      capacity: { nodes: 100, readers: 2 },
      snapshotFile: join(file.folder, 'nodes.snapshot'),
      refresh: { everyMs: 3_600_000 },
    });
    caches.push(cache);
    return cache;
  }

  async function reopen(cache: Cache, file: CsvFile): Promise<Cache> {
    await cache.close();
    return await openWith(file);
  }

  function newFile(): CsvFile {
    const file = new CsvFile(NODES);
    files.push(file);
    return file;
  }

  const lines = (file: CsvFile) => readFileSync(pathOf(file), 'utf8').split('\n').slice(0, -1);

  test('keeps them over a restart, for the time that is left, and forgets those that are over', async () => {
    const file = newFile();
    const first = await openWith(file);
    await first.revoke([ID], { holdMs: 86_400_000 });
    await first.revoke([NODES[4]!.id], { holdMs: 60_000 });
    await first.revoke([NODES[5]!.id, NODES[6]!.id]);
    await first.restore([NODES[6]!.id]);
    await first.close();
    expect(statSync(pathOf(file)).mode & 0o777).toBe(0o600);
    expect(lines(file)).toHaveLength(3);
    const leftMs =
      Date.parse(
        lines(file)
          .find(line => line.startsWith(ID))!
          .split(' ')[1]!,
      ) - Date.now();
    expect(leftMs).toBeGreaterThan(86_300_000);
    expect(leftMs).toBeLessThanOrEqual(86_400_000);
    // One that ended while no process ran.
    writeFileSync(
      pathOf(file),
      readFileSync(pathOf(file), 'utf8').replace(/^(.*) \S+$/m, '$1 2026-01-01T00:00:00Z'),
    );
    const [over] = lines(file)[0]!.split(' ');
    const second = await openWith(file);
    expect(second.status().revoked).toBe(2);
    expect(picked(second)).toContain(over);
    expect(picked(second)).toHaveLength(8);
    const third = await reopen(second, file);
    expect(third.status().revoked).toBe(2);
    expect(await third.restore(lines(file).map(line => line.split(' ')[0]!))).toBe(2);
    const last = await reopen(third, file);
    expect(last.status().revoked).toBe(0);
    expect(lines(file)).toEqual([]);
  });

  test('forgets those that the source has confirmed', async () => {
    const file = newFile();
    const cache = await openWith(file);
    await cache.revoke([ID]);
    file.write(NODES.filter(({ id }) => id !== ID));
    await cache.refresh();
    await cache.close();
    expect(lines(file)).toEqual([]);
  });

  test('may be edited: lines that are wrong are named, the others count', async () => {
    const file = newFile();
    await (await openWith(file)).close();
    writeFileSync(pathOf(file), `# by hand\n${ID} 2126-01-01T00:00:00Z\n\nno line\n${NODES[2]!.id} soon\n`);
    const cache = await openWith(file);
    expect(picked(cache)).not.toContain(ID);
    expect(cache.status()).toMatchObject({
      revoked: 1,
      snapshotFile: { revocationsProblem: expect.stringContaining('lines 4, 5 are not "<id> <time>"') },
    });
    // What is not understood is somebody's: it is written again as it is.
    await cache.revoke([NODES[5]!.id]);
    expect(lines(file).slice(0, 3)).toEqual(['# by hand', 'no line', `${NODES[2]!.id} soon`]);
    expect(lines(file)).toHaveLength(5);
  });

  test('has what was revoked when that is answered: a kill takes nothing of it', async () => {
    const file = newFile();
    const cache = await openWith(file);
    for (const { id } of NODES.slice(0, 5)) {
      await cache.revoke([id]);
      expect(lines(file).filter(line => line.startsWith(id))).toHaveLength(1);
    }
  });

  test('keeps one that the source has confirmed until the snapshot file has that, too', async () => {
    const file = newFile();
    const cache = await openWith(file);
    await until('the file is written', () => cache.status().snapshotFile?.generation === 1);
    await cache.revoke([ID]);
    const paths = ['nodes.snapshot', 'nodes.snapshot.previous'].map(name => join(file.folder, name));
    // Neither can be replaced by a file.
    for (const path of paths) {
      rmSync(path, { force: true });
      mkdirSync(join(path, 'inside'), { recursive: true });
    }
    file.write(NODES.filter(({ id }) => id !== ID));
    await cache.refresh();
    await until('it cannot be written', () => cache.status().snapshotFile?.problem !== undefined);
    expect(cache.status().revoked).toBe(0);
    expect(lines(file)).toHaveLength(1);
    for (const path of paths) rmSync(path, { recursive: true });
    await cache.refresh();
    await until('the file has it', () => lines(file).length === 0);
  });

  test('is not written while it cannot be read, and is taken in when it can', async () => {
    const file = newFile();
    writeFileSync(join(file.folder, 'elsewhere'), `${ID} 2126-01-01T00:00:00Z\n`);
    symlinkSync(join(file.folder, 'elsewhere'), pathOf(file));
    const cache = await openWith(file);
    expect(cache.status().snapshotFile?.revocationsProblem).toContain('ELOOP');
    await cache.revoke([NODES[5]!.id]);
    expect(readFileSync(join(file.folder, 'elsewhere'), 'utf8')).toContain(ID);
    rmSync(pathOf(file));
    renameSync(join(file.folder, 'elsewhere'), pathOf(file));
    await until('it was tried again', () => cache.status().revoked === 2);
    expect(picked(cache)).not.toContain(ID);
    await until('both are kept', () => lines(file).length === 2);
  });

  test('is as large as it can be, and no larger one is read', async () => {
    const file = newFile();
    const cache = await openWith(file);
    const many = Array.from({ length: 4_096 }, (_, i) => testId(i + 100));
    await cache.revoke(many);
    const again = await reopen(cache, file);
    expect(again.status().revoked).toBe(4_096);
    await again.close();
    appendFileSync(pathOf(file), `${'#'.repeat(1_000_000)}\n`);
    const third = await openWith(file);
    expect(third.status().snapshotFile?.revocationsProblem).toContain('the limit is');
    expect(third.status().revoked).toBe(0);
  });
});
