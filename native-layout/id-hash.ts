/**
 * The numbers of the id index's keyed hash, which is part of the layout: whoever maps a snapshot looks ids up
 * with it. `src/engine/snapshot/id-index.ts` says how they meet; `sortition-snapshot.h` says it in C.
 */

/** Step of SplitMix32's sequence, 2^32 over the golden ratio: from one key to the next. */
export const ID_HASH_KEY_STEP = 0x9e3779b9;
/** Factors of MurmurHash3's final mix, of a key and of the hash. */
export const ID_HASH_MIX_FIRST = 0x85ebca6b;
export const ID_HASH_MIX_SECOND = 0xc2b2ae35;
/** Odd factor that the hash so far is multiplied by before the next word is added. */
export const ID_HASH_CHAIN = 0x9e3779b1;
/** Keys: an addend and an odd factor for each word of an id. */
export const ID_HASH_KEYS_PER_WORD = 2;
