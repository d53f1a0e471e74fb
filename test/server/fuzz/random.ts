/** Random numbers of a request: from the seed of the run and the number of the request alone. */

export class FuzzRandom {
  #state: number;

  constructor(seed: number, index: number) {
    this.#state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35)) >>> 0;
    // The first ones of neighbours are alike.
    for (let i = 0; i < 4; i++) this.#next();
  }

  /** Mulberry32: 32 bits. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** From 0 up to `end`, which is never reached. */
  below(end: number): number {
    return this.#next() % end;
  }

  /** From 0 to 1. */
  ratio(): number {
    return this.#next() / 2 ** 32;
  }

  chance(ratio: number): boolean {
    return this.ratio() < ratio;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  hex(digits: number): string {
    let text = '';
    while (text.length < digits) text += this.#next().toString(16).padStart(8, '0');
    return text.slice(0, digits);
  }
}
