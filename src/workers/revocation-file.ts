/**
 * What operators have revoked, beside the snapshot file, so that a restart of the process does not forget it:
 * a line for each node, its id and until when, in words that an operator can read and edit. Loader thread.
 */
import { REVOKED_ROWS_MAX } from '../../native-layout/snapshot-layout.ts';
import { ID_BYTES } from '../../native-layout/snapshot-row.ts';
import { parseNodeId } from '../engine/snapshot/node-id.ts';
import { openRegularFile } from './source/regular-file.ts';
import { replaceFile } from './synced-file.ts';

/** A node that is held out, and until when by the wall clock. */
export interface KeptRevocation {
  /** 32 bytes. */
  readonly id: Uint8Array;
  readonly untilUnixMs: number;
}

export interface KeptRevocations {
  readonly kept: readonly KeptRevocation[];
  /** Comments, and lines that are not understood: they are written again as they are. */
  readonly otherLines: readonly string[];
  /** Which lines are not understood, when some are; the others count all the same. */
  readonly problem?: string;
}

/** Longest that is read: no line is longer than 100 characters, and no more of them are ever written. */
const FILE_BYTES_MAX = 200 * REVOKED_ROWS_MAX;
const LINE = /^(?<id>[0-9a-fA-F]{64}) +(?<until>\S+)$/;

/** Where the revocations are that belong to a snapshot file. */
export function revocationsPath(snapshotFile: string): string {
  return `${snapshotFile}.revocations`;
}

/** Rejects with the file system's error. */
export async function writeRevocations(
  path: string,
  kept: readonly KeptRevocation[],
  otherLines: readonly string[],
): Promise<void> {
  const lines = kept.map(
    ({ id, untilUnixMs }) => `${Buffer.from(id).toString('hex')} ${new Date(untilUnixMs).toISOString()}`,
  );
  await replaceFile(path, [...otherLines, ...lines].map(line => `${line}\n`).join(''));
}

/** None when there is no such file. Rejects with why it cannot be read. */
export async function readRevocations(path: string): Promise<KeptRevocations> {
  try {
    const file = await openRegularFile(path, { followLinks: false });
    try {
      const { size } = await file.stat();
      if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes; the limit is ${FILE_BYTES_MAX}`);
      return parseRevocations(path, await file.readFile('utf8'));
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kept: [], otherLines: [] };
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

function parseRevocations(path: string, text: string): KeptRevocations {
  const kept: KeptRevocation[] = [];
  const otherLines: string[] = [];
  const wrong: number[] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const { id: digits = '', until = '' } = LINE.exec(line.trim())?.groups ?? {};
    const id = Buffer.alloc(ID_BYTES);
    const untilUnixMs = Date.parse(until);
    if (parseNodeId(digits, id, 0) && Number.isFinite(untilUnixMs)) kept.push({ id, untilUnixMs });
    else {
      otherLines.push(line);
      if (!line.startsWith('#')) wrong.push(i + 1);
    }
  }
  if (wrong.length === 0) return { kept, otherLines };
  const lines = wrong.length === 1 ? `line ${wrong[0]} is` : `lines ${wrong.join(', ')} are`;
  return { kept, otherLines, problem: `${path}: ${lines} not "<id> <time>"` };
}
