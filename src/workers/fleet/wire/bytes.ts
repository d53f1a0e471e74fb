/**
 * Writing and reading the bodies of fleet messages: little-endian numbers, and texts and bytes behind their
 * lengths. The reader checks every length against the bytes there are and against a named limit before it
 * takes anything. Pure; any thread.
 */
import type { LogPosition } from '../../bus/bus.ts';

/** Bytes that are no message, whatever is wrong with them. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

const DIGEST_BYTES = 16;
const DIGEST = /^[0-9a-f]{32}$/;
const FIRST_BYTES = 256;
const UINT32 = 2 ** 32;

export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

export class ByteWriter {
  #bytes = Buffer.alloc(FIRST_BYTES);
  #end = 0;

  u8(value: number): this {
    const at = this.#grow(1);
    this.#bytes[at] = value;
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    this.#bytes.writeUInt32LE(value, at);
    return this;
  }

  /** An integer from 0 to 2^53 - 1. */
  u53(value: number): this {
    return this.u32(value % UINT32).u32(Math.floor(value / UINT32));
  }

  /** A finite number. */
  f64(value: number): this {
    const at = this.#grow(8);
    this.#bytes.writeDoubleLE(value, at);
    return this;
  }

  /** 32 hexadecimal digits. */
  digest(text: string): this {
    const at = this.#grow(DIGEST_BYTES);
    this.#bytes.write(text, at, 'hex');
    return this;
  }

  position({ epoch, seq }: LogPosition): this {
    return this.u53(epoch).u53(seq);
  }

  /** Without a length: the reader knows it. */
  raw(value: Uint8Array): this {
    const at = this.#grow(value.byteLength);
    this.#bytes.set(value, at);
    return this;
  }

  /** Behind its length. */
  bytes(value: Uint8Array): this {
    return this.u32(value.byteLength).raw(value);
  }

  /** UTF-8 behind its length in bytes, cut to `bytesMax`. */
  text(value: string, bytesMax: number): this {
    return this.bytes(cutText(value, bytesMax));
  }

  /** Nothing but whether it is there, and then what `write` writes. */
  optional<T>(value: T | undefined, write: (value: T) => unknown): this {
    this.u8(value === undefined ? 0 : 1);
    if (value !== undefined) write(value);
    return this;
  }

  /** What was written: a view that the next write may move away from. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  #grow(byteCount: number): number {
    const at = this.#end;
    this.#end += byteCount;
    if (this.#end > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(2 * this.#bytes.length, this.#end));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return at;
  }
}

function cutText(value: string, bytesMax: number): Uint8Array {
  const bytes = Buffer.from(value);
  if (bytes.length <= bytesMax) return bytes;
  let end = bytesMax;
  // Not inside a character: its further bytes begin with the bits 10.
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get leftBytes(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  u53(): number {
    const low = this.u32();
    const value = this.u32() * UINT32 + low;
    if (!Number.isSafeInteger(value)) throw new WireError('a number is above 2^53 - 1');
    return value;
  }

  f64(): number {
    const value = this.#bytes.readDoubleLE(this.#take(8));
    if (!Number.isFinite(value)) throw new WireError('a number is not finite');
    return value;
  }

  digest(): string {
    const at = this.#take(DIGEST_BYTES);
    return this.#bytes.toString('hex', at, at + DIGEST_BYTES);
  }

  position(): LogPosition {
    return { epoch: this.u53(), seq: this.u53() };
  }

  /** A copy. `what` is for the error. */
  bytes(bytesMax: number, what: string): Uint8Array<ArrayBuffer> {
    return this.raw(this.count(bytesMax, what));
  }

  /** A copy of the next bytes. */
  raw(byteCount: number): Uint8Array<ArrayBuffer> {
    const at = this.#take(byteCount);
    const copy = new Uint8Array(byteCount);
    copy.set(this.#bytes.subarray(at, at + byteCount));
    return copy;
  }

  text(bytesMax: number, what: string): string {
    const length = this.count(bytesMax, what);
    const at = this.#take(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  /** A number of things of which there may be `max`. */
  count(max: number, what: string): number {
    const count = this.u32();
    if (count > max) throw new WireError(`${what}: ${count}, over the limit of ${max}`);
    return count;
  }

  optional<T>(read: () => T): T | undefined {
    const there = this.u8();
    if (there > 1) throw new WireError(`${there} where 0 or 1 is expected`);
    return there === 1 ? read() : undefined;
  }

  #take(byteCount: number): number {
    const at = this.#at;
    if (byteCount > this.leftBytes) {
      throw new WireError(`${byteCount} bytes are expected where ${this.leftBytes} are left`);
    }
    this.#at += byteCount;
    return at;
  }
}
