// @hotpath
/**
 * Numbers byte strings: attribute values, criteria, names of networks. Each gets the next code when it is
 * first met, from 1. Found again by open addressing over the bytes as they came, so that no text is made for
 * a value that is known.
 */

/** What `codeOf` returns for bytes that are not known when there is no room for them. */
export const FULL = 0;

const ENTRIES_FIRST = 64;
const BYTES_FIRST = 1024;
/** Odd, with its bits well spread: 2^32 over the golden ratio. */
const FACTOR = 0x9e3779b1;

export class ByteDictionary {
  /** Key of the hash: who chooses values must not be able to choose where they meet. */
  readonly #seed: number;
  #codes = new Uint32Array(ENTRIES_FIRST);
  /** Hash of each code, and where its bytes end in `#bytes`; index = code. */
  #hashes = new Int32Array(ENTRIES_FIRST);
  #ends = new Uint32Array(ENTRIES_FIRST);
  #bytes = Buffer.alloc(BYTES_FIRST);
  #size = 0;

  readonly #codesMax: number;

  constructor(seed: number, codesMax = Number.POSITIVE_INFINITY) {
    this.#seed = seed;
    this.#codesMax = codesMax;
  }

  /** Codes given out. */
  get size(): number {
    return this.#size;
  }

  /** The code of the bytes from `from` to `to`, a new one if need be; FULL when there is none left. */
  codeOf(bytes: Uint8Array, from: number, to: number): number {
    const hash = this.#hash(bytes, from, to);
    const mask = this.#codes.length - 1;
    let entry = hash & mask;
    for (;;) {
      const code = this.#codes[entry]!;
      if (code === 0) return this.#add(entry, hash, bytes, from, to);
      if (this.#hashes[code] === hash && this.#isSame(code, bytes, from, to)) return code;
      entry = (entry + 1) & mask;
    }
  }

  /** The bytes of `code` as UTF-8. */
  text(code: number): string {
    return this.#bytes.toString('utf8', this.#ends[code - 1]!, this.#ends[code]!);
  }

  /** All texts in the order of their codes. */
  texts(): string[] {
    return Array.from({ length: this.#size }, (_, i) => this.text(i + 1));
  }

  #hash(bytes: Uint8Array, from: number, to: number): number {
    let h = this.#seed ^ (to - from);
    for (let i = from; i < to; i++) {
      h = Math.imul(h ^ bytes[i]!, FACTOR);
      h ^= h >>> 15;
    }
    return h;
  }

  #isSame(code: number, bytes: Uint8Array, from: number, to: number): boolean {
    const start = this.#ends[code - 1]!;
    if (this.#ends[code]! - start !== to - from) return false;
    for (let i = from, at = start; i < to; i++, at++) if (this.#bytes[at] !== bytes[i]) return false;
    return true;
  }

  #add(entry: number, hash: number, bytes: Uint8Array, from: number, to: number): number {
    if (this.#size >= this.#codesMax) return FULL;
    const start = this.#ends[this.#size]!;
    const end = start + to - from;
    const code = ++this.#size;
    if (end > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes], Math.max(end, 2 * this.#bytes.length));
    }
    for (let i = from, at = start; i < to; i++, at++) this.#bytes[at] = bytes[i]!;
    this.#codes[entry] = code;
    this.#hashes[code] = hash;
    this.#ends[code] = end;
    // Half full at the most, and room for the next code.
    if (2 * (code + 1) > this.#codes.length) this.#grow();
    return code;
  }

  #grow(): void {
    const entries = 2 * this.#codes.length;
    this.#hashes = grown(this.#hashes, new Int32Array(entries));
    this.#ends = grown(this.#ends, new Uint32Array(entries));
    this.#codes = new Uint32Array(entries);
    for (let code = 1; code <= this.#size; code++) {
      let entry = this.#hashes[code]! & (entries - 1);
      while (this.#codes[entry] !== 0) entry = (entry + 1) & (entries - 1);
      this.#codes[entry] = code;
    }
  }
}

function grown<A extends Int32Array | Uint32Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
