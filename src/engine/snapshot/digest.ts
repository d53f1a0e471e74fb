// @hotpath
/**
 * MurmurHash3 x86 128, Austin Appleby's public-domain algorithm (smhasher), over little-endian 32-bit words:
 * 128 bits from 32-bit arithmetic alone, about a nanosecond a word. It detects damage; it is no protection
 * against forgery.
 */

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

export class Digest {
  #h1: number;
  #h2: number;
  #h3: number;
  #h4: number;
  #byteLength = 0;

  constructor(seed = 0) {
    this.#h1 = seed | 0;
    this.#h2 = seed | 0;
    this.#h3 = seed | 0;
    this.#h4 = seed | 0;
  }

  /** Adds `count` words of `words` from index `start`; `count` is a multiple of four. */
  update(words: Uint32Array, start: number, count: number): void {
    let h1 = this.#h1;
    let h2 = this.#h2;
    let h3 = this.#h3;
    let h4 = this.#h4;
    const end = start + count;
    for (let i = start; i < end; i += 4) {
      h1 ^= Math.imul(rotate(Math.imul(words[i]!, C1), 15), C2);
      h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
      h2 ^= Math.imul(rotate(Math.imul(words[i + 1]!, C2), 16), C3);
      h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
      h3 ^= Math.imul(rotate(Math.imul(words[i + 2]!, C3), 17), C4);
      h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
      h4 ^= Math.imul(rotate(Math.imul(words[i + 3]!, C4), 18), C1);
      h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
    }
    this.#h1 = h1;
    this.#h2 = h2;
    this.#h3 = h3;
    this.#h4 = h4;
    this.#byteLength += count * 4;
  }

  /** Writes the four words of the digest to `target` from index `at`; the digest can go on being updated. */
  write(target: Uint32Array, at: number): void {
    let h1 = this.#h1 ^ this.#byteLength;
    let h2 = this.#h2 ^ this.#byteLength;
    let h3 = this.#h3 ^ this.#byteLength;
    let h4 = this.#h4 ^ this.#byteLength;
    h1 = (h1 + h2 + h3 + h4) | 0;
    h2 = (h2 + h1) | 0;
    h3 = (h3 + h1) | 0;
    h4 = (h4 + h1) | 0;
    h1 = finalMix(h1);
    h2 = finalMix(h2);
    h3 = finalMix(h3);
    h4 = finalMix(h4);
    h1 = (h1 + h2 + h3 + h4) | 0;
    target[at] = h1;
    target[at + 1] = h2 + h1;
    target[at + 2] = h3 + h1;
    target[at + 3] = h4 + h1;
  }
}

/** A digest's four words as 32 hexadecimal digits. */
export function digestText(words: Uint32Array, at: number): string {
  let text = '';
  for (let i = 0; i < 4; i++) text += words[at + i]!.toString(16).padStart(8, '0');
  return text;
}

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}

function finalMix(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
