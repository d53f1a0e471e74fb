/**
 * The private memory of a thread's kernel: never shared, and one for all slots of a cache. It begins with the
 * directory, 32-bit words that say where the areas are, where the columns of a slot are, and what the last
 * call found. The kernel keeps no state elsewhere: an instance of it is code that is bound to two memories.
 */
import { JSON_TEXT, MESSAGEPACK_TEXT } from './answer-text.ts';
import { ATTRIBUTE_VALUES_MAX, ATTRIBUTES_MAX, SETS_MAX } from './snapshot-header.ts';
import { REVOKED_ROWS_MAX, type SnapshotLayout } from './snapshot-layout.ts';
import { ID_BYTES } from './snapshot-row.ts';

/** ChaCha8Rand: 16 blocks, of which the last eight words are the next key. */
export const RANDOM_BLOCK_BYTES = 1024;
export const RANDOM_KEY_BYTES = 32;
export const RANDOM_OUTPUT_BYTES = RANDOM_BLOCK_BYTES - RANDOM_KEY_BYTES;

/**
 * Words of the directory. Places are in bytes: of areas from the start of this memory, of columns in a slot.
 */
export const KERNEL_WORD = {
  /** Random bytes that have been handed out since the last refill; RANDOM_OUTPUT_BYTES asks for one. */
  RANDOM_USED: 0,
  RANDOM: 1,
  /** Ids of a request, 32 bytes each: those to exclude, then those that are held. */
  IDS: 2,
  /**
   * Rows that those ids stand for, with room for the revoked ones; for a lookup plus one, and 0 for an
   * unknown id.
   */
  BLOCKED_ROWS: 3,
  PICKS: 4,
  /** What undoes the bits of the set of taken groups. */
  TOUCHED: 5,
  /** Sets of numbers, a bit each, all zero between two calls. */
  TAKEN: 6,
  BLOCKED: 7,
  BLOCKED_NETWORKS: 8,
  /** A number for every position or group of a candidate set; filled when it is needed. */
  ORDER: 9,
  /** A number for every group key, all zero between two calls. */
  GROUP_OF: 10,
  MOVES: 11,
  /** Picks whose group has several members, two words each: where the pick is, and how many they are. */
  CHOICES: 12,
  OUTPUT: 13,
  /** The id index's keys, eight addends and eight factors, and the seed that they come from. */
  INDEX_KEYS: 14,
  INDEX_SEED: 15,

  /** Ids as text, before they are decoded. */
  ID_TEXT: 16,

  /** Nothing: where a number goes that nobody reads. */
  FETCHED: 17,

  ROW: 18,
  ID_INDEX: 19,
  WIDE_ADDRESS: 20,

  PICKED: 21,
  NEW_PICKED: 22,
  NEW_WANTED: 23,
  VETTED_WANTED: 24,
  EXCLUDED_KNOWN: 25,
  HELD_KNOWN: 26,

  /** Place of the live column. */
  LIVE: 27,

  /** A word a column. */
  ATTRIBUTES: 32,
  /** Two words a candidate set: its row list and its groups. */
  SETS: 32 + ATTRIBUTES_MAX,
} as const;

/** What may not come twice in an answer. */
export const DISTINCT_NETWORK = 0;
export const DISTINCT_NONE = 1;
export const DISTINCT_ATTRIBUTE = 2;

/** Draws inside a group before its members are counted out. */
export const MEMBER_TRIES = 8;
/** Draws before rejection gives way to a walk: so many, and so many for each pick. */
export const DRAWS_MAX_BASE = 64;
export const DRAWS_MAX_PER_PICK = 8;
/** Rounds of draws before a walk: from the second on they replace groups without an allowed member. */
export const DRAW_ROUNDS_MAX = 16;
/** Attribute code of a row that has no value. */
export const NO_VALUE = 0;

/** Bits of a call's flags. */
export const FLAG_CAP_NEW = 1;
export const FLAG_FILL_WITH_NEW = 2;
export const FLAG_VETTED_FIRST = 4;

const DIRECTORY_WORDS = KERNEL_WORD.SETS + 2 * SETS_MAX;
const AREA_ALIGNMENT_BYTES = 64;
const INDEX_KEY_BYTES = 64;
/** A store may overrun what it is about by so much. */
const SLACK_BYTES = 64;
const VECTOR_BYTES = 16;

/** Characters of the kernel's vectors below 256, a byte each. */
const bytes = (...values: number[]) => String.fromCharCode(...values);

/**
 * Vectors that the kernel works with, by name. They stand in its memory, from VECTORS_BYTE on, because V8
 * makes a vector constant anew wherever it is used, by four instructions.
 */
const VECTORS: Readonly<Record<string, string>> = {
  /** Byte orders that rotate each of four words by 16 and by 8 bits. */
  ROTATE_16: bytes(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13),
  ROTATE_8: bytes(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14),
  LOW_HALVES: '\x0f'.repeat(VECTOR_BYTES),
  HEX_DIGITS: '0123456789abcdef',
  /**
   * To decode them: what moves the digit nine to the top of a byte, how many letters there are, the value of
   * the first one, what makes a letter small, what is taken off it, and the weights of a byte's two halves.
   */
  DIGITS_TO_TOP: bytes(0xff - 0x39).repeat(VECTOR_BYTES),
  LETTERS: '\x06'.repeat(VECTOR_BYTES),
  TENS: '\x0a'.repeat(VECTOR_BYTES),
  CASE_BITS: ' '.repeat(VECTOR_BYTES),
  CHARACTER_A: 'a'.repeat(VECTOR_BYTES),
  HIGH_HALVES: '\xf0'.repeat(VECTOR_BYTES),
  HALVES_TO_BYTE: bytes(16, 1).repeat(VECTOR_BYTES / 2),
  ...prefixed('JSON', {
    ...JSON_TEXT,
    /** The end of a node and the beginning of the next one. */
    VETTED_ID: JSON_TEXT.VETTED + JSON_TEXT.ID,
    NEW_ID: JSON_TEXT.NEW + JSON_TEXT.ID,
  }),
  ...prefixed('MESSAGEPACK', {
    ...MESSAGEPACK_TEXT,
    VETTED_ID: MESSAGEPACK_TEXT.VETTED + MESSAGEPACK_TEXT.ID,
    NEW_ID: MESSAGEPACK_TEXT.NEW + MESSAGEPACK_TEXT.ID,
  }),
};

function prefixed(prefix: string, texts: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [`${prefix}_${name}`, text]));
}

const VECTORS_BYTE = Math.ceil((4 * DIRECTORY_WORDS) / AREA_ALIGNMENT_BYTES) * AREA_ALIGNMENT_BYTES;

/** Where each vector is in the private memory, and how many of its bytes count (`…_LENGTH`). */
export const KERNEL_VECTOR: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(VECTORS).flatMap(([name, text], i) => [
    [name, VECTORS_BYTE + i * VECTOR_BYTES],
    [`${name}_LENGTH`, text.length],
  ]),
);

/** Sizes that the areas depend on. */
export interface KernelExtents {
  readonly layout: SnapshotLayout;
  readonly countMax: number;
  readonly idsMax: number;
  /** Bytes of the largest answer in any format. */
  readonly outputBytes: number;
}

export interface KernelPlan {
  /** What stands at the start of the memory before the first call, but for the key of the randomness. */
  readonly start: Uint32Array;
  readonly byteLength: number;
}

/** Where everything is, for a cache of these extents. */
export function planKernelMemory({ layout, countMax, idsMax, outputBytes }: KernelExtents): KernelPlan {
  const vectors = Object.values(VECTORS);
  let byteLength = VECTORS_BYTE + vectors.length * VECTOR_BYTES;
  const start = new Uint32Array(byteLength / 4);
  const startBytes = new Uint8Array(start.buffer);
  vectors.forEach((text, i) => {
    for (let at = 0; at < text.length; at++) {
      startBytes[VECTORS_BYTE + i * VECTOR_BYTES + at] = text.charCodeAt(at);
    }
  });
  const area = (word: number, bytes: number) => {
    byteLength = Math.ceil(byteLength / AREA_ALIGNMENT_BYTES) * AREA_ALIGNMENT_BYTES;
    start[word] = byteLength;
    byteLength += bytes + SLACK_BYTES;
  };
  const { rows, networks } = layout.extents;
  // Group keys are network numbers or attribute codes; without a distinct rule rows stand for them.
  const keys = Math.max(rows, networks, ATTRIBUTE_VALUES_MAX + 1);
  area(KERNEL_WORD.RANDOM, RANDOM_BLOCK_BYTES);
  area(KERNEL_WORD.INDEX_KEYS, INDEX_KEY_BYTES);
  area(KERNEL_WORD.PICKS, 4 * countMax);
  area(KERNEL_WORD.TOUCHED, 4 * (2 * countMax + idsMax));
  area(KERNEL_WORD.MOVES, 8 * countMax);
  area(KERNEL_WORD.CHOICES, 8 * countMax);
  area(KERNEL_WORD.TAKEN, Math.ceil(keys / 8));
  area(KERNEL_WORD.BLOCKED, Math.ceil(rows / 8));
  area(KERNEL_WORD.BLOCKED_NETWORKS, Math.ceil(networks / 8));
  area(KERNEL_WORD.IDS, ID_BYTES * idsMax);
  area(KERNEL_WORD.BLOCKED_ROWS, 4 * (idsMax + REVOKED_ROWS_MAX));
  area(KERNEL_WORD.OUTPUT, outputBytes);
  area(KERNEL_WORD.ID_TEXT, 2 * ID_BYTES * idsMax);
  area(KERNEL_WORD.GROUP_OF, 4 * keys);
  area(KERNEL_WORD.ORDER, 4 * rows);
  start[KERNEL_WORD.RANDOM_USED] = RANDOM_OUTPUT_BYTES;
  start[KERNEL_WORD.ROW] = layout.row.byteOffset;
  start[KERNEL_WORD.ID_INDEX] = layout.idIndex.byteOffset;
  start[KERNEL_WORD.WIDE_ADDRESS] = layout.wideAddress.byteOffset;
  start[KERNEL_WORD.LIVE] = layout.live.byteOffset;
  layout.attributes.forEach((column, i) => {
    start[KERNEL_WORD.ATTRIBUTES + i] = column.byteOffset;
  });
  layout.sets.forEach((set, i) => {
    start[KERNEL_WORD.SETS + 2 * i] = set.rows.byteOffset;
    start[KERNEL_WORD.SETS + 2 * i + 1] = set.groups.byteOffset;
  });
  return { start, byteLength };
}
