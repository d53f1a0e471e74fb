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
const ROUNDS = 8;
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

/** The high 32 bits of the 64-bit product. Intermediate products stay below 2^48, and are exact. */
function highHalf(x: number, n: number): number {
  const low = Math.floor((x & 0xffff) * n * 2 ** -16);
  return (((x >>> 16) * n + low) * 2 ** -16) >>> 0;
}

/** "expand 32-byte k" */
const CONSTANTS = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574];
const FIRST_KEY_WORD = CONSTANTS.length;
const COUNTER_WORD = FIRST_KEY_WORD + KEY_WORDS;
/** Words of a quarter round: four columns, then four diagonals. */
const QUARTERS = [
  [0, 4, 8, 12],
  [1, 5, 9, 13],
  [2, 6, 10, 14],
  [3, 7, 11, 15],
  [0, 5, 10, 15],
  [1, 6, 11, 12],
  [2, 7, 8, 13],
  [3, 4, 9, 14],
] as const;

/**
 * One ChaCha8 block with counter `counter` and a zero nonce, written to every fourth word of `out` from index
 * `at`. At the end only the key is added: constants, counter and nonce are public, and adding them hides
 * nothing.
 */
function chacha8(out: Uint32Array, at: number, key: Uint32Array, counter: number): void {
  const state = new Uint32Array(BLOCK_WORDS);
  state.set(CONSTANTS);
  state.set(key, FIRST_KEY_WORD);
  state[COUNTER_WORD] = counter;
  for (let round = 0; round < ROUNDS; round += 2) {
    for (const [a, b, c, d] of QUARTERS) {
      mix(state, a, b, d, 16);
      mix(state, c, d, b, 12);
      mix(state, a, b, d, 8);
      mix(state, c, d, b, 7);
    }
  }
  for (let i = 0; i < KEY_WORDS; i++) state[FIRST_KEY_WORD + i]! += key[i]!;
  for (let i = 0; i < BLOCK_WORDS; i++) out[at + LANES * i] = state[i]!;
  state.fill(0);
}

/** Adds word `other` to word `sum`, and turns what `turned` and that differ in left by `bits`. */
function mix(state: Uint32Array, sum: number, other: number, turned: number, bits: number): void {
  state[sum]! += state[other]!;
  const difference = state[turned]! ^ state[sum]!;
  state[turned] = (difference << bits) | (difference >>> (32 - bits));
}
