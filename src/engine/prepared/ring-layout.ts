/**
 * Where everything of the prepared answers lies: rings of slots, each slot one finished answer that waits to
 * be sent. Two blocks of shared memory: the words that change hands, by `ring.ts` alone, and the bytes of the
 * answers.
 *
 *   words, Int32, a pair of cache lines each:
 *   line 0      MAGIC · VERSION · RINGS · SLOTS · SLOT_BYTES     written once before the block is shared
 *   line 1      REVOCATIONS     writer: whoever revokes nodes    counts revocations; an answer older than
 *                                                                the newest may name a revoked node
 *   line 2      CALLS           writer: who wants a worker       counts how often fillers were called away
 *   then for each ring
 *   1 line      TENANCY · HINT  writer: the ring's owner         number of the request that the ring is for;
 *                                                                slot where the owner last found nothing
 *   SLOTS lines STATE · GENERATION · SEEN · TENANCY · START · END
 *               STATE           writer: see `ring.ts`            free, filling, ready or taken, and by whom
 *               the others      writer: who fills the slot       what is in it, and where it begins and ends
 *
 *   bytes of a slot
 *   ROOM_BYTES for what its taker writes in front of it (an HTTP head, a newer age), then the answer
 */
import { LINE_BYTES } from '../../../native-layout/control-block.ts';
import { assert } from '../assert.ts';

const LINE_WORDS = LINE_BYTES / Int32Array.BYTES_PER_ELEMENT;

/** "SRNG", little-endian. */
export const RING_MAGIC = 0x474e5253;
export const RING_VERSION = 1;

export const RING_WORD = {
  MAGIC: 0,
  VERSION: 1,
  RINGS: 2,
  SLOTS: 3,
  SLOT_BYTES: 4,
  REVOCATIONS: LINE_WORDS,
  CALLS: 2 * LINE_WORDS,
} as const;

const FIRST_RING_LINE = 3;

/** Bytes in front of an answer that its taker may write. */
export const ROOM_BYTES = 640;

/** What a set of rings is made of. */
export interface RingShape {
  readonly rings: number;
  /** Slots of each ring. */
  readonly slots: number;
  /** Bytes of each slot, its room included. */
  readonly slotBytes: number;
}

function ringLine({ slots }: RingShape, ring: number): number {
  return FIRST_RING_LINE + ring * (1 + slots);
}

/** Word index of the tenancy of `ring`. */
export function tenancyWord(shape: RingShape, ring: number): number {
  return ringLine(shape, ring) * LINE_WORDS;
}

/** Word index of the hint of `ring`. */
export function hintWord(shape: RingShape, ring: number): number {
  return tenancyWord(shape, ring) + 1;
}

/** Word index of the state of a slot; the words behind it follow in the order of `SLOT_WORD`. */
export function stateWord(shape: RingShape, ring: number, slot: number): number {
  return (ringLine(shape, ring) + 1 + slot) * LINE_WORDS;
}

/** From the state of a slot to its other words. */
export const SLOT_WORD = { GENERATION: 1, SEEN: 2, TENANCY: 3, START: 4, END: 5 } as const;

/** Bytes of the block of words. */
export function ringWordBytes(shape: RingShape): number {
  return ringLine(shape, shape.rings) * LINE_BYTES;
}

/** Bytes of the block of answers. */
export function ringAnswerBytes({ rings, slots, slotBytes }: RingShape): number {
  return rings * slots * slotBytes;
}

/** Where a slot begins in the block of answers. */
export function slotByteOffset({ slots, slotBytes }: RingShape, ring: number, slot: number): number {
  return (ring * slots + slot) * slotBytes;
}

export function checkRingShape({ rings, slots, slotBytes }: RingShape): void {
  assert(Number.isInteger(rings) && rings > 0, () => `${rings} rings`);
  assert(Number.isInteger(slots) && slots > 0, () => `${slots} slots`);
  assert(slotBytes > ROOM_BYTES && slotBytes % 8 === 0, () => `slots of ${slotBytes} bytes`);
}
