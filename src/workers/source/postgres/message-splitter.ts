// @hotpath
/**
 * Cuts the byte stream of a connection into the messages of the Postgres protocol: a type, a length, a body.
 * Bodies of CopyData are read where they stand in the chunk; only a message that lies across chunks is put
 * together, from a copy of its parts: the memory of a chunk may be used again for the next. All other
 * messages go to the driver, in order.
 */
import { CacheError } from '../../../engine/errors.ts';
import type { FieldRows } from '../../../engine/snapshot/field-rows.ts';
import type { CopyRows } from './copy-rows.ts';

const COPY_DATA = 0x64;
const TYPE_BYTES = 1;
/** The length counts itself, but not the type. */
const LENGTH_BYTES = 4;
const HEAD_BYTES = TYPE_BYTES + LENGTH_BYTES;
/** A row of nodes takes a few hundred bytes. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

export class MessageSplitter {
  readonly #rows: CopyRows;
  readonly #others: (message: Buffer) => void;
  /** A message that has begun: its parts, the bytes that are there, and how many it has in all. */
  #parts: Buffer[] = [];
  #there = 0;
  #wanted = 0;

  /** `others` gets every message but CopyData. */
  constructor(rows: CopyRows, others: (message: Buffer) => void) {
    this.#rows = rows;
    this.#others = others;
  }

  /** The rows in `chunk`, in runs that each stand in one buffer. Throws SOURCE_FAILED. */
  *split(chunk: Buffer): Generator<FieldRows> {
    let at = 0;
    while (this.#there > 0 && at < chunk.length) {
      // First the rest of the head, which says how long the message is.
      const wanted = this.#there < HEAD_BYTES ? HEAD_BYTES : this.#wanted;
      at += this.#addPart(chunk.subarray(at, at + wanted - this.#there));
      if (this.#there < HEAD_BYTES || this.#there < this.#wanted) continue;
      const message = Buffer.concat(this.#parts, this.#there);
      this.#forget();
      yield* this.#rowsOf(message);
    }
    if (at < chunk.length) yield* this.#rowsOf(chunk.subarray(at));
  }

  /** The rows in the whole messages of `bytes`; keeps the one that is not whole. */
  *#rowsOf(bytes: Buffer): Generator<FieldRows> {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = this.#readMessages(bytes, view);
    const rows = this.#rows.take(bytes, view);
    if (rows.count > 0) yield rows;
    if (end < bytes.length) this.#addPart(bytes.subarray(end));
  }

  /** Returns where the last whole message ends. */
  #readMessages(bytes: Buffer, view: DataView): number {
    let at = 0;
    while (at + HEAD_BYTES <= bytes.length) {
      const end = at + messageBytes(view, at);
      if (end > bytes.length) break;
      if (bytes[at] === COPY_DATA) this.#rows.add(view, at + HEAD_BYTES, end);
      else this.#others(bytes.subarray(at, end));
      at = end;
    }
    return at;
  }

  #addPart(part: Buffer): number {
    this.#parts.push(Buffer.from(part));
    const headCame = this.#there < HEAD_BYTES && this.#there + part.length >= HEAD_BYTES;
    this.#there += part.length;
    if (headCame) {
      const head = Buffer.concat(this.#parts, HEAD_BYTES);
      this.#wanted = messageBytes(new DataView(head.buffer, head.byteOffset, HEAD_BYTES), 0);
    }
    return part.length;
  }

  #forget(): void {
    this.#parts = [];
    this.#there = 0;
    this.#wanted = 0;
  }
}

/** Bytes of the message whose head begins at byte `at`. */
function messageBytes(view: DataView, at: number): number {
  const length = view.getInt32(at + TYPE_BYTES, false);
  if (length < LENGTH_BYTES || length > MESSAGE_BYTES_MAX) {
    const problem = `a message of ${length} bytes; the limit is ${MESSAGE_BYTES_MAX}`;
    throw new CacheError('SOURCE_FAILED', `the answer of the server cannot be read: ${problem}`);
  }
  return TYPE_BYTES + length;
}
