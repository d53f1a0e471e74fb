/**
 * Rows in binary, by COPY. The driver makes a text of every value of an ordinary answer, and bytes are twice
 * as long as text, all the way from the server; what COPY sends it hands on as it comes. Any thread.
 *
 * Values are the bytes of PostgreSQL's binary form: `bytea` and `text` as they are, `bigint` as eight bytes,
 * the highest first. What `COPY` sends (protocol documentation): a signature, flags, the length of more to
 * skip; then rows of a count of values, each with its length before it, -1 for NULL; a count of -1 ends them.
 */
import type { Connection, Submittable } from 'pg';
import type { PostgresClient } from '../../source/postgres/client.ts';

export type BinaryRow = readonly (Buffer | undefined)[];

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const HEADER_BYTES = SIGNATURE.length + 8;

/** Runs `select`, which takes no parameters. Rejects with the driver's error. */
export async function binaryRows(client: PostgresClient, select: string): Promise<readonly BinaryRow[]> {
  const copy = new CopyOut(`copy (${select}) to stdout (format binary)`);
  client.query(copy);
  return parseRows(await copy.bytes);
}

/** A statement as the driver runs it: it calls what is named after the server's messages. */
class CopyOut implements Submittable {
  readonly bytes: Promise<Buffer>;
  readonly #statement: string;
  readonly #chunks: Buffer[] = [];
  readonly #settle: { resolve(bytes: Buffer): void; reject(error: Error): void };

  constructor(statement: string) {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.#statement = statement;
    this.bytes = promise;
    this.#settle = { resolve, reject };
  }

  submit(connection: Connection): void {
    connection.query(this.#statement);
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    // A view of what the driver reads into.
    this.#chunks.push(Buffer.from(chunk));
  }

  handleCommandComplete(): void {
    // The statement is over with the next message.
  }

  handleReadyForQuery(): void {
    this.#settle.resolve(Buffer.concat(this.#chunks));
  }

  handleError(error: Error): void {
    this.#settle.reject(error);
  }
}

function parseRows(bytes: Buffer): readonly BinaryRow[] {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE))
    throw new Error(`COPY begins with ${bytes.length} bytes that are no signature`);
  const rows: BinaryRow[] = [];
  let at = HEADER_BYTES + bytes.readInt32BE(SIGNATURE.length + 4);
  for (;;) {
    const count = bytes.readInt16BE(at);
    at += 2;
    if (count === -1) return rows;
    const row: (Buffer | undefined)[] = [];
    for (let i = 0; i < count; i++) {
      const length = bytes.readInt32BE(at);
      at += 4;
      row.push(length === -1 ? undefined : bytes.subarray(at, at + length));
      at += Math.max(0, length);
    }
    rows.push(row);
  }
}
