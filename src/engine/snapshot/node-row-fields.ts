/** A row given as an object, as fields: the builder has one way in. */
import { ABSENT, FIELD, type FieldFormat, type FieldRows } from './field-rows.ts';
import type { NodeRow } from './node-row.ts';

const AS_TEXT: FieldFormat = { id: 'digits', address: 'text', network: 'text' };
const AS_BYTES: FieldFormat = { ...AS_TEXT, id: 'bytes' };
const BYTES_FIRST = 1024;
/** Bytes that a UTF-16 unit takes in UTF-8 at the most. */
const UNIT_BYTES_MAX = 3;
const PORT_BYTES = 4;
const INT32_MAX = 2 ** 31 - 1;

export class NodeRowFields {
  #bytes = Buffer.alloc(BYTES_FIRST);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  readonly #places: Int32Array;
  readonly #attributes: number;
  #at = 0;

  constructor(attributes: number) {
    this.#attributes = attributes;
    this.#places = new Int32Array(2 * (FIELD.attributes + attributes));
  }

  /** The fields of `row`; they hold until the next call. */
  of(row: NodeRow): FieldRows {
    this.#at = 0;
    const { id, attributes } = row;
    if (typeof id === 'string') this.#putText(FIELD.id, id);
    else this.#putBytes(FIELD.id, id);
    this.#putText(FIELD.address, row.ip);
    this.#putPort(row.port);
    this.#putText(FIELD.network, row.network);
    this.#putBytes(FIELD.vetted, row.vetted ? TRUE : FALSE);
    this.#putText(FIELD.ineligible, row.ineligible);
    for (let i = 0; i < this.#attributes; i++) this.#putText(FIELD.attributes + i, attributes[i]);
    const format = typeof id === 'string' ? AS_TEXT : AS_BYTES;
    return {
      format,
      bytes: this.#bytes,
      view: this.#view,
      places: this.#places,
      count: 1,
      attributes: this.#attributes,
    };
  }

  #putText(field: number, text: string | undefined): void {
    let from = ABSENT;
    if (text !== undefined) {
      this.#makeRoom(UNIT_BYTES_MAX * text.length);
      from = this.#at;
      this.#at += this.#bytes.write(text, from, 'utf8');
    }
    this.#place(field, from);
  }

  #putBytes(field: number, bytes: Uint8Array): void {
    let from = ABSENT;
    // Whatever else a source calls an id is none.
    if (bytes instanceof Uint8Array) {
      this.#makeRoom(bytes.length);
      from = this.#at;
      this.#bytes.set(bytes, from);
      this.#at += bytes.length;
    }
    this.#place(field, from);
  }

  #putPort(port: number): void {
    let from = ABSENT;
    if (Number.isInteger(port) && Math.abs(port) <= INT32_MAX) {
      this.#makeRoom(PORT_BYTES);
      from = this.#at;
      this.#at = this.#bytes.writeInt32BE(port, from);
    }
    this.#place(FIELD.port, from);
  }

  #place(field: number, from: number): void {
    this.#places[2 * field] = from;
    this.#places[2 * field + 1] = this.#at;
  }

  #makeRoom(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    this.#bytes = Buffer.concat([this.#bytes], 2 * needed);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
  }
}

const TRUE = Uint8Array.of(1);
const FALSE = Uint8Array.of(0);
