/** Opens files without ever waiting for somebody at the other end of them: pipes and devices are refused. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { CacheError } from '../../engine/errors.ts';

/** Opening a pipe waits for its writer, on a thread that nothing can stop. Windows has no such flag. */
const READ_WITHOUT_WAITING = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/**
 * A handle on a regular file. Throws the file system's error; SOURCE_FAILED for anything else than a file.
 * `followLinks: false`: ELOOP for a symbolic link (where the system can say so).
 */
export async function openRegularFile(path: string, { followLinks = true } = {}): Promise<FileHandle> {
  const noFollow = followLinks ? 0 : (constants.O_NOFOLLOW ?? 0);
  const handle = await open(path, READ_WITHOUT_WAITING | noFollow);
  try {
    const stats = await handle.stat();
    if (stats.isDirectory()) throw new CacheError('SOURCE_FAILED', `"${path}" is a directory, not a file`);
    if (!stats.isFile()) throw new CacheError('SOURCE_FAILED', `"${path}" is not a regular file`);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}
