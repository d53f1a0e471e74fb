/** Steps of writing a file such that its path always holds a whole one, whenever the machine stops. */
import { randomBytes } from 'node:crypto';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Owner only: the list of nodes is the asset. */
const FILE_MODE = 0o600;
const TOKEN_BYTES = 6;
/** How the name of a file ends that is written aside, as a pattern. */
const ASIDE_ENDING = `[0-9a-f]{${2 * TOKEN_BYTES}}[.]tmp`;

/** A name beside `path` that nobody else has. */
export function asideName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(TOKEN_BYTES).toString('hex')}.tmp`);
}

/** Not before it is whole on disk may a file have a name that is read. */
export async function writeSynced(name: string, bytes: Uint8Array | string): Promise<void> {
  const file = await open(name, 'wx', FILE_MODE);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Removes what was left half-written beside `path`, which only one thread at a time may write. */
export async function sweepAside(path: string): Promise<void> {
  await sweep(path, ASIDE_ENDING, `.${basename(path)}.`);
}

/** Removes files beside `path` whose names are `prefix` and then `ending`, a pattern. */
export async function sweep(
  path: string,
  ending: string,
  prefix: string,
  kept: readonly string[] = [],
): Promise<void> {
  const pattern = new RegExp(`^${ending}$`);
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(prefix) || !pattern.test(name.slice(prefix.length)) || kept.includes(name)) continue;
    await rm(join(dirname(path), name), { force: true });
  }
}

/** Puts a file with these bytes in the place of what is at `path`. Rejects with the file system's error. */
export async function replaceFile(path: string, bytes: Uint8Array | string): Promise<void> {
  await sweepAside(path);
  const temporary = asideName(path);
  try {
    await writeSynced(temporary, bytes);
    await rename(temporary, path);
    await syncFolder(path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
