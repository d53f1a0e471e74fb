// @hotpath
/**
 * Rings of prepared answers: how selection workers hand finished answers to HTTP threads, and nobody waits.
 * The only file that touches `Atomics` on the words of a ring. Runs on every thread: `Filler` on selection
 * workers, `Taker` on HTTP threads, `reapSlots` on the thread that started the others.
 *
 * **Protocol.** A slot belongs to whoever has exchanged its state: free → filling (a filler) → ready → taken
 * (a taker) → free. Nobody but the owner touches its bytes and its other words.
 *
 *   from      to        by                         operation
 *   free      filling   any filler                 exchange: two fillers may want it
 *   filling   ready     its filler                 store, after its bytes and words
 *   filling   free      its filler                 store: there was nothing to put in
 *   ready     taken     any taker                  exchange: so each answer is used once
 *   ready     free      the ring's owner           exchange: a new tenant wants none of the old answers
 *   taken     free      its taker                  store, when the last byte has left (I6)
 *   filling, taken → free   `reapSlots`            exchange, after the owner's thread has ended
 *
 * **Orderings.** All words are accessed by sequentially consistent atomics. A filler's store of `ready` puts
 * its plain writes before the reads of the taker whose exchange finds it; a taker's store of `free` puts its
 * reads (and those of the system: the write to the socket is done) before the writes of the next filler. So
 * no plain access to a slot ever races.
 *
 * **What an answer may still be used for** is judged after it is taken, by whom it was taken: its generation
 * is that of the snapshot that is current, nothing has been revoked since before it was computed (the filler
 * reads REVOCATIONS first, the revoker counts after its revocation can be seen), and it was made for the
 * tenant.
 *
 * **Idle.** Takers never sleep. A filler that finds every ring full sleeps for a moment and looks again: it
 * is not woken by takers, because waking a thread costs the one that wakes more than an answer does.
 *
 * **Death.** A thread can end between any two operations. A slot that it owned says so in its state, and is
 * freed after its `exit` event. Nothing else of a ring is owned: there is no count and no queue that could be
 * left wrong.
 */
import { assert } from '../assert.ts';
import { CacheError } from '../errors.ts';
import type { ControlWords } from '../publication.ts';
import {
  checkRingShape,
  hintWord,
  RING_MAGIC,
  RING_VERSION,
  RING_WORD,
  type RingShape,
  ringAnswerBytes,
  ringWordBytes,
  SLOT_WORD,
  stateWord,
  tenancyWord,
} from './ring-layout.ts';

export const NO_ANSWER = -1;

/** The words of rings; a schedule explorer binds its own, and nobody sleeps there. */
export interface RingWords extends ControlWords {
  /** Sleeps while the word has this value, `ms` at the longest. */
  wait(word: number, value: number, ms: number): void;
  /** Wakes all that sleep on the word. */
  wake(word: number): void;
}

const FREE = 0;
const READY = 1;
const FILLING = 2;
const TAKEN = 3;
/** States with an owner: kind and thread in one word, so that one exchange sets both. */
const KINDS = 4;

function owned(kind: number, threadId: number): number {
  return (threadId + 1) * KINDS + kind;
}

/** Slots that one `take` looks at: it costs the same whatever state the ring is in. */
export const PROBES_MAX = 8;

/** The shared memory of all rings, as it crosses threads. */
export interface RingMemory {
  readonly words: SharedArrayBuffer;
  readonly answers: SharedArrayBuffer;
}

/** Reserves free rings; the system commits pages when answers are first written. Throws CAPACITY_EXCEEDED. */
export function reserveRings(shape: RingShape): RingMemory {
  checkRingShape(shape);
  try {
    const words = new SharedArrayBuffer(ringWordBytes(shape));
    const array = new Int32Array(words);
    // Nobody else has the block yet; its hand-over orders these stores before every access.
    array[RING_WORD.MAGIC] = RING_MAGIC;
    array[RING_WORD.VERSION] = RING_VERSION;
    array[RING_WORD.RINGS] = shape.rings;
    array[RING_WORD.SLOTS] = shape.slots;
    array[RING_WORD.SLOT_BYTES] = shape.slotBytes;
    return { words, answers: new SharedArrayBuffer(ringAnswerBytes(shape)) };
  } catch (cause) {
    throw new CacheError('CAPACITY_EXCEEDED', `cannot reserve ${ringAnswerBytes(shape)} bytes of answers`, {
      cause,
      field: 'prepared.bytesMax',
    });
  }
}

/** The words of rings in shared memory, and their shape. Throws LAYOUT_MISMATCH when it is none. */
export function sharedRingWords(memory: RingMemory): { words: RingWords; shape: RingShape } {
  const array = new Int32Array(memory.words);
  const words: RingWords = {
    load: word => Atomics.load(array, word),
    store: (word, value) => {
      Atomics.store(array, word, value);
    },
    compareExchange: (word, expected, replacement) =>
      Atomics.compareExchange(array, word, expected, replacement),
    wait: (word, value, ms) => void Atomics.wait(array, word, value, ms),
    wake: word => void Atomics.notify(array, word),
  };
  // Written before the block was shared, never again.
  const magic = words.load(RING_WORD.MAGIC);
  // As above.
  const version = words.load(RING_WORD.VERSION);
  const shape: RingShape = {
    // As above.
    rings: words.load(RING_WORD.RINGS),
    // As above.
    slots: words.load(RING_WORD.SLOTS),
    // As above.
    slotBytes: words.load(RING_WORD.SLOT_BYTES),
  };
  if (
    magic !== RING_MAGIC ||
    version !== RING_VERSION ||
    memory.words.byteLength !== ringWordBytes(shape) ||
    memory.answers.byteLength !== ringAnswerBytes(shape)
  ) {
    throw new CacheError('LAYOUT_MISMATCH', 'the shared memory holds no rings of this version');
  }
  return { words, shape };
}

/** What a filler says of an answer. */
export interface Filled {
  readonly generation: number;
  /** `revocations()` before the selection began. */
  readonly seen: number;
  readonly tenancy: number;
  /** Bytes of the slot that hold the answer. */
  readonly start: number;
  readonly end: number;
}

/** Puts answers into the slots of any ring. Belongs to one thread. */
export class Filler {
  readonly #words: ControlWords;
  readonly #shape: RingShape;
  readonly #filling: number;

  constructor(words: ControlWords, shape: RingShape, threadId: number) {
    this.#words = words;
    this.#shape = shape;
    this.#filling = owned(FILLING, threadId);
  }

  /** The tenant of `ring` now: an answer made for another is made for nobody. */
  tenancy(ring: number): number {
    // Decides only whether to go on; the taker judges the answer.
    return this.#words.load(tenancyWord(this.#shape, ring));
  }

  /** To be read before a selection begins, and said of its answer. */
  revocations(): number {
    // Before the selection acquires its snapshot: see the head of this file.
    return this.#words.load(RING_WORD.REVOCATIONS);
  }

  /** Where the owner of `ring` last found nothing, and will look next. */
  hint(ring: number): number {
    // Decides only where to begin.
    return this.#words.load(hintWord(this.#shape, ring));
  }

  /** A free slot, the first from `from` on, which is now the caller's to write; or NO_ANSWER. */
  claim(ring: number, from: number): number {
    const { slots } = this.#shape;
    for (let i = 0; i < slots; i++) {
      const slot = (from + i) % slots;
      const state = stateWord(this.#shape, ring, slot);
      // A look first: an exchange that fails moves the line between cores all the same.
      if (this.#words.load(state) !== FREE) continue;
      // Exchange, because two fillers may want it; it puts the last taker's reads before our writes.
      if (this.#words.compareExchange(state, FREE, this.#filling) === FREE) return slot;
    }
    return NO_ANSWER;
  }

  /** The slot holds an answer; it is not the caller's any more. */
  publish(ring: number, slot: number, filled: Filled): void {
    const words = this.#words;
    const state = stateWord(this.#shape, ring, slot);
    // Ours alone until the last of these stores.
    words.store(state + SLOT_WORD.GENERATION, filled.generation);
    // As above.
    words.store(state + SLOT_WORD.SEEN, filled.seen);
    // As above.
    words.store(state + SLOT_WORD.TENANCY, filled.tenancy);
    // As above.
    words.store(state + SLOT_WORD.START, filled.start);
    // As above.
    words.store(state + SLOT_WORD.END, filled.end);
    // Puts all of it, and the bytes, before every read by the taker that finds this value.
    words.store(state, READY);
  }

  /** There is nothing to put into the slot. */
  abandon(ring: number, slot: number): void {
    // Ours to give: nobody else changes a state with our name.
    this.#words.store(stateWord(this.#shape, ring, slot), FREE);
  }
}

/** Answers that were taken and not used, by reason. */
export interface Drops {
  generation: number;
  revoked: number;
  tenancy: number;
}

/** Takes answers out of one ring. Belongs to one thread. */
export class Taker {
  readonly drops: Drops = { generation: 0, revoked: 0, tenancy: 0 };
  readonly #words: ControlWords;
  readonly #shape: RingShape;
  readonly #ring: number;
  readonly #taken: number;
  /** Words of the states of the slots. */
  readonly #states: Int32Array;
  /** Slots that one `take` looks at. */
  readonly #probes: number;
  readonly #hintWord: number;
  #tenancy = 0;
  #cursor = 0;

  constructor(words: ControlWords, shape: RingShape, ring: number, threadId: number) {
    this.#words = words;
    this.#shape = shape;
    this.#ring = ring;
    this.#taken = owned(TAKEN, threadId);
    this.#probes = Math.min(PROBES_MAX, shape.slots);
    this.#hintWord = hintWord(shape, ring);
    this.#states = Int32Array.from({ length: shape.slots }, (_, slot) => stateWord(shape, ring, slot));
    // A taker beside others serves the tenant that there is; the owner changes it by `adopt`.
    this.#tenancy = words.load(tenancyWord(shape, ring));
  }

  get tenancy(): number {
    return this.#tenancy;
  }

  /**
   * Gives the ring to another tenant: answers of the one before are never taken again. The ring's owner only.
   */
  adopt(): number {
    const word = tenancyWord(this.#shape, this.#ring);
    // One living owner: nobody else stores it. Never an old number, also after an owner that died.
    this.#tenancy = this.#words.load(word) + 1;
    // Fillers that are at work for the old tenant see it and stop.
    this.#words.store(word, this.#tenancy);
    for (const state of this.#states) {
      // Exchange: a slot that has been taken or is being filled is its owner's.
      if (this.#words.compareExchange(state, READY, FREE) === READY) this.drops.tenancy++;
    }
    return this.#tenancy;
  }

  /**
   * A slot whose answer is of `generation` and as good as one computed now; it is the caller's until
   * `release`. Or NO_ANSWER. `generation` is asked for after the answer is taken, so that no newer one can be
   * missed.
   */
  take(generation: () => number): number {
    const { slots } = this.#shape;
    for (let probe = 0; probe < this.#probes; probe++) {
      const slot = (this.#cursor + probe) % slots;
      const state = this.#states[slot]!;
      // A look first: an exchange that fails moves the line between cores all the same.
      if (this.#words.load(state) !== READY) continue;
      // The one operation that gives each answer to one taker.
      if (this.#words.compareExchange(state, READY, this.#taken) !== READY) continue;
      if (this.#isGood(state, generation)) {
        this.#cursor = (slot + 1) % slots;
        return slot;
      }
      this.release(slot);
    }
    this.#skipTaken();
    // Fillers go on from here; they would come round to it in any case.
    this.#words.store(this.#hintWord, this.#cursor);
    return NO_ANSWER;
  }

  /** First byte of the answer in a slot that has been taken. */
  start(slot: number): number {
    // Ours since the exchange.
    return this.#words.load(this.#states[slot]! + SLOT_WORD.START);
  }

  /** The byte behind it. */
  end(slot: number): number {
    // As above.
    return this.#words.load(this.#states[slot]! + SLOT_WORD.END);
  }

  /** Nothing will read the slot any more. */
  release(slot: number): void {
    // Puts our reads before the next filler's writes.
    this.#words.store(this.#states[slot]!, FREE);
  }

  /** Answers that wait. Information for status only. */
  readyCount(): number {
    let ready = 0;
    // Nothing is decided by it.
    for (const state of this.#states) if (this.#words.load(state) === READY) ready++;
    return ready;
  }

  #isGood(state: number, generation: () => number): boolean {
    const words = this.#words;
    // Ours since the exchange; so are the next two.
    if (words.load(state + SLOT_WORD.TENANCY) !== this.#tenancy) {
      this.drops.tenancy++;
      return false;
    }
    // Now, after the exchange: what has been published since the filling is seen.
    if (words.load(state + SLOT_WORD.GENERATION) !== generation()) {
      this.drops.generation++;
      return false;
    }
    // Now, for the same reason.
    if (words.load(state + SLOT_WORD.SEEN) !== words.load(RING_WORD.REVOCATIONS)) {
      this.drops.revoked++;
      return false;
    }
    return true;
  }

  /**
   * Nothing was found. The cursor stays at the first slot that can be filled, because fillers begin there;
   * slots that slow connections hold are left behind.
   */
  #skipTaken(): void {
    const { slots } = this.#shape;
    for (let probe = 0; probe < this.#probes; probe++) {
      // Decides only where to look next.
      if (this.#words.load(this.#states[this.#cursor]!) % KINDS !== TAKEN) return;
      this.#cursor = (this.#cursor + 1) % slots;
    }
  }
}

/**
 * Frees the slots of a thread that has ended. Call it only after the thread's `exit` event: a slot taken from
 * a living thread would be filled while its bytes are read. Returns the number of slots freed.
 */
export function reapSlots(words: ControlWords, shape: RingShape, threadId: number): number {
  let reaped = 0;
  for (let ring = 0; ring < shape.rings; ring++) {
    for (let slot = 0; slot < shape.slots; slot++) {
      const state = stateWord(shape, ring, slot);
      // Thread ids are not used again, so the owner cannot be a newer thread.
      const found = words.load(state);
      if (found !== owned(FILLING, threadId) && found !== owned(TAKEN, threadId)) continue;
      // The dead thread's accesses ended before its exit event; the exchange puts them before the next ones.
      if (words.compareExchange(state, found, FREE) === found) reaped++;
    }
  }
  return reaped;
}

/** A node was revoked: to be called when every selection that begins from now on leaves it out. */
export function countRevocation(words: ControlWords): void {
  let found: number;
  do {
    // An exchange that repeats: two threads may revoke at once, and no count may be lost.
    found = words.load(RING_WORD.REVOCATIONS);
    // Wraps around: only equality is asked for.
  } while (words.compareExchange(RING_WORD.REVOCATIONS, found, (found + 1) | 0) !== found);
}

/** Asks fillers to come away from their rings: there is other work. */
export function callFillers(words: RingWords): void {
  let found: number;
  do {
    // An exchange that repeats: two threads may call at once, and a call that is lost would be waited for.
    found = words.load(RING_WORD.CALLS);
    // Wraps around: only equality is asked for.
  } while (words.compareExchange(RING_WORD.CALLS, found, (found + 1) | 0) !== found);
  words.wake(RING_WORD.CALLS);
}

/** How often fillers have been called: one that began at another number is to come away. */
export function fillerCalls(words: ControlWords): number {
  // Whoever misses it sees it at the next look.
  return words.load(RING_WORD.CALLS);
}

/** Sleeps `ms` at the longest, not beyond the next call. */
export function restFiller(words: RingWords, calls: number, ms: number): void {
  words.wait(RING_WORD.CALLS, calls, ms);
}

/** Slots that have an owner now. Information for status and tests only. */
export function ownedSlots(words: ControlWords, shape: RingShape): number {
  let count = 0;
  for (let ring = 0; ring < shape.rings; ring++) {
    for (let slot = 0; slot < shape.slots; slot++) {
      // Nothing is decided by it.
      if (words.load(stateWord(shape, ring, slot)) >= KINDS) count++;
    }
  }
  assert(count <= shape.rings * shape.slots, 'each slot is counted once');
  return count;
}
