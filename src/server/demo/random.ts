/** A small seeded generator for made-up data (sfc32). Never for selections: those use the engine's CSPRNG. */

export interface DemoRandom {
  /** 0 ≤ value < 1. */
  fraction(): number;
  /** 0 ≤ value < limit, an integer. */
  below(limit: number): number;
  /** An integer from `min` to `max`, both included. */
  between(min: number, max: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** Lower-case hexadecimal digits. */
  hex(digitCount: number): string;
}

const WARM_UP_ROUNDS = 15;

export function demoRandom(seed: number): DemoRandom {
  let a = 0x9e37_79b9;
  let b = seed | 0;
  let c = Math.trunc(seed / 2 ** 32) | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let round = 0; round < WARM_UP_ROUNDS; round++) next();
  const fraction = () => next() / 2 ** 32;
  const below = (limit: number) => Math.floor(fraction() * limit);
  return {
    fraction,
    below,
    between: (min, max) => min + below(max - min + 1),
    chance: probability => fraction() < probability,
    pick: items => items[below(items.length)]!,
    hex(digitCount) {
      let digits = '';
      while (digits.length < digitCount) digits += next().toString(16).padStart(8, '0');
      return digits.slice(0, digitCount);
    },
  };
}
