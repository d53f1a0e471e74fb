/** Snapshot files beside the cache: what is left over from a writer that died, and files of many reads. */
import { readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { readSnapshotFile, writeSnapshotFile } from '../../src/workers/snapshot-file.ts';
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

function snapshot() {
  return new LocalCache({ capacity: 100 }).publish(manyRows(50)).snapshot;
}

test('a half-written file that a dead writer left is removed, and nothing that looks like it', async () => {
  const folder = newFolder();
  const path = join(folder, 'nodes.snapshot');
  const others = ['.nodes.snapshot.tmp', '.other.0123456789ab.tmp', '.nodes.snapshot.0123456789ab.tmp.txt'];
  for (const name of ['.nodes.snapshot.0123456789ab.tmp', ...others]) writeFileSync(join(folder, name), 'x');
  await writeSnapshotFile(path, snapshot().views);
  expect(readdirSync(folder).toSorted()).toEqual([...others, 'nodes.csv', 'nodes.snapshot'].toSorted());
});

test('a file that takes many reads is read whole', async () => {
  const path = join(newFolder(), 'nodes.snapshot');
  await writeSnapshotFile(path, snapshot().views);
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
