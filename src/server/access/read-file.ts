/**
 * Small files of secrets and identities, read as a whole, by one descriptor: what was looked at is what is
 * read. Pipes and devices are refused, not waited for: a server reads its files at every start, and some
 * again while it serves. Main thread; the reading while it serves is asynchronous.
 */
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { FILE_BYTES_MAX } from './identity-file.ts';

/** Opening a pipe waits for its writer, on a thread that nothing can stop. Windows has no such flag. */
const READ_WITHOUT_WAITING = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

export interface MarkedText {
  readonly text: string;
  /** What changes when the file does: replaced, written to, touched, or let to be read. */
  readonly mark: string;
}

/** Throws what the system says, or that it is no regular file, or too large. */
export function readSmallFile(path: string): string {
  return readMarkedFile(path).text;
}

/** The same, for whoever looks again later. */
export function readMarkedFile(path: string): MarkedText {
  const descriptor = openSync(path, READ_WITHOUT_WAITING);
  try {
    const stats = fstatSync(descriptor, { bigint: true });
    checkFile(stats);
    return { text: readFileSync(descriptor, 'utf8'), mark: markOf(stats) };
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The text of a file whose mark is not among `known`; else its mark alone. Rejects with what the system says,
 * or that it is no regular file, or too large.
 */
export async function readIfChanged(
  path: string,
  known: readonly (string | undefined)[],
): Promise<{ readonly text: string | undefined; readonly mark: string }> {
  const file = await open(path, READ_WITHOUT_WAITING);
  try {
    const stats = await file.stat({ bigint: true });
    checkFile(stats);
    const mark = markOf(stats);
    return { text: known.includes(mark) ? undefined : await file.readFile('utf8'), mark };
  } finally {
    await file.close();
  }
}

/** For commands, which nobody waits for: what a pipe says may be read, too. Throws what the system says. */
export function readSmallInput(path: string): string {
  const descriptor = openSync(path, constants.O_RDONLY);
  try {
    const bytes = Buffer.alloc(FILE_BYTES_MAX + 1);
    let length = 0;
    for (let more = 1; more > 0 && length < bytes.length; length += more) {
      more = readSync(descriptor, bytes, length, bytes.length - length, null);
    }
    if (length > FILE_BYTES_MAX) throw new Error(`has more than ${FILE_BYTES_MAX} bytes, which is the limit`);
    return bytes.toString('utf8', 0, length);
  } finally {
    closeSync(descriptor);
  }
}

function checkFile(stats: BigIntStats): void {
  if (!stats.isFile())
    throw new Error('is not a regular file: it is read more than once, so it has to be one');
  if (stats.size > FILE_BYTES_MAX) throw new Error(`has ${stats.size} bytes; the limit is ${FILE_BYTES_MAX}`);
}

/** The time of the last change covers rights and names; that of the last writing is what people set. */
function markOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}
