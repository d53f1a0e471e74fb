/**
 * The board on which the threads of a race test report: one shared array, a line a thread. It is no part of
 * what is tested, and tells the threads when to stop.
 */
import type { SharedMemory } from '../../src/engine/shared-memory.ts';

const LINE_WORDS = 32;
const STOP = 0;
/** Words of a thread's line. */
const READS = 0;
const ROWS = 1;
const GENERATION = 2;
const MOVES = 3;
/** In 32-bit words. */
const PHASE = 8;
const LIFE = 9;

/** What a thread of the race is started with. */
export interface RaceThreadData {
  readonly memory: SharedMemory;
  /** The compiled kernel, or `undefined` for its plain twin. */
  readonly kernel: WebAssembly.Module | undefined;
  readonly board: SharedArrayBuffer;
  /** Line of the thread on the board; threads that replace one another go on counting in the same line. */
  readonly line: number;
  readonly seed: number;
}

/** Capacity of the tiny caches that race tests use. */
export const RACE_NODES = 8;
export const RACE_READERS = 3;

export class RaceBoard {
  readonly shared: SharedArrayBuffer;
  readonly #words: BigInt64Array;
  readonly #halves: Int32Array;

  constructor(shared: SharedArrayBuffer) {
    this.shared = shared;
    this.#words = new BigInt64Array(shared);
    this.#halves = new Int32Array(shared);
  }

  static create(lines: number): RaceBoard {
    return new RaceBoard(new SharedArrayBuffer((lines + 1) * LINE_WORDS * 8));
  }

  stop(): void {
    Atomics.store(this.#words, STOP, 1n);
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, STOP) !== 0n;
  }

  /** Adds to the counts of `line`; `generation` is the newest it has met. */
  report(line: number, counts: { reads: number; rows: number; moves: number; generation: number }): void {
    const at = (line + 1) * LINE_WORDS;
    Atomics.add(this.#words, at + READS, BigInt(counts.reads));
    Atomics.add(this.#words, at + ROWS, BigInt(counts.rows));
    Atomics.add(this.#words, at + MOVES, BigInt(counts.moves));
    Atomics.store(this.#words, at + GENERATION, BigInt(counts.generation));
  }

  counts(line: number): { reads: number; rows: number; moves: number; generation: number } {
    const at = (line + 1) * LINE_WORDS;
    const word = (name: number) => Number(Atomics.load(this.#words, at + name));
    return { reads: word(READS), rows: word(ROWS), moves: word(MOVES), generation: word(GENERATION) };
  }

  /** What the thread of `line` is in the middle of, as the thread itself says. */
  enter(line: number, phase: number): void {
    Atomics.store(this.#halves, this.#half(line, PHASE), phase);
  }

  phase(line: number): number {
    return Atomics.load(this.#halves, this.#half(line, PHASE));
  }

  /** Lets the thread that is to be life `life` of `line` begin. */
  call(line: number, life: number): void {
    Atomics.store(this.#halves, this.#half(line, LIFE), life);
    Atomics.notify(this.#halves, this.#half(line, LIFE));
  }

  /** Blocks the calling thread until it is called. */
  awaitCall(line: number, life: number): void {
    const at = this.#half(line, LIFE);
    for (
      let called = Atomics.load(this.#halves, at);
      called < life;
      called = Atomics.load(this.#halves, at)
    ) {
      Atomics.wait(this.#halves, at, called);
    }
  }

  #half(line: number, name: number): number {
    return (line + 1) * LINE_WORDS * 2 + name;
  }
}
