/** A set of states, each a row of integers, numbered in the order in which they were added. */

const FIRST_ROWS = 1024;
const NOT_FOUND = -1;

export class StateTable {
  #width: number;
  #rows: Int32Array;
  /** Open addressing: number of the state plus one, or 0. Its size is a power of two. */
  #places: Int32Array;
  #size = 0;

  constructor(width: number) {
    this.#width = width;
    this.#rows = new Int32Array(FIRST_ROWS * width);
    this.#places = new Int32Array(FIRST_ROWS * 2);
  }

  get size(): number {
    return this.#size;
  }

  /**
   * The number of the state that is the first `length` words of `row`; all beyond are 0. It is new when the
   * number is the size that the table had.
   */
  add(row: Int32Array, length: number): number {
    if (length > this.#width) this.#widen(length);
    const place = this.#placeOf(row, length);
    if (this.#places[place] !== 0) return this.#places[place]! - 1;
    const number = this.#size++;
    if (this.#size * this.#width > this.#rows.length) this.#rows = grown(this.#rows, this.#rows.length * 2);
    for (let i = 0, at = number * this.#width; i < length; i++) this.#rows[at + i] = row[i]!;
    this.#places[place] = this.#size;
    if (this.#size * 2 > this.#places.length) this.#rehash(this.#places.length * 2);
    return number;
  }

  /** Copies state `number` to the first `length` words of `row`. */
  read(number: number, row: Int32Array, length: number): void {
    const at = number * this.#width;
    for (let i = 0; i < length; i++) row[i] = i < this.#width ? this.#rows[at + i]! : 0;
  }

  #placeOf(row: Int32Array, length: number): number {
    const mask = this.#places.length - 1;
    let place = hashOf(row, 0, length) & mask;
    for (let number = this.#places[place]! - 1; number !== NOT_FOUND; number = this.#places[place]! - 1) {
      if (this.#isAt(number, row, length)) break;
      place = (place + 1) & mask;
    }
    return place;
  }

  #isAt(number: number, row: Int32Array, length: number): boolean {
    const at = number * this.#width;
    for (let i = 0; i < length; i++) if (this.#rows[at + i] !== row[i]) return false;
    for (let i = length; i < this.#width; i++) if (this.#rows[at + i] !== 0) return false;
    return true;
  }

  #rehash(placeCount: number): void {
    const places = new Int32Array(placeCount);
    for (let number = 0; number < this.#size; number++) {
      const at = number * this.#width;
      let place = hashOf(this.#rows, at, this.#width) & (placeCount - 1);
      while (places[place] !== 0) place = (place + 1) & (placeCount - 1);
      places[place] = number + 1;
    }
    this.#places = places;
  }

  /** Rows get more words, which are 0 in those that are there: their hashes stay. */
  #widen(width: number): void {
    const capacity = this.#rows.length / this.#width;
    const rows = new Int32Array(capacity * width);
    for (let number = 0; number < this.#size; number++) {
      rows.set(this.#rows.subarray(number * this.#width, (number + 1) * this.#width), number * width);
    }
    this.#rows = rows;
    this.#width = width;
  }
}

function grown(rows: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(length);
  larger.set(rows);
  return larger;
}

/** Zeros count for nothing, so that a row may have any number of them at its end. */
function hashOf(rows: Int32Array, from: number, length: number): number {
  let hash = 0;
  for (let i = 0; i < length; i++) {
    const value = rows[from + i]!;
    if (value === 0) continue;
    hash = Math.imul(hash ^ (value + Math.imul(i + 1, 0x9e3779b1)), 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  return Math.imul(hash, 0xc2b2ae35) >>> 7;
}
