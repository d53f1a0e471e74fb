/** Snapshot files beside the cache: what is left over from a writer that died, and files of many reads. */

import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { CacheError } from '../../src/engine/errors.ts';
import { openPackedSnapshot, packSnapshot } from '../../src/engine/snapshot/snapshot.ts';
import { readNewestSnapshot, readSnapshotFile, writeSnapshotFile } from '../../src/workers/snapshot-file.ts';
import { CsvFile } from '../support/csv-file.ts';
import { LocalCache } from '../support/local-cache.ts';
import { manyRows } from './source/row-source.case.ts';

const files: CsvFile[] = [];

afterEach(() => {
  for (const file of files.splice(0)) file.remove();
});

function newFolder(): string {
  const file = new CsvFile();
  files.push(file);
  return file.folder;
}

const readNewest = (path: string) => readNewestSnapshot(path, openPackedSnapshot);

function snapshot() {
  return new LocalCache({ capacity: 100 }).publish(manyRows(50)).snapshot;
}

test('a half-written file that a dead writer left is removed, and nothing that looks like it', async () => {
  const folder = newFolder();
  const path = join(folder, 'nodes.snapshot');
  const others = ['.nodes.snapshot.tmp', '.other.0123456789ab.tmp', '.nodes.snapshot.0123456789ab.tmp.txt'];
  for (const name of ['.nodes.snapshot.0123456789ab.tmp', ...others]) writeFileSync(join(folder, name), 'x');
  await writeSnapshotFile(path, packSnapshot(snapshot().views));
  expect(readdirSync(folder).toSorted()).toEqual([...others, 'nodes.csv', 'nodes.snapshot'].toSorted());
});

test('a file that takes many reads is read whole', async () => {
  const path = join(newFolder(), 'nodes.snapshot');
  await writeSnapshotFile(path, packSnapshot(snapshot().views));
  expect(await readSnapshotFile(path, 1_000)).toMatchObject({ rowCount: 50 });
});

test('a file above the limit is refused by the limit, and one below it is read', async () => {
  const path = join(newFolder(), 'nodes.snapshot');
  writeFileSync(path, '');
  truncateSync(path, 4 * 1024 ** 3 + 1);
  await expect(readSnapshotFile(path)).rejects.toMatchObject({
    code: 'SNAPSHOT_CORRUPT',
    message: expect.stringContaining('the limit is 4294967296'),
  });
});

describe('the newest snapshot', () => {
  /** Two generations in a row at one path. */
  async function written(): Promise<string> {
    const path = join(newFolder(), 'nodes.snapshot');
    const cache = new LocalCache({ capacity: 100 });
    for (const rows of [40, 50])
      await writeSnapshotFile(path, packSnapshot(cache.publish(manyRows(rows)).snapshot.views));
    return path;
  }

  test('is the last one written; the one before is kept, and nobody else can read either', async () => {
    const path = await written();
    expect(await readNewest(path)).toMatchObject({ path, opened: { generation: 2, rowCount: 50 } });
    expect(await readSnapshotFile(`${path}.previous`)).toMatchObject({ generation: 1, rowCount: 40 });
    for (const name of [path, `${path}.previous`]) expect(statSync(name).mode & 0o777).toBe(0o600);
  });

  test('is the one before where the machine stopped between the two renames', async () => {
    const path = await written();
    rmSync(path);
    const stored = await readNewest(path);
    expect(stored).toMatchObject({
      path: `${path}.previous`,
      opened: { generation: 1 },
      problem: undefined,
    });
  });

  test('is the one before where the last one is damaged, and that is said', async () => {
    const path = await written();
    truncateSync(path, 5_000);
    expect(await readNewest(path)).toMatchObject({
      opened: { generation: 1 },
      problem: { code: 'SNAPSHOT_CORRUPT' },
    });
    truncateSync(`${path}.previous`, 0);
    await expect(readNewest(path)).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
  });

  test('is nothing where nothing was ever written, and is not behind a symbolic link', async () => {
    const path = await written();
    expect(await readNewest(join(newFolder(), 'none'))).toBeUndefined();
    renameSync(path, `${path}.elsewhere`);
    symlinkSync(`${path}.elsewhere`, path);
    expect(await readNewest(path)).toMatchObject({
      opened: { generation: 1 },
      problem: { code: 'SOURCE_UNAVAILABLE' },
    });
  });

  test.each<[string, (path: string) => void]>([
    ['a pipe', path => execFileSync('mkfifo', [path])],
    ['a folder', path => mkdirSync(path)],
    ['a device', path => symlinkSync('/dev/zero', path)],
    ['an empty file', path => writeFileSync(path, '')],
    ['a file that cannot be', path => truncateSync(path, 10_000_000)],
  ])('is the one before where %s has taken its place, without waiting', async (_what, place) => {
    const path = await written();
    renameSync(path, `${path}.elsewhere`);
    if (_what === 'a file that cannot be') writeFileSync(path, readFileSync(`${path}.elsewhere`));
    place(path);
    expect(await readNewest(path)).toMatchObject({ path: `${path}.previous`, opened: { generation: 1 } });
    rmSync(`${path}.previous`);
    await expect(readNewest(path)).rejects.toMatchObject({ message: expect.stringContaining(path) });
  });

  test('is the one before where what is to be made of it finds something wrong', async () => {
    const path = await written();
    const stored = await readNewestSnapshot(path, packed => {
      const opened = openPackedSnapshot(packed);
      if (opened.generation === 2) throw new CacheError('LAYOUT_MISMATCH', 'of other placements');
      return opened.generation;
    });
    expect(stored).toMatchObject({ opened: 1, problem: { code: 'LAYOUT_MISMATCH' } });
    expect(stored?.problem?.message).toBe(`${path}: of other placements`);
  });

  test('is not read where it is longer than there is room for, or than its header says', async () => {
    const path = await written();
    const { size } = statSync(path);
    const bytesMax = size - 1;
    const limited = readNewestSnapshot(path, openPackedSnapshot, { bytesMax });
    expect(await limited).toMatchObject({ opened: { generation: 1 }, problem: { code: 'SNAPSHOT_CORRUPT' } });
    // Of a file full of holes memory would be taken for all of them.
    const before = process.memoryUsage().arrayBuffers;
    truncateSync(path, 3 * 1024 ** 3);
    expect((await readNewest(path))?.problem?.message).toContain('there are 3221225472');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  });

  test('is found when what stood in its place could not be kept', async () => {
    const path = await written();
    rmSync(`${path}.previous`);
    mkdirSync(`${path}.previous`);
    await expect(writeSnapshotFile(path, packSnapshot(snapshot().views))).rejects.toThrow('EISDIR');
    expect(await readNewest(path)).toMatchObject({ path, opened: { rowCount: 50 }, problem: undefined });
    expect(readdirSync(join(path, '..')).filter(name => name.endsWith('.tmp'))).toEqual([]);
  });
});

test('what whoever made it left of a header is enough to say what is wrong with it', async () => {
  const path = join(newFolder(), 'nodes.snapshot');
  const packed = packSnapshot(snapshot().views);
  new Uint32Array(packed.buffer)[HEADER_WORD.ROWS] = 2 ** 32 - 1;
  writeFileSync(path, packed);
  await expect(readSnapshotFile(path)).rejects.toMatchObject({
    code: 'SNAPSHOT_CORRUPT',
    message: expect.stringContaining(`there are ${packed.length}`),
  });
});
