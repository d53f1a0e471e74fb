// @hotpath
/**
 * Publication by leased slots: how one writer swaps snapshots under many readers, and nobody waits. The only
 * file that touches `Atomics` on the control words (I3). Runs on every thread: `Publisher` on the loader,
 * `Lease` on readers.
 *
 * **Protocol.** A reader stores the slot it means to use in its lease and then confirms that the slot is
 * still current; the writer makes a slot current and later, before it overwrites any slot, reads every lease
 * once.
 *
 * **Orderings.** All control words are accessed by sequentially consistent atomics, so they stand in one
 * total order. Let L be a reader's confirming load of CURRENT (it saw slot s), A its lease store before it, P
 * the writer's store that moves CURRENT away from s, and S the writer's load of that lease before it
 * overwrites s. P comes before S, A before L. If A came after S, then P, S, A, L would stand in this order,
 * and L could not have seen s unless s had been published again, complete. So S sees the lease, and s is
 * skipped; or S sees a later lease store of the same reader, which synchronizes with S and puts all the
 * reader's plain reads of s before the overwrite. No plain access to a slot ever races, so plain reads and
 * writes are sequentially consistent on every processor (ECMA-262, memory model).
 *
 * **Space.** R seats block at most R slots, the current one is one more: with R + 2 slots there is always one
 * to write. Each lease must be read exactly once a publish: reading them anew for every slot meets one moving
 * reader in several slots, and then finds none free.
 */
import {
  CONTROL_MAGIC,
  CONTROL_WORD,
  controlBytes,
  leaseWord,
  ownerWord,
  slotCountFor,
} from '../../native-layout/control-block.ts';
import { LAYOUT_VERSION } from '../../native-layout/snapshot-header.ts';
import { assert } from './assert.ts';
import { CacheError } from './errors.ts';

/** No slot, no generation: nothing has been published. */
export const NO_SLOT = -1;
const NONE = 0;

/**
 * Sequentially consistent access to words of a control block. Production binds `Atomics`; a schedule explorer
 * its own.
 */
export interface ControlWords {
  load(word: number): number;
  store(word: number, value: number): void;
  /** Returns the value found; the replacement took place when it equals `expected`. */
  compareExchange(word: number, expected: number, replacement: number): number;
}

/**
 * The words of a control block in shared memory. Throws LAYOUT_MISMATCH when it is none, or of another
 * version.
 */
export function sharedControlWords(block: SharedArrayBuffer): { words: ControlWords; seats: number } {
  // Rounded down: bytes that are no whole words are refused below, like all that is no control block.
  const array = new Int32Array(block, 0, Math.floor(block.byteLength / Int32Array.BYTES_PER_ELEMENT));
  const words: ControlWords = {
    load: word => Atomics.load(array, word),
    store: (word, value) => {
      Atomics.store(array, word, value);
    },
    compareExchange: (word, expected, replacement) =>
      Atomics.compareExchange(array, word, expected, replacement),
  };
  if (block.byteLength < controlBytes(0) || words.load(CONTROL_WORD.MAGIC) !== CONTROL_MAGIC) {
    throw new CacheError('LAYOUT_MISMATCH', 'the shared memory holds no control block');
  }
  const version = words.load(CONTROL_WORD.VERSION);
  if (version !== LAYOUT_VERSION) {
    throw new CacheError('LAYOUT_MISMATCH', `control block of layout ${version}; this is ${LAYOUT_VERSION}`);
  }
  const seats = words.load(CONTROL_WORD.SEATS);
  if (block.byteLength !== controlBytes(seats) || words.load(CONTROL_WORD.SLOTS) !== slotCountFor(seats)) {
    throw new CacheError(
      'LAYOUT_MISMATCH',
      `${block.byteLength} bytes are no control block of ${seats} seats`,
    );
  }
  return { words, seats };
}

/** A new control block with `seats` free seats. Nothing is current. */
export function createControlBlock(seats: number): SharedArrayBuffer {
  const block = new SharedArrayBuffer(controlBytes(seats));
  const array = new Int32Array(block);
  // Nobody else has the block yet; its hand-over orders these stores before every access.
  array[CONTROL_WORD.MAGIC] = CONTROL_MAGIC;
  array[CONTROL_WORD.VERSION] = LAYOUT_VERSION;
  array[CONTROL_WORD.SEATS] = seats;
  array[CONTROL_WORD.SLOTS] = slotCountFor(seats);
  return block;
}

/** The writer's side. At most one living thread has one. */
export class Publisher {
  readonly #words: ControlWords;
  readonly #seats: number;
  readonly #busy: Uint8Array;

  constructor(words: ControlWords, seats: number) {
    this.#words = words;
    this.#seats = seats;
    this.#busy = new Uint8Array(slotCountFor(seats));
  }

  /** The current slot, or NO_SLOT. */
  currentSlot(): number {
    // Only this thread stores CURRENT; after a restart of the loader the load also orders us after its last
    // publish.
    return this.#words.load(CONTROL_WORD.CURRENT) - 1;
  }

  /**
   * A slot that may be written: neither current nor leased. The lowest one, so that few slots are ever
   * touched.
   */
  claimSlot(): number {
    const busy = this.#busy;
    busy.fill(0);
    const current = this.currentSlot();
    if (current !== NO_SLOT) busy[current] = 1;
    for (let seat = 0; seat < this.#seats; seat++) {
      // Once for each lease (see Space); it also orders the reader's past reads before our writes.
      const lease = this.#words.load(leaseWord(seat));
      if (lease !== NONE) busy[lease - 1] = 1;
    }
    const slot = busy.indexOf(0);
    assert(slot !== -1, () => `of ${busy.length} slots one is free`);
    return slot;
  }

  /** The number for the next generation: above every number given out before, also by a loader that died. */
  nextGeneration(): number {
    // A generation is a number, not an order of events; the word has one living writer.
    return this.#words.load(CONTROL_WORD.GENERATION) + 1;
  }

  /** Makes `slot`, written and validated, current. */
  publish(slot: number, generation: number): void {
    // First the number: dying between the two stores skips a number, the other order would give one out
    // twice.
    this.#words.store(CONTROL_WORD.GENERATION, generation);
    // Puts every plain write to the slot before every read by a reader that sees this value.
    this.#words.store(CONTROL_WORD.CURRENT, slot + 1);
  }
}

/** A reader's side: a seat, and the lease in it. Belongs to one thread. */
export class Lease {
  readonly #words: ControlWords;
  readonly #seat: number;
  readonly #leaseWord: number;
  #leased = NONE;
  #moves = 0;
  #released = false;

  private constructor(words: ControlWords, seat: number) {
    this.#words = words;
    this.#seat = seat;
    this.#leaseWord = leaseWord(seat);
  }

  /** Claims a free seat for the thread. Throws SEATS_EXHAUSTED. */
  static claim(words: ControlWords, seats: number, threadId: number): Lease {
    for (let seat = 0; seat < seats; seat++) {
      // Exchange, because two threads may want the same seat.
      if (words.compareExchange(ownerWord(seat), NONE, threadId + 1) === NONE) return new Lease(words, seat);
    }
    throw new CacheError(
      'SEATS_EXHAUSTED',
      `all ${seats} reader seats are taken (capacity.readers); close readers, or adopt() workers that end`,
      { field: 'capacity.readers' },
    );
  }

  /**
   * How often the lease has moved. Only while this stays the same do the bytes stay the same: the same slot
   * is not enough, since one `acquire` may leave a slot, meet a publish into it, and come back.
   */
  get moves(): number {
    return this.#moves;
  }

  /**
   * Leases the current slot and returns it, or NO_SLOT when nothing is published. Its bytes stand until the
   * next call. Loops only while publishes happen between the store and the confirming load.
   */
  acquire(): number {
    assert(!this.#released, 'a released lease is not used again: its seat may be another reader’s');
    // The steady state: one load. The leased slot is still current, and nobody writes a leased slot.
    let current = this.#words.load(CONTROL_WORD.CURRENT);
    while (current !== this.#leased) {
      // Announce, then check again: see Orderings.
      this.#words.store(this.#leaseWord, current);
      this.#leased = current;
      this.#moves++;
      current = this.#words.load(CONTROL_WORD.CURRENT);
    }
    return current - 1;
  }

  /** Gives the seat back; the lease cannot be used afterwards. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    // The lease first: a free seat never blocks a slot.
    this.#words.store(this.#leaseWord, NONE);
    this.#words.store(ownerWord(this.#seat), NONE);
  }
}

/**
 * Frees the seats of a thread that has ended. Call it only after the thread's `exit` event: a lease taken
 * from a living reader would let the writer into the slot it reads. Returns the number of seats freed.
 */
export function reapSeats(words: ControlWords, seats: number, threadId: number): number {
  let reaped = 0;
  for (let seat = 0; seat < seats; seat++) {
    // Thread ids are not used again, so the owner cannot be a newer thread.
    if (words.load(ownerWord(seat)) !== threadId + 1) continue;
    // As in release; the dead thread's reads ended before its exit event.
    words.store(leaseWord(seat), NONE);
    words.store(ownerWord(seat), NONE);
    reaped++;
  }
  return reaped;
}

/** Seats that are taken now. */
export function takenSeats(words: ControlWords, seats: number): number {
  let taken = 0;
  // Information for status only; nothing is decided by it.
  for (let seat = 0; seat < seats; seat++) if (words.load(ownerWord(seat)) !== NONE) taken++;
  return taken;
}
