// @hotpath
/**
 * Requests of the current second, by identity: one shared word each, so that a rate holds over all HTTP
 * threads together.
 *
 * **Protocol:** a word holds the number of its second (upper 12 bits) and what was taken in it (lower 20
 * bits). Taking is one compare-exchange from a word of this second, or of another one, which counts as empty;
 * a thread that loses it reads again, and after TRIES_MAX losses refuses, so nobody spins. A thread that was
 * held up between its clock and the word finds a newer second there: it counts into that one, and never sets
 * the word back.
 * **Orderings:** none are needed between words; every access is atomic and sequentially consistent.
 *
 * A second comes round again after 68 minutes: an identity that was silent for that long, or up to
 * NEWER_SECONDS_MAX less, may find its old count until that second is over. A clock that is set back further
 * than that begins anew.
 */
const COUNT_BITS = 20;
const COUNT_MASK = (1 << COUNT_BITS) - 1;
const SECOND_MASK = (1 << (32 - COUNT_BITS)) - 1;
const SECOND_MS = 1_000;
/** Nothing was ever taken: it is of no second. */
const UNUSED = 0;
/** How far a thread may be behind another one. */
export const NEWER_SECONDS_MAX = 4;
const TRIES_MAX = 64;

export class RateWords {
  readonly #words: Uint32Array;

  /** `memory`: what `reserve` gave, the same on all threads. */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Uint32Array(memory);
  }

  static reserve(identities: number): SharedArrayBuffer {
    return new SharedArrayBuffer(identities * Uint32Array.BYTES_PER_ELEMENT);
  }

  /**
   * Takes `requests` of the `rate` a second that identity `index` has; false when they are not left. `nowMs`:
   * the wall clock, which all threads share.
   */
  take(index: number, requests: number, rate: number, nowMs: number): boolean {
    const mine = Math.floor(nowMs / SECOND_MS) & SECOND_MASK;
    const words = this.#words;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      // What was taken so far, by any thread.
      const word = Atomics.load(words, index);
      const newest = word >>> COUNT_BITS;
      const isMineOrNewer = word !== UNUSED && ((newest - mine) & SECOND_MASK) <= NEWER_SECONDS_MAX;
      const second = isMineOrNewer ? newest : mine;
      const taken = isMineOrNewer ? word & COUNT_MASK : 0;
      if (taken + requests > rate) return false;
      const next = ((second << COUNT_BITS) | (taken + requests)) >>> 0;
      // Another thread may have taken meanwhile: then its count is read first.
      if (Atomics.compareExchange(words, index, word, next) === word) return true;
    }
    return false;
  }
}
