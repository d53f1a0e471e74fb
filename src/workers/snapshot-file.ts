/**
 * Snapshot files: the content of a snapshot without the slack of its slot. Written aside, synced, renamed, so that the
 * path holds the old file or the new one and never a part; read back only with magic, version, length and digest right.
 */
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { SnapshotViews } from '../../native-layout/snapshot-views.ts';
import { CacheError } from '../engine/errors.ts';
import { openPackedSnapshot, packSnapshot, type Snapshot } from '../engine/snapshot.ts';

/** Owner only: the list of nodes is the asset. */
const FILE_MODE = 0o600;
/** Largest file that is read: the slot of the largest capacity. */
const FILE_BYTES_MAX = 4 * 1024 ** 3;

/** Writes the snapshot to `path`. Rejects with the file system's error; the file that was there stays. */
export async function writeSnapshotFile(path: string, views: SnapshotViews): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', FILE_MODE);
    try {
      await file.writeFile(packSnapshot(views));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Reads and checks a snapshot file. Throws SOURCE_UNAVAILABLE, LAYOUT_MISMATCH or SNAPSHOT_CORRUPT. */
export async function readSnapshotFile(path: string): Promise<Snapshot> {
  return openPackedSnapshot(await readBytes(path));
}

async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const file = await open(path, 'r');
    try {
      const stat = await file.stat();
      if (!stat.isFile()) throw new CacheError('SOURCE_UNAVAILABLE', `${path} is not a regular file`);
      if (stat.size > FILE_BYTES_MAX) {
        throw new CacheError(
          'SNAPSHOT_CORRUPT',
          `${path} has ${stat.size} bytes; the limit is ${FILE_BYTES_MAX}`,
        );
      }
      const bytes = new Uint8Array(stat.size);
      await file.read(bytes, 0, bytes.length, 0);
      return bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CacheError) throw error;
    throw new CacheError('SOURCE_UNAVAILABLE', `cannot read ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
