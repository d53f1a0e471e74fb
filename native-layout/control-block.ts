/**
 * The control words: the only shared words that change while readers look at them. Every word is an Int32, is
 * reached by `Atomics` through `src/engine/publication.ts` alone (I3), and stands on a cache-line pair of its
 * own.
 *
 *   line 0   MAGIC · VERSION · SEATS · SLOTS         written once before the block is shared
 *   line 1   CURRENT      writer: loader    readers: all      slot that is current, plus one; 0: none yet
 *   line 2   GENERATION   writer: loader    readers: loader   newest generation number given out
 *   line 3…  one line a seat: OWNER · LEASE
 *            OWNER        writer: whoever claims or reaps      thread id of the reader, plus one; 0: free
 *            LEASE        writer: the owner; after its death whoever reaps   slot in use, plus one; 0: none
 */

/** Two 64-byte lines: adjacent-line prefetch makes one line too few (Agrona pads the same way). */
export const LINE_BYTES = 128;
const LINE_WORDS = LINE_BYTES / 4;

/** "SCTL", little-endian. */
export const CONTROL_MAGIC = 0x4c544353;

export const CONTROL_WORD = {
  MAGIC: 0,
  VERSION: 1,
  SEATS: 2,
  SLOTS: 3,
  CURRENT: LINE_WORDS,
  GENERATION: 2 * LINE_WORDS,
} as const;

const FIRST_SEAT_LINE = 3;

/** Word index of the owner of `seat`. */
export function ownerWord(seat: number): number {
  return (FIRST_SEAT_LINE + seat) * LINE_WORDS;
}

/** Word index of the lease of `seat`. */
export function leaseWord(seat: number): number {
  return ownerWord(seat) + 1;
}

/** Bytes of a control block with `seats` reader seats. */
export function controlBytes(seats: number): number {
  return (FIRST_SEAT_LINE + seats) * LINE_BYTES;
}

/** Slots that let a publish always find a free one: one a seat, the current one, and one to write. */
export function slotCountFor(seats: number): number {
  return seats + 2;
}
