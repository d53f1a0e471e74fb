// @hotpath
/**
 * Randomness for picks: unpredictable, unbiased, erased as used. ChaCha8Rand as C2SP specifies it
 * (https://c2sp.org/chacha8rand; Go's default generator), with each word cleared as it is handed out: a
 * fast-key-erasure generator (Bernstein, 2017) over ChaCha with 8 rounds (Aumasson, "Too Much Crypto", 2020).
 * A refill runs 16 blocks under a key, four side by side as vector units compute them; its last eight words
 * are the next key. The state belongs to one thread: it is never put into shared memory and never restored
 * from a snapshot. Plain twin of `native-layout/kernel/random.ts`, which gives the same words.
 */

export const KEY_WORDS = 8;
const BLOCK_WORDS = 16;
const BLOCKS = 16;
/** Blocks that are interleaved: word 0 of each, then word 1 of each, and so on. */
const LANES = 4;
const BUFFER_WORDS = BLOCK_WORDS * BLOCKS;
/** Words handed out between two refills. */
const OUTPUT_WORDS = BUFFER_WORDS - KEY_WORDS;

export class Random {
  /** Output words, then the next key. */
  readonly #words = new Uint32Array(BUFFER_WORDS);
  readonly #key = this.#words.subarray(OUTPUT_WORDS);
  #next = OUTPUT_WORDS;

  /** `key`: eight words from the operating system's generator; copied, and cleared in place. */
  constructor(key: Uint32Array) {
    if (key.length !== KEY_WORDS) throw new RangeError(`the key has ${KEY_WORDS} words, not ${key.length}`);
    this.#key.set(key);
    key.fill(0);
  }

  /** The next 32 random bits, as an integer below 2^32. */
  word(): number {
    let next = this.#next;
    if (next === OUTPUT_WORDS) {
      this.#refill();
      next = 0;
    }
    const word = this.#words[next]!;
    this.#words[next] = 0;
    this.#next = next + 1;
    return word;
  }

  /**
   * An integer below `n`, each equally likely; `n` from 1 to 2^32 - 1. Lemire, "Fast Random Integer
   * Generation in an Interval" (2019): high half of a product, and rejection of the few low halves that would
   * favour some result.
   */
  below(n: number): number {
    const x = this.word();
    return Math.imul(x, n) >>> 0 >= n ? highHalf(x, n) : this.#belowFair(x, n);
  }

  /**
   * The one case in 2^32 / n that needs care; inside `below` its types would slow the code for all others.
   */
  #belowFair(word: number, n: number): number {
    const threshold = (-n >>> 0) % n;
    let x = word;
    while (Math.imul(x, n) >>> 0 < threshold) x = this.word();
    return highHalf(x, n);
  }

  /** True with probability `p`, 0 to 1, to 53 bits. */
  chance(p: number): boolean {
    if (p <= 0) return false;
    const high = this.word() >>> 5;
    const low = this.word() >>> 6;
    return (high * 2 ** 26 + low) * 2 ** -53 < p;
  }

  #refill(): void {
    const key = this.#key.slice();
    for (let block = 0; block < BLOCKS; block++) {
      const at = Math.floor(block / LANES) * LANES * BLOCK_WORDS + (block % LANES);
      chacha8(this.#words, at, key, block);
    }
    key.fill(0);
  }
}

/**
 * The high 32 bits of the 64-bit product. For small `n` in 32-bit integers, whose latency is half that of
 * doubles; else in doubles, whose intermediate products stay below 2^48 and are exact.
 */
function highHalf(x: number, n: number): number {
  if (n <= 0xffff) return (Math.imul(x >>> 16, n) + (Math.imul(x & 0xffff, n) >>> 16)) >>> 16;
  const low = Math.floor((x & 0xffff) * n * 2 ** -16);
  return (((x >>> 16) * n + low) * 2 ** -16) >>> 0;
}

/**
 * One ChaCha8 block with counter `counter` and a zero nonce, written to every fourth word of `out` from index
 * `at`. At the end only the key is added: constants, counter and nonce are public, and adding them hides
 * nothing.
 */
// biome-ignore format: four columns, then four diagonals side by side, are how the algorithm is read and how it runs fast
function chacha8(out: Uint32Array, at: number, key: Uint32Array, counter: number): void {
  const k0 = key[0]! | 0, k1 = key[1]! | 0, k2 = key[2]! | 0, k3 = key[3]! | 0;
  const k4 = key[4]! | 0, k5 = key[5]! | 0, k6 = key[6]! | 0, k7 = key[7]! | 0;
  let a = 0x61707865, b = 0x3320646e, c = 0x79622d32, d = 0x6b206574;
  let e = k0, f = k1, g = k2, h = k3;
  let i = k4, j = k5, k = k6, l = k7;
  let m = counter | 0, n = 0, o = 0, p = 0;
  for (let round = 0; round < 8; round += 2) {
    a = (a + e) | 0; b = (b + f) | 0; c = (c + g) | 0; d = (d + h) | 0;
    m = rotate(m ^ a, 16); n = rotate(n ^ b, 16); o = rotate(o ^ c, 16); p = rotate(p ^ d, 16);
    i = (i + m) | 0; j = (j + n) | 0; k = (k + o) | 0; l = (l + p) | 0;
    e = rotate(e ^ i, 12); f = rotate(f ^ j, 12); g = rotate(g ^ k, 12); h = rotate(h ^ l, 12);
    a = (a + e) | 0; b = (b + f) | 0; c = (c + g) | 0; d = (d + h) | 0;
    m = rotate(m ^ a, 8); n = rotate(n ^ b, 8); o = rotate(o ^ c, 8); p = rotate(p ^ d, 8);
    i = (i + m) | 0; j = (j + n) | 0; k = (k + o) | 0; l = (l + p) | 0;
    e = rotate(e ^ i, 7); f = rotate(f ^ j, 7); g = rotate(g ^ k, 7); h = rotate(h ^ l, 7);

    a = (a + f) | 0; b = (b + g) | 0; c = (c + h) | 0; d = (d + e) | 0;
    p = rotate(p ^ a, 16); m = rotate(m ^ b, 16); n = rotate(n ^ c, 16); o = rotate(o ^ d, 16);
    k = (k + p) | 0; l = (l + m) | 0; i = (i + n) | 0; j = (j + o) | 0;
    f = rotate(f ^ k, 12); g = rotate(g ^ l, 12); h = rotate(h ^ i, 12); e = rotate(e ^ j, 12);
    a = (a + f) | 0; b = (b + g) | 0; c = (c + h) | 0; d = (d + e) | 0;
    p = rotate(p ^ a, 8); m = rotate(m ^ b, 8); n = rotate(n ^ c, 8); o = rotate(o ^ d, 8);
    k = (k + p) | 0; l = (l + m) | 0; i = (i + n) | 0; j = (j + o) | 0;
    f = rotate(f ^ k, 7); g = rotate(g ^ l, 7); h = rotate(h ^ i, 7); e = rotate(e ^ j, 7);
  }
  out[at] = a; out[at + 4] = b; out[at + 8] = c; out[at + 12] = d;
  out[at + 16] = e + k0; out[at + 20] = f + k1; out[at + 24] = g + k2; out[at + 28] = h + k3;
  out[at + 32] = i + k4; out[at + 36] = j + k5; out[at + 40] = k + k6; out[at + 44] = l + k7;
  out[at + 48] = m; out[at + 52] = n; out[at + 56] = o; out[at + 60] = p;
}

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}
