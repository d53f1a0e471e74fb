// @hotpath
/**
 * A set of 32-bit numbers that is cleared in constant time: open addressing, each entry stamped with the round it was
 * written in. Sized for the call, so that a small request stays in the first-level cache.
 */

export class NumberSet {
  /** Pairs of key and round. */
  readonly #entries: Int32Array;
  #round = 0;
  #mask = 0;
  #shift = 0;
  #size = 0;

  /** `capacity`: numbers that a round can hold. */
  constructor(capacity: number) {
    this.#entries = new Int32Array(2 * entriesFor(capacity));
  }

  get size(): number {
    return this.#size;
  }

  /** Empties the set and makes it ready for up to `expected` numbers, at most the capacity. */
  clear(expected: number): void {
    const entries = Math.min(entriesFor(expected), this.#entries.length / 2);
    this.#mask = 2 * entries - 1;
    this.#shift = Math.clz32(entries) + 1;
    this.#size = 0;
    this.#round++;
    if (this.#round > 0x7fff_ffff) {
      this.#entries.fill(0);
      this.#round = 1;
    }
  }

  has(key: number): boolean {
    const entries = this.#entries;
    const round = this.#round;
    const mask = this.#mask;
    let entry = (Math.imul(key, 0x9e3779b1) >>> this.#shift) << 1;
    while (entries[entry + 1] === round) {
      if (entries[entry] === key) return true;
      entry = (entry + 2) & mask;
    }
    return false;
  }

  /** Returns false when `key` was there already. */
  add(key: number): boolean {
    const entries = this.#entries;
    const round = this.#round;
    const mask = this.#mask;
    let entry = (Math.imul(key, 0x9e3779b1) >>> this.#shift) << 1;
    while (entries[entry + 1] === round) {
      if (entries[entry] === key) return false;
      entry = (entry + 2) & mask;
    }
    entries[entry] = key;
    entries[entry + 1] = round;
    this.#size++;
    return true;
  }
}

/** A power of two at least twice `numbers`, so that probes stay short and an empty entry always exists. */
function entriesFor(numbers: number): number {
  let entries = 16;
  while (entries < 2 * numbers) entries *= 2;
  return entries;
}
