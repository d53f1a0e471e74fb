/**
 * What the threads of the stress test of rings share: the rings, and a board of words on which generations,
 * revocations and the use of every answer are kept.
 */
import type { RingMemory } from '../../src/engine/prepared/ring.ts';
import type { RingShape } from '../../src/engine/prepared/ring-layout.ts';

/** Tiny: threads meet in the same slots all the time. */
export const STRESS_SHAPE: RingShape = { rings: 2, slots: 6, slotBytes: 1_024 };

/** Answers have numbers; each has a word for its use. */
export const ANSWERS_MAX = 2_000_000;

export const STRESS_WORD = {
  STOP: 0,
  GENERATION: 32,
  /** The newest revocation that selections can see; the rings count it a moment later. */
  REVOKED: 64,
  /** Next number of an answer. */
  NEXT: 96,
  FILLED: 128,
  TAKEN: 160,
  DROPPED: 192,
  USES: 224,
} as const;

export function newBoard(): SharedArrayBuffer {
  return new SharedArrayBuffer((STRESS_WORD.USES + ANSWERS_MAX) * 4);
}

export interface StressThreadData {
  readonly role: 'filler' | 'taker' | 'owner';
  readonly ring: number;
  readonly memory: RingMemory;
  readonly board: SharedArrayBuffer;
  readonly seed: number;
}

/**
 * Words of the answer's bytes: its number, generation, revocation and tenancy, then its number again and
 * again.
 */
export const HEAD_WORDS = 4;
export const FILL_WORDS = 60;
