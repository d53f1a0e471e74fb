// @hotpath
/**
 * Finds the fields of rows in the binary form of COPY, where they stand: a signature, then rows of a count of
 * fields and, for each, its length and its bytes. Makes nothing of them; the builder reads them. The server
 * sends each row in one message of its own (protocol documentation, CopyData).
 */
import { CacheError } from '../../../engine/errors.ts';
import { ABSENT, FIELD, type FieldFormat, type FieldRows } from '../../../engine/snapshot/field-rows.ts';

/** What a column of the statement is read as. */
export interface CopyColumn {
  /** Position of the field, see `FIELD`. */
  readonly field: number;
  /** `inet` or `cidr`: an address behind four bytes about it. */
  readonly inet: boolean;
}

/** `PGCOPY\n\377\r\n\0`, then 32 bits of flags, then the length of more that may be skipped. */
const SIGNATURE = [0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0x00];
const FLAGS_BYTE = SIGNATURE.length;
const EXTENSION_BYTE = FLAGS_BYTE + 4;
const HEADER_BYTES = EXTENSION_BYTE + 4;
/** Flags that a reader has to know to understand what follows. */
const CRITICAL_FLAGS = 0xffff_0000;
/** In place of a count of fields: no more rows. */
const TRAILER = -1;
const NULL_LENGTH = -1;
const COUNT_BYTES = 2;
const LENGTH_BYTES = 4;
/** Family, prefix length, whether it is a network, number of address bytes. */
const INET_HEAD_BYTES = 4;
const ROWS_FIRST = 2048;

export class CopyRows {
  /** Fields after the fixed ones. */
  readonly attributes: number;
  readonly #format: FieldFormat;
  readonly #columns: readonly CopyColumn[];
  /** Places of a row: two for every field. */
  readonly #width: number;
  /** Where in the places of a row each column's are; then which columns are addresses. */
  readonly #columnPlaces: Int32Array;
  readonly #inet: Uint8Array;
  #places: Int32Array;
  #rows = 0;
  #started = false;

  /** Fields without a column are absent in every row. */
  constructor(format: FieldFormat, columns: readonly CopyColumn[], attributes: number) {
    this.attributes = attributes;
    this.#format = format;
    this.#columns = columns;
    this.#width = 2 * (FIELD.attributes + attributes);
    this.#columnPlaces = Int32Array.from(columns, column => 2 * column.field);
    this.#inet = Uint8Array.from(columns, column => (column.inet ? 1 : 0));
    this.#places = new Int32Array(ROWS_FIRST * this.#width).fill(ABSENT);
  }

  /** Adds what stands in one message, the bytes of `view` from `from` to `to`. Throws SOURCE_FAILED. */
  add(view: DataView, from: number, to: number): void {
    let at = from;
    if (!this.#started) at = this.#start(view, from, to);
    while (at < to) {
      if (at + COUNT_BYTES > to) throw garbled('a row ends within its count of fields');
      const count = view.getInt16(at, false);
      at += COUNT_BYTES;
      if (count === TRAILER) {
        if (at !== to) throw garbled('something follows the last row');
        return;
      }
      if (count !== this.#columns.length)
        throw garbled(`a row has ${count} of ${this.#columns.length} fields`);
      at = this.#addRow(view, at, to);
    }
  }

  /** The rows added since the last call, in `bytes`, which `view` covers. They hold until the next `add`. */
  take(bytes: Uint8Array, view: DataView): FieldRows {
    const count = this.#rows;
    this.#rows = 0;
    const { attributes } = this;
    return { format: this.#format, bytes, view, places: this.#places, count, attributes };
  }

  #start(view: DataView, from: number, to: number): number {
    const whole = to - from >= HEADER_BYTES;
    if (!whole || !SIGNATURE.every((byte, i) => view.getUint8(from + i) === byte)) {
      throw garbled('it does not begin with the signature of binary COPY');
    }
    const flags = view.getUint32(from + FLAGS_BYTE, false);
    if ((flags & CRITICAL_FLAGS) !== 0) throw garbled(`it has unknown flags 0x${flags.toString(16)}`);
    const end = from + HEADER_BYTES + view.getUint32(from + EXTENSION_BYTE, false);
    if (end > to) throw garbled('its header is cut off');
    this.#started = true;
    return end;
  }

  #addRow(view: DataView, from: number, to: number): number {
    const first = this.#rows * this.#width;
    if (first === this.#places.length) this.#grow();
    const places = this.#places;
    const columnPlaces = this.#columnPlaces;
    const inet = this.#inet;
    let at = from;
    for (let column = 0; column < columnPlaces.length; column++) {
      if (at + LENGTH_BYTES > to) throw garbled('a row is cut off');
      const length = view.getInt32(at, false);
      at += LENGTH_BYTES;
      const place = first + columnPlaces[column]!;
      if (length === NULL_LENGTH) {
        places[place] = ABSENT;
        continue;
      }
      if (length < 0 || at + length > to) throw garbled(`a field of ${length} bytes is longer than its row`);
      const head = inet[column] === 1 ? Math.min(INET_HEAD_BYTES, length) : 0;
      places[place] = at + head;
      at += length;
      places[place + 1] = at;
    }
    this.#rows++;
    return at;
  }

  #grow(): void {
    const larger = new Int32Array(2 * this.#places.length).fill(ABSENT);
    larger.set(this.#places);
    this.#places = larger;
  }
}

function garbled(what: string): CacheError {
  return new CacheError('SOURCE_FAILED', `the answer of the server cannot be read: ${what}`);
}
