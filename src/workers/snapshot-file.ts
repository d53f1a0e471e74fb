/**
 * Snapshot files: the content of a snapshot without the slack of its slot. Written aside, synced, renamed, so
 * that the path holds the old file or the new one and never a part; read back only with magic, version,
 * length and digest right.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { SnapshotViews } from '../../native-layout/snapshot-views.ts';
import { CacheError } from '../engine/errors.ts';
import { openPackedSnapshot, packSnapshot, type Snapshot } from '../engine/snapshot/snapshot.ts';
import { openRegularFile } from './source/regular-file.ts';

/** Owner only: the list of nodes is the asset. */
const FILE_MODE = 0o600;
/** Largest file that is read: the slot of the largest capacity. */
const FILE_BYTES_MAX = 4 * 1024 ** 3;
/** Bytes of one read; the file system takes less than 2 GiB at once. */
const READ_BYTES = 1024 ** 3;
const TOKEN_BYTES = 6;

/**
 * Writes the snapshot to `path`. Rejects with the file system's error; the file that was there stays. A path
 * belongs to one cache, which writes one snapshot at a time: what lies half-written beside it was left by a
 * thread that ended, and is removed.
 */
export async function writeSnapshotFile(path: string, views: SnapshotViews): Promise<void> {
  await sweep(path);
  const token = randomBytes(TOKEN_BYTES).toString('hex');
  const temporary = join(dirname(path), `.${basename(path)}.${token}.tmp`);
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

async function sweep(path: string): Promise<void> {
  const prefix = `.${basename(path)}.`;
  const ending = new RegExp(`^[0-9a-f]{${2 * TOKEN_BYTES}}[.]tmp$`);
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(prefix) || !ending.test(name.slice(prefix.length))) continue;
    await rm(join(dirname(path), name), { force: true });
  }
}

/**
 * Reads and checks a snapshot file, `readBytes` at a time. Throws SOURCE_UNAVAILABLE, LAYOUT_MISMATCH or
 * SNAPSHOT_CORRUPT.
 */
export async function readSnapshotFile(path: string, readBytes = READ_BYTES): Promise<Snapshot> {
  return openPackedSnapshot(await readFile(path, readBytes));
}

async function readFile(path: string, readBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const file = await openRegularFile(path);
    try {
      const { size } = await file.stat();
      if (size > FILE_BYTES_MAX) {
        throw new CacheError('SNAPSHOT_CORRUPT', `${path} has ${size} bytes; the limit is ${FILE_BYTES_MAX}`);
      }
      return await readWhole(file, size, readBytes);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CacheError && error.code === 'SNAPSHOT_CORRUPT') throw error;
    throw new CacheError('SOURCE_UNAVAILABLE', `cannot read ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function readWhole(
  file: FileHandle,
  size: number,
  readBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(size);
  let at = 0;
  while (at < size) {
    const { bytesRead } = await file.read(bytes, at, Math.min(readBytes, size - at), at);
    if (bytesRead === 0) throw new CacheError('SNAPSHOT_CORRUPT', `the file ends at byte ${at} of ${size}`);
    at += bytesRead;
  }
  return bytes;
}
