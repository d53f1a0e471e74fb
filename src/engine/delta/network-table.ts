// @hotpath
/**
 * Finds the number of a network by its key. Numbers only: the keys stand in the snapshot that they are
 * numbers of. Private memory of the loader.
 */
import { NETWORK_KEY_WORDS } from '../../../native-layout/network-key.ts';

export const NO_NETWORK = -1;

const ENTRIES_FIRST = 64;
const FACTOR = 0x9e3779b1;

export class NetworkTable {
  /** Number plus one, or 0 for an empty entry; half full at the most. */
  #entries = new Uint32Array(ENTRIES_FIRST);
  #count = 0;
  /** Key of the hash: who chooses networks must not be able to choose where they meet. */
  #seed = 0;

  get count(): number {
    return this.#count;
  }

  /** Forgets all networks, and makes room for `count`. */
  clear(seed: number, count = 0): void {
    let entries = ENTRIES_FIRST;
    while (entries < 2 * (count + 1)) entries *= 2;
    if (entries > this.#entries.length) this.#entries = new Uint32Array(entries);
    else this.#entries.fill(0);
    this.#count = 0;
    this.#seed = seed;
  }

  /**
   * The number of the network whose key is at word `at` of `words`, or NO_NETWORK. `keys`: of all numbers.
   */
  find(keys: Uint32Array, words: Uint32Array, at: number): number {
    return this.#entries[this.#entryOf(keys, words, at)]! - 1;
  }

  /** Adds `number`, whose key is in `keys`; false when another number has that key. */
  add(keys: Uint32Array, number: number): boolean {
    if (2 * (this.#count + 1) > this.#entries.length) this.#grow(keys);
    const entry = this.#entryOf(keys, keys, number * NETWORK_KEY_WORDS);
    if (this.#entries[entry] !== 0) return false;
    this.#entries[entry] = number + 1;
    this.#count++;
    return true;
  }

  /** The entry of that key, or the empty one where it belongs. */
  #entryOf(keys: Uint32Array, words: Uint32Array, at: number): number {
    const entries = this.#entries;
    const mask = entries.length - 1;
    let entry = this.#hash(words, at) & mask;
    for (;;) {
      const value = entries[entry]!;
      if (value === 0 || sameKey(keys, (value - 1) * NETWORK_KEY_WORDS, words, at)) return entry;
      entry = (entry + 1) & mask;
    }
  }

  #hash(words: Uint32Array, at: number): number {
    let h = this.#seed;
    for (let i = 0; i < NETWORK_KEY_WORDS; i++) {
      h = Math.imul(h ^ words[at + i]!, FACTOR);
      h ^= h >>> 15;
    }
    return h;
  }

  #grow(keys: Uint32Array): void {
    const before = this.#entries;
    this.#entries = new Uint32Array(2 * before.length);
    for (let i = 0; i < before.length; i++) {
      const value = before[i]!;
      if (value === 0) continue;
      this.#entries[this.#entryOf(keys, keys, (value - 1) * NETWORK_KEY_WORDS)] = value;
    }
  }
}

/** True when the keys at word `aAt` of `a` and word `bAt` of `b` are the same. */
export function sameKey(a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): boolean {
  for (let i = NETWORK_KEY_WORDS - 1; i >= 0; i--) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
