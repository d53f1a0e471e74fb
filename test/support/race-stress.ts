/**
 * What the threads of the stress of publication share: control words, bare slots of rows that describe
 * themselves, and a board on which threads count what they do. Nothing but publication.ts is between them.
 */
import { createControlBlock } from '../../src/engine/publication.ts';
import { RaceBoard } from './race-board.ts';

/** A row is a cache line; row 0 of a slot is its head. */
export const ROW_WORDS = 16;
export const ROWS = 32;
export const SLOT_WORDS = (1 + ROWS) * ROW_WORDS;
/** Words of a head: the generation, and the life of the publisher that wrote it. */
export const HEAD = { GENERATION: 0, LIFE: 1 } as const;

/** Word `at` of a slot that holds the generation which this publisher has written. */
export function wordOf(generation: number, life: number, at: number): number {
  return ((Math.imul(generation, 0x9e3779b1) ^ Math.imul(life, 0x85ebca6b)) + at) | 0;
}

/** Lines of the board: the readers' from 0, the publisher's is the last. */
export const STRESS_READERS = 2;
export const PUBLISHER_LINE = STRESS_READERS;
export const STRESS_LINES = STRESS_READERS + 1;
/** One more than readers: the seat of one that is not reaped yet. */
export const STRESS_SEATS = STRESS_READERS + 1;

export const PHASE = {
  /** Between reads, or between publishes. */
  IDLE: 0,
  /** A reader: inside reads, its lease stands. A publisher: between `claimSlot` and `publish`. */
  BUSY: 1,
} as const;

export interface StressThreadData {
  /** Address of publication.ts, or of one of its mutants. */
  readonly publication: string;
  readonly control: SharedArrayBuffer;
  readonly slots: readonly SharedArrayBuffer[];
  readonly board: SharedArrayBuffer;
  readonly line: number;
  /** The thread waits until the board calls for this life of its line. */
  readonly life: number;
  readonly seed: number;
}

export function stressMemory(): Pick<StressThreadData, 'control' | 'slots' | 'board'> {
  return {
    control: createControlBlock(STRESS_SEATS),
    slots: Array.from({ length: STRESS_SEATS + 2 }, () => new SharedArrayBuffer(SLOT_WORDS * 4)),
    board: RaceBoard.create(STRESS_LINES).shared,
  };
}
