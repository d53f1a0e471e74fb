/** Opens a file and reads it as text, a chunk at a time. Throws a `CacheError` that names the path. */
import type { FileHandle } from 'node:fs/promises';
import { TextDecoder } from 'node:util';
import { CacheError, type ErrorCode } from '../../../engine/errors.ts';
import { abortFailure } from '../abort.ts';
import { openRegularFile } from '../regular-file.ts';

/** Bytes of one read: large enough that the calls do not count, small enough to be nothing. */
const CHUNK_BYTES = 256 * 1024;

const OPEN_FAILURES: Readonly<Record<string, { code: ErrorCode; detail: string }>> = {
  ENOENT: { code: 'SOURCE_UNAVAILABLE', detail: 'does not exist' },
  ENOTDIR: { code: 'SOURCE_UNAVAILABLE', detail: 'does not exist: a part of the path is no directory' },
  EACCES: { code: 'SOURCE_DENIED', detail: 'may not be read by this user' },
  EPERM: { code: 'SOURCE_DENIED', detail: 'may not be read by this user' },
  EISDIR: { code: 'SOURCE_FAILED', detail: 'is a directory, not a file' },
};

/** A file that is read from one handle: a new file renamed over the path does not mix with it. */
export interface SourceFile {
  readonly byteCount: number;
  chunks(signal: AbortSignal): AsyncGenerator<string>;
  close(): Promise<void>;
}

export async function openFile(path: string): Promise<SourceFile> {
  let handle: FileHandle;
  try {
    handle = await openRegularFile(path);
  } catch (error) {
    throw fileFailure(path, error);
  }
  try {
    const byteCount = await examine(path, handle);
    return { byteCount, chunks: signal => readChunks(path, handle, signal), close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw fileFailure(path, error);
  }
}

async function examine(path: string, handle: FileHandle): Promise<number> {
  const stats = await handle.stat();
  if (stats.size === 0) throw new CacheError('SOURCE_SCHEMA', `"${path}" is empty`);
  return stats.size;
}

async function* readChunks(path: string, handle: FileHandle, signal: AbortSignal): AsyncGenerator<string> {
  const before = await handle.stat();
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  // A byte order mark at the start is dropped; bytes that are no UTF-8 are an error, not question marks.
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let byteOffset = 0;
  for (;;) {
    if (signal.aborted) throw abortFailure(signal, `"${path}"`);
    const byteCount = await readAt(path, handle, buffer, byteOffset);
    yield decode(path, decoder, buffer.subarray(0, byteCount), byteOffset);
    if (byteCount === 0) break;
    byteOffset += byteCount;
  }
  const after = await handle.stat();
  if (after.mtimeMs !== before.mtimeMs || after.size !== before.size) {
    const advice = 'write a new file and rename it over this one';
    throw new CacheError('SOURCE_FAILED', `"${path}" changed while it was read: ${advice}`);
  }
}

async function readAt(path: string, handle: FileHandle, buffer: Buffer, byteOffset: number): Promise<number> {
  try {
    return (await handle.read(buffer, 0, buffer.length, byteOffset)).bytesRead;
  } catch (error) {
    throw fileFailure(path, error);
  }
}

function decode(path: string, decoder: TextDecoder, bytes: Buffer, byteOffset: number): string {
  try {
    return decoder.decode(bytes, { stream: bytes.length > 0 });
  } catch (error) {
    const where = `between byte ${byteOffset} and ${byteOffset + bytes.length}`;
    throw new CacheError('SOURCE_FAILED', `"${path}" is not UTF-8 text ${where}`, { cause: error });
  }
}

function fileFailure(path: string, error: unknown): CacheError {
  if (error instanceof CacheError) return error;
  const known = OPEN_FAILURES[(error as { code?: string }).code ?? ''];
  const detail = known?.detail ?? (error instanceof Error ? error.message : String(error));
  return new CacheError(known?.code ?? 'SOURCE_FAILED', `"${path}" ${detail}`, { cause: error });
}
