// @hotpath
/**
 * A set of small numbers (rows, network numbers, attribute codes) as one bit each, emptied by undoing what
 * was set: without the multiplication, the comparison and the collisions of a hash table. A million numbers
 * take 125 kB, which stays in the second-level cache.
 */

const BITS = 32;

export class NumberSet {
  #bits = new Int32Array(0);
  /** Words of `#bits` that may not be zero, an entry for each number ever added since. */
  readonly #touched: Int32Array;
  #touchedCount = 0;
  #size = 0;

  /** `expected`: numbers that are added between two clears. More are fine; the next `clear` is slow then. */
  constructor(expected: number) {
    this.#touched = new Int32Array(expected);
  }

  get size(): number {
    return this.#size;
  }

  /** Empties the set and makes it ready for numbers below `limit`. */
  clear(limit: number): void {
    const bits = this.#bits;
    const touched = this.#touched;
    const count = this.#touchedCount;
    if (bits.length * BITS < limit) this.#bits = new Int32Array(Math.ceil(limit / BITS));
    else if (count > touched.length) bits.fill(0);
    else for (let i = 0; i < count; i++) bits[touched[i]!] = 0;
    // Last: a call that runs out of stack before must not leave bits that nobody knows of.
    this.#touchedCount = 0;
    this.#size = 0;
  }

  has(number: number): boolean {
    return (this.#bits[number >>> 5]! & (1 << (number & 31))) !== 0;
  }

  /** Returns false when `number` was there already. */
  add(number: number): boolean {
    const bits = this.#bits;
    const word = number >>> 5;
    const bit = 1 << (number & 31);
    const before = bits[word]!;
    if ((before & bit) !== 0) return false;
    this.#touched[this.#touchedCount++] = word;
    this.#size++;
    bits[word] = before | bit;
    return true;
  }

  /** Takes out `number`, which is there. */
  remove(number: number): void {
    this.#bits[number >>> 5]! &= ~(1 << (number & 31));
    this.#size--;
  }
}
