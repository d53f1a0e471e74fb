// @hotpath
/**
 * The id index: open addressing with linear probing, row plus one in each entry, 0 for an empty one. The hash
 * is keyed by a number drawn anew for each load, so that nobody can register ids that all meet in one place.
 */
import { ID_WORDS } from './node-id.ts';

export const NO_ROW = -1;

/** Keys of the hash, from the snapshot's seed: an addend and an odd factor for each word of an id. */
export function indexKeys(seed: number): Int32Array {
  const keys = new Int32Array(2 * ID_WORDS);
  let state = seed | 0;
  for (let i = 0; i < keys.length; i++) {
    // SplitMix32's sequence: a step of the golden ratio, then MurmurHash3's final mix.
    state = (state + 0x9e3779b9) | 0;
    let key = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    key = Math.imul(key ^ (key >>> 13), 0xc2b2ae35);
    keys[i] = (key ^ (key >>> 16)) | (i & 1);
  }
  return keys;
}

/**
 * Keyed hash of the id at index `at` of `words`. Each word meets a secret factor before it meets the others,
 * so what two differences do to each other depends on the key.
 */
function hashNodeId(words: Uint32Array, at: number, keys: Int32Array): number {
  let h = 0;
  for (let i = 0; i < ID_WORDS; i++) {
    const mixed = Math.imul(words[at + i]! ^ keys[2 * i]!, keys[2 * i + 1]!);
    h = (Math.imul(h, 0x9e3779b1) + (mixed ^ (mixed >>> 16))) | 0;
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}

/**
 * Row of the id at index `at` of `words`, or NO_ROW. `entries` is a power of two, and at least one entry is
 * empty.
 */
export function findRow(
  index: Uint32Array,
  entries: number,
  keys: Int32Array,
  idWords: Uint32Array,
  words: Uint32Array,
  at: number,
): number {
  const mask = entries - 1;
  let entry = hashNodeId(words, at, keys) & mask;
  for (;;) {
    const value = index[entry]!;
    if (value === 0) return NO_ROW;
    if (sameId(idWords, (value - 1) * ID_WORDS, words, at)) return value - 1;
    entry = (entry + 1) & mask;
  }
}

/**
 * Enters `row`, whose id stands in `idWords`. Returns false, and enters nothing, when its id is there
 * already.
 */
export function insertRow(
  index: Uint32Array,
  entries: number,
  keys: Int32Array,
  idWords: Uint32Array,
  row: number,
): boolean {
  const mask = entries - 1;
  const at = row * ID_WORDS;
  let entry = hashNodeId(idWords, at, keys) & mask;
  for (;;) {
    const value = index[entry]!;
    if (value === 0) {
      index[entry] = row + 1;
      return true;
    }
    if (sameId(idWords, (value - 1) * ID_WORDS, idWords, at)) return false;
    entry = (entry + 1) & mask;
  }
}

function sameId(a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): boolean {
  for (let i = 0; i < ID_WORDS; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
