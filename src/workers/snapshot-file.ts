/**
 * Snapshot files: the content of a snapshot without the slack of its slot. Written aside, synced, renamed, so
 * that a path holds a whole file and never a part; the one before is kept beside it. Read back only with
 * magic, version, length and digest right, and signed, where that is asked for (`snapshot-signature.ts`).
 *
 * Whenever the machine stops, and although the newest file may be damaged besides, what `readNewestSnapshot`
 * finds is the old one or the new one:
 *
 *   step                                path     path.previous
 *   before                              old      older
 *   the new one is written and synced   old      older             and a file with a token, swept next time
 *   the old one has a second name       old      older             and another such file
 *   the new one → path, folder synced   new      older
 *   the second name → path.previous     new      old
 *
 * Where the file system has no second names the old one is moved to path.previous first, and a stop before
 * the next step leaves it there alone.
 */
import { type FileHandle, link, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { HEADER_BYTES, HEADER_WORDS } from '../../native-layout/snapshot-header.ts';
import { CacheError, type ErrorCode } from '../engine/errors.ts';
import { contentLayout, openPackedSnapshot, type Snapshot } from '../engine/snapshot/snapshot.ts';
import {
  checkSignature,
  type SnapshotSigning,
  signatureFileEnding,
  signaturePath,
  signSnapshot,
} from './snapshot-signature.ts';
import { openRegularFile } from './source/regular-file.ts';
import { asideName, sweep, sweepAside, syncFolder, writeSynced } from './synced-file.ts';

/** Largest file that is read: the slot of the largest capacity. */
const FILE_BYTES_MAX = 4 * 1024 ** 3;
/** Bytes of one read; the file system takes less than 2 GiB at once. */
const READ_BYTES = 1024 ** 3;
const PREVIOUS_SUFFIX = '.previous';

type Packed = Uint8Array<ArrayBuffer>;

/**
 * Writes `packed`, what `packSnapshot` returns, to `path`, and moves what was there to `path.previous`.
 * Rejects with the file system's error, or CONFIG_INVALID where it cannot be signed; a whole file stays at
 * one of the two. A path belongs to one cache, which writes one snapshot at a time: what lies half-written
 * beside it was left by a thread that ended, and is removed.
 */
export async function writeSnapshotFile(
  path: string,
  packed: Uint8Array,
  signing?: SnapshotSigning,
): Promise<void> {
  await sweepAside(path);
  const signature = await signSnapshot(packed, signing);
  const temporary = asideName(path);
  const second = asideName(path);
  try {
    if (signature !== undefined) {
      await writeSynced(temporary, signature);
      await rename(temporary, signaturePath(path, packed));
      // On disk before a file is that needs it.
      await syncFolder(path);
    }
    await writeSynced(temporary, packed);
    const kept = await keepOld(path, second);
    await rename(temporary, path);
    await syncFolder(path);
    if (kept === 'second name') {
      await rename(second, path + PREVIOUS_SUFFIX);
      await syncFolder(path);
    }
  } catch (error) {
    for (const name of [temporary, second]) await rm(name, { force: true });
    throw error;
  }
  if (signature !== undefined) await dropSignatures(path, packed);
}

/** Gives the file at `path` a second name; moves it to `path.previous` where that is not possible. */
async function keepOld(path: string, second: string): Promise<'second name' | 'moved' | 'nothing'> {
  try {
    await link(path, second);
    return 'second name';
  } catch (error) {
    if (isMissing(error)) return 'nothing';
  }
  try {
    await rename(path, path + PREVIOUS_SUFFIX);
    return 'moved';
  } catch (error) {
    // The first one has none before it.
    if (isMissing(error)) return 'nothing';
    throw error;
  }
}

/** Removes the signatures of files that are not there any more. */
async function dropSignatures(path: string, packed: Uint8Array): Promise<void> {
  const kept = [basename(signaturePath(path, packed))];
  try {
    const file = await openRegularFile(path + PREVIOUS_SUFFIX, { followLinks: false });
    try {
      const header = new Uint8Array(HEADER_BYTES);
      await file.read(header, 0, HEADER_BYTES, 0);
      kept.push(basename(signaturePath(path, header)));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  await sweep(path, signatureFileEnding, `${basename(path)}.`, kept);
}

/** What was made of a file that was read back, and what is wrong with a newer one that could not be used. */
export interface StoredSnapshot<T> {
  readonly opened: T;
  readonly path: string;
  readonly problem: CacheError | undefined;
}

export interface ReadLimits {
  /** Larger files are refused, before memory is taken for them. */
  readonly bytesMax?: number;
  /** Whose signature is asked for. */
  readonly signing?: SnapshotSigning | undefined;
}

/**
 * What `use` makes of the newest file that `writeSnapshotFile` left at `path`, or, where it throws a
 * `CacheError`, of the one before; undefined when there is none. Throws what is wrong with the file at `path`
 * when neither is good. Symbolic links are not followed. The bytes have the length that their header says,
 * and are signed where that is asked for; all else is for `use` to check.
 */
export async function readNewestSnapshot<T>(
  path: string,
  use: (packed: Packed) => T,
  { bytesMax = FILE_BYTES_MAX, signing }: ReadLimits = {},
): Promise<StoredSnapshot<T> | undefined> {
  let problem: CacheError | undefined;
  for (const candidate of [path, path + PREVIOUS_SUFFIX]) {
    try {
      const packed = await readPacked(candidate, { followLinks: false, bytesMax, readBytes: READ_BYTES });
      await checkSignature(path, packed, signing);
      return { opened: use(packed), path: candidate, problem };
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      // Its signature may be missing too: that is something else.
      const isNone = error.code === 'SOURCE_UNAVAILABLE' && isMissing(error.cause);
      if (!isNone) problem ??= naming(candidate, error);
    }
  }
  if (problem !== undefined) throw problem;
  return undefined;
}

/**
 * Reads and checks a snapshot file, `readBytes` at a time. Throws SOURCE_UNAVAILABLE, LAYOUT_MISMATCH or
 * SNAPSHOT_CORRUPT. Symbolic links are followed: the path is somebody's who asks for it.
 */
export async function readSnapshotFile(path: string, readBytes = READ_BYTES): Promise<Snapshot> {
  return openPackedSnapshot(
    await readPacked(path, { followLinks: true, bytesMax: FILE_BYTES_MAX, readBytes }),
  );
}

export interface InspectedSnapshot {
  readonly snapshot: Snapshot;
  /** Where its signature lies; undefined: there is none. */
  readonly signatureFile: string | undefined;
  /** Fingerprint of the public key that has signed it; undefined: none was given. */
  readonly signedBy: string | undefined;
}

/** The same, and its signature, which is checked where there are public keys to do it by. */
export async function inspectSnapshotFile(
  path: string,
  publicKeyFiles: readonly string[] = [],
): Promise<InspectedSnapshot> {
  const options = { followLinks: true, bytesMax: FILE_BYTES_MAX, readBytes: READ_BYTES };
  const packed = await readPacked(path, options);
  const snapshot = openPackedSnapshot(packed);
  const newest = path.endsWith(PREVIOUS_SUFFIX) ? path.slice(0, -PREVIOUS_SUFFIX.length) : path;
  const signedBy = await checkSignature(newest, packed, { keyFile: undefined, publicKeyFiles });
  const signatureFile = signaturePath(newest, packed);
  const isThere = (await readdir(dirname(path))).includes(basename(signatureFile));
  return { snapshot, signatureFile: isThere ? signatureFile : undefined, signedBy };
}

interface ReadOptions {
  readonly followLinks: boolean;
  readonly bytesMax: number;
  readonly readBytes: number;
}

async function readPacked(path: string, options: ReadOptions): Promise<Packed> {
  try {
    const file = await openRegularFile(path, options);
    try {
      const { size } = await file.stat();
      return await readWhole(file, size, options);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CacheError && error.code !== 'SOURCE_FAILED') throw error;
    throw new CacheError('SOURCE_UNAVAILABLE', `cannot read ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Memory is taken for a file only when it is as long as its header says. */
async function readWhole(file: FileHandle, size: number, options: ReadOptions): Promise<Packed> {
  const { bytesMax, readBytes } = options;
  if (size > bytesMax) {
    throw new CacheError('SNAPSHOT_CORRUPT', `it has ${size} bytes; the limit is ${bytesMax}`);
  }
  if (size < HEADER_BYTES) {
    throw new CacheError('SNAPSHOT_CORRUPT', `${size} bytes are too few for a header`);
  }
  const header = new Uint8Array(HEADER_BYTES);
  await readInto(file, header, readBytes);
  const { byteLength } = contentLayout(new Uint32Array(header.buffer, 0, HEADER_WORDS));
  if (byteLength !== size) {
    const detail = `the header's counts amount to ${byteLength} bytes; there are ${size}`;
    throw new CacheError('SNAPSHOT_CORRUPT', detail);
  }
  const bytes = new Uint8Array(size);
  await readInto(file, bytes, readBytes);
  return bytes;
}

async function readInto(file: FileHandle, bytes: Packed, readBytes: number): Promise<void> {
  let at = 0;
  while (at < bytes.length) {
    const { bytesRead } = await file.read(bytes, at, Math.min(readBytes, bytes.length - at), at);
    if (bytesRead === 0) {
      throw new CacheError('SNAPSHOT_CORRUPT', `the file ends at byte ${at} of ${bytes.length}`);
    }
    at += bytesRead;
  }
}

/** Errors that say what is wrong with bytes; the others name what they are about. */
const ABOUT_BYTES: readonly ErrorCode[] = ['SNAPSHOT_CORRUPT', 'LAYOUT_MISMATCH', 'CAPACITY_EXCEEDED'];

function naming(path: string, error: CacheError): CacheError {
  const { code, message, field } = error;
  if (!ABOUT_BYTES.includes(code)) return error;
  const options = field === undefined ? { cause: error } : { cause: error, field };
  return new CacheError(code, `${path}: ${message}`, options);
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
}
