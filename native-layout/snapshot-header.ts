/**
 * The snapshot header: 1,536 bytes at the start of every slot and snapshot file, as 32-bit words. The first
 * 64 words describe the snapshot; then comes the set directory, eight words a candidate set. Words not named
 * are zero.
 */

/** "SORT", little-endian. */
export const SNAPSHOT_MAGIC = 0x54524f53;

/** See the ledger in README.md. Any change of a byte's meaning raises it. */
export const LAYOUT_VERSION = 3;

export const HEADER_WORD = {
  MAGIC: 0,
  VERSION: 1,
  GENERATION: 2,
  /** Rows in all: vetted, then new, then ineligible. */
  ROWS: 3,
  VETTED: 4,
  NEW: 5,
  /** What network numbers are below; not every one of them has rows. */
  NETWORKS: 6,
  /** Entries of the id index, a power of two. */
  INDEX_ENTRIES: 7,
  /** Key of the id index's hash. */
  INDEX_SEED: 8,
  WIDE_ADDRESSES: 9,
  ATTRIBUTES: 10,
  SETS: 11,
  /** Bytes of the description (UTF-8 JSON). */
  DESCRIPTION_BYTES: 12,
  /** Distinct networks over all rows. */
  NETWORKS_USED: 13,
  /** Four words: the digest of everything but these words; see README.md. */
  DIGEST: 16,
  /** Float64 at an even word: when the read began, milliseconds on the machine's monotonic clock. */
  READ_AT_MONOTONIC: 20,
  /** Float64 at an even word: the same moment as Unix milliseconds, wall clock: information only. */
  READ_AT_UNIX: 22,
  /** Four words: the digest of what the source said of every row; see README.md. */
  CONTENT_DIGEST: 24,
} as const;

export const DIGEST_WORDS = 4;
export const DESCRIBING_WORDS = 64;

/** Candidate sets a snapshot can hold: filters times groupings. */
export const SETS_MAX = 40;

/** Words of a candidate set's directory entry, and their meaning. */
export const SET_ENTRY_WORDS = 8;
export const SET_WORD = {
  /** 1 + index of the attribute that groups the set; 0: grouped by network. */
  GROUPING: 0,
  /** 1: positions are rows, no row list; 0: the row list says which row a position is. */
  IDENTITY: 1,
  /** Positions of vetted candidates; they come first. */
  VETTED_POSITIONS: 2,
  NEW_POSITIONS: 3,
  /** Groups of vetted candidates; they come first. */
  VETTED_GROUPS: 4,
  NEW_GROUPS: 5,
} as const;

export const HEADER_WORDS = DESCRIBING_WORDS + SETS_MAX * SET_ENTRY_WORDS;
export const HEADER_BYTES = HEADER_WORDS * 4;

/** Word index of the directory entry of candidate set `set`. */
export function setEntryWord(set: number): number {
  return DESCRIBING_WORDS + set * SET_ENTRY_WORDS;
}

/** Attribute columns a snapshot can hold. */
export const ATTRIBUTES_MAX = 16;
/** Distinct values of one attribute; code 0 means that a row has none. */
export const ATTRIBUTE_VALUES_MAX = 65_535;
/** Bytes of the description at the most. */
export const DESCRIPTION_BYTES_MAX = 16 * 1024 * 1024;
/** An id index is filled to three quarters at the most. */
const INDEX_LOAD_MAX = 0.75;
const INDEX_ENTRIES_MIN = 16;

/** Entries of the id index of `rows` rows: the power of two that keeps it at most three quarters full. */
export function indexEntriesFor(rows: number): number {
  let entries = INDEX_ENTRIES_MIN;
  while (entries * INDEX_LOAD_MAX < rows) entries *= 2;
  return entries;
}
