// @hotpath
/**
 * The id index: open addressing with linear probing, row plus one in each entry, 0 for an empty one. The hash is keyed
 * by a number drawn anew for each load, so that nobody can register ids that all meet in one place.
 */
import { ID_WORDS } from './node-id.ts';

export const NO_ROW = -1;

/** Keyed hash of the id at index `at` of `words`: one multiply and one shift a word, then a final mix. */
export function hashNodeId(words: Uint32Array, at: number, seed: number): number {
  let h = seed;
  for (let i = 0; i < ID_WORDS; i++) {
    h = Math.imul(h ^ words[at + i]!, 0x9e3779b1);
    h ^= h >>> 15;
  }
  h = Math.imul(h, 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}

/** Row of the id at index `at` of `words`, or NO_ROW. `entries` is a power of two, and at least one entry is empty. */
export function findRow(
  index: Uint32Array,
  entries: number,
  seed: number,
  idWords: Uint32Array,
  words: Uint32Array,
  at: number,
): number {
  const mask = entries - 1;
  let entry = hashNodeId(words, at, seed) & mask;
  for (;;) {
    const value = index[entry]!;
    if (value === 0) return NO_ROW;
    if (sameId(idWords, (value - 1) * ID_WORDS, words, at)) return value - 1;
    entry = (entry + 1) & mask;
  }
}

/** Enters `row`, whose id stands in `idWords`. Returns false, and enters nothing, when its id is there already. */
export function insertRow(
  index: Uint32Array,
  entries: number,
  seed: number,
  idWords: Uint32Array,
  row: number,
): boolean {
  const mask = entries - 1;
  const at = row * ID_WORDS;
  let entry = hashNodeId(idWords, at, seed) & mask;
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
