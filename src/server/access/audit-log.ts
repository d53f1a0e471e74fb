/**
 * One line for each call of the admin plane: who, what, from where, how it ended, and which generation was
 * there before and after. To the log, and to a file of its own where one is named. Main thread. Calls are
 * few, so a line is written before the answer leaves; the file is opened for each, so that it may be moved
 * away.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { Logger } from 'pino';

export interface AuditEntry {
  /** `null`: the token was nobody's. */
  readonly actor: string | null;
  readonly role: string | null;
  readonly remoteAddress: string;
  readonly method: string;
  /** The pattern of the route, or `unknown`; never a client's text. */
  readonly route: string;
  readonly status: number;
  /** Stable, of the problem; absent when it was done. */
  readonly code: string | undefined;
  readonly generationBefore: number;
  readonly generationAfter: number;
}

/** Without waiting: a pipe without a reader would hold up the thread that serves. */
const APPEND =
  constants.O_WRONLY |
  constants.O_APPEND |
  constants.O_CREAT |
  (constants.O_NOFOLLOW ?? 0) |
  (constants.O_NONBLOCK ?? 0);
const OWNER_ONLY = 0o600;

export class AuditLog {
  readonly #log: Logger;
  readonly #file: string | undefined;

  /** Throws when the file cannot be written, or is none. */
  constructor(log: Logger, file: string | undefined) {
    this.#log = log;
    this.#file = file;
    if (file !== undefined) append(file, '');
  }

  write(entry: AuditEntry): void {
    this.#log.info({ audit: true, ...entry }, 'an admin call');
    if (this.#file === undefined) return;
    try {
      append(this.#file, `${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`);
    } catch (error) {
      this.#log.error({ problem: (error as Error).message }, 'the audit file cannot be written');
    }
  }
}

/** Follows no symbolic link, waits for no reader of a pipe, and makes a file that nobody else reads. */
function append(file: string, line: string): void {
  const descriptor = openSync(file, APPEND, OWNER_ONLY);
  try {
    if (!fstatSync(descriptor).isFile()) throw new Error(`${file} is not a regular file: name one`);
    writeSync(descriptor, line);
  } finally {
    closeSync(descriptor);
  }
}
