/**
 * Ids as they stand in a text: 64 hexadecimal digits each, at equal distances. From there they go to the
 * bytes that they spell without having been strings. What the digits are is looked at by whoever takes them.
 */
import { assert } from '../assert.ts';
import { ID_DIGITS } from '../snapshot/node-id.ts';

export interface IdPlaces {
  /** Byte of the first digit of the first id. */
  readonly start: number;
  /** Bytes from one id to the next. */
  readonly stride: number;
  /** How many ids. */
  readonly length: number;
}

export class IdDigits {
  /** Not copied: to be left alone as long as the ids are used. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly stride: number;
  readonly length: number;

  constructor(bytes: Uint8Array, { start, stride, length }: IdPlaces) {
    const end = start + (length - 1) * stride + ID_DIGITS;
    assert(stride >= ID_DIGITS, `ids of ${ID_DIGITS} digits are ${stride} bytes apart`);
    assert(length === 0 || end <= bytes.length, `${length} ids end at ${end} of ${bytes.length} bytes`);
    this.bytes = bytes;
    this.start = start;
    this.stride = stride;
    this.length = length;
  }

  /** The text of one id. */
  text(index: number): string {
    const from = this.start + index * this.stride;
    return Buffer.from(this.bytes.subarray(from, from + ID_DIGITS)).toString('latin1');
  }
}
