/**
 * Stands in for `node:fs/promises` under code that writes snapshot files: does the same, and writes down what
 * was asked of the disk, in order. One folder at a time.
 */
import * as disk from 'node:fs/promises';
import { basename } from 'node:path';

/** What changed, in names of the folder and numbers of files. A file keeps its number whatever its name. */
export type DiskOperation =
  | { readonly kind: 'create' | 'link'; readonly name: string; readonly file: number }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly file: number }
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'write'; readonly file: number; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate' | 'sync'; readonly file: number }
  | { readonly kind: 'sync folder' };

/** Pieces in which bytes are handed to the disk: it may stop between any two. */
const WRITE_BYTES = 1_024;

interface Recording {
  operations: DiskOperation[];
  names: Map<string, number>;
  files: number;
  hasLinks: boolean;
}

const recording: Recording = { operations: [], names: new Map(), files: 0, hasLinks: true };

/** Begins anew in an empty folder. `hasLinks`: the file system gives files second names. */
export function startRecording({ hasLinks = true } = {}): void {
  Object.assign(recording, { operations: [], names: new Map(), files: 0, hasLinks });
}

/** What was done since the last call. */
export function takeOperations(): DiskOperation[] {
  return recording.operations.splice(0);
}

function note(operation: DiskOperation): void {
  recording.operations.push(operation);
}

function fileAt(name: string): number {
  const file = recording.names.get(name);
  if (file === undefined) throw new Error(`"${name}" was not made here`);
  return file;
}

function named(kind: 'create' | 'link', name: string, file: number): void {
  recording.names.set(name, file);
  note({ kind, name, file });
}

/** A handle, as far as snapshot files need one. */
interface RecordedHandle {
  writeFile(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export async function open(path: string, flags: string, mode?: number): Promise<RecordedHandle> {
  const handle = await disk.open(path, flags, mode);
  const close = () => handle.close();
  if ((await handle.stat()).isDirectory()) {
    const sync = async () => note({ kind: 'sync folder' });
    return { sync, close, writeFile: () => Promise.reject(new Error('a folder')) };
  }
  const name = basename(path);
  if (!recording.names.has(name)) named('create', name, recording.files++);
  const file = fileAt(name);
  if (flags === 'w') note({ kind: 'truncate', file });
  return {
    close,
    sync: async () => note({ kind: 'sync', file }),
    writeFile: async bytes => {
      await handle.writeFile(bytes);
      for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
        note({ kind: 'write', file, at, bytes: bytes.slice(at, at + WRITE_BYTES) });
      }
    },
  };
}

export async function link(path: string, second: string): Promise<void> {
  if (!recording.hasLinks) throw Object.assign(new Error('no second names here'), { code: 'EPERM' });
  await disk.link(path, second);
  named('link', basename(second), fileAt(basename(path)));
}

export async function rename(path: string, newPath: string): Promise<void> {
  await disk.rename(path, newPath);
  const [from, to] = [basename(path), basename(newPath)];
  const file = fileAt(from);
  recording.names.delete(from);
  recording.names.set(to, file);
  note({ kind: 'rename', from, to, file });
}

export async function rm(path: string, options: { force?: boolean }): Promise<void> {
  await disk.rm(path, options);
  const name = basename(path);
  if (recording.names.delete(name)) note({ kind: 'remove', name });
}

export function readdir(path: string): Promise<string[]> {
  return disk.readdir(path);
}
