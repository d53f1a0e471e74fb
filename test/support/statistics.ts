/**
 * Chi-square tests: how likely counts are, if the expectation is right. Numerical Recipes' incomplete gamma
 * function.
 */
import { expect } from 'vitest';

/**
 * Below this a fixed-seed test fails: a right implementation has about one chance in a million to be born
 * unlucky.
 */
export const P_MIN = 1e-6;

/** Probability that a chi-square variable with `freedom` degrees is at least `x`. */
export function chiSquareTail(x: number, freedom: number): number {
  const a = freedom / 2;
  const half = x / 2;
  if (half <= 0) return 1;
  return half < a + 1 ? 1 - gammaSeries(a, half) : gammaFraction(a, half);
}

export interface Observation {
  readonly observed: readonly number[];
  /** Expected counts, or their proportions: they are scaled to the sum of what was observed. */
  readonly expected: readonly number[];
  /** Factor on the statistic, for draws without replacement; 1 for independent draws. */
  readonly scale?: number;
}

/** The p-value of `observed` under `expected`. */
export function chiSquareP(observation: Observation): number {
  const { observed, expected, scale = 1 } = observation;
  const sum = total(observed);
  const weight = total(expected);
  let statistic = 0;
  for (const [i, count] of observed.entries()) {
    const mean = (expected[i]! / weight) * sum;
    if (mean === 0) {
      if (count > 0) return 0;
    } else {
      statistic += (count - mean) ** 2 / mean;
    }
  }
  return chiSquareTail(statistic * scale, expected.filter(mean => mean > 0).length - 1);
}

/** With fewer cells, exactly even counts are nothing special. */
const TOO_EVEN_CELLS_MIN = 8;

/** Expects the counts to fit their expectation, and many counts not to fit it too well to be random. */
export function expectFit(observation: Observation): void {
  const { observed } = observation;
  const p = chiSquareP(observation);
  if (!(p > P_MIN)) expect.fail(`p = ${p}: ${observed.join(' ')} do not fit`);
  if (observed.length >= TOO_EVEN_CELLS_MIN && p > 1 - P_MIN) {
    expect.fail(`p = ${p}: ${observed.join(' ')} are too even to be random`);
  }
}

/** The same with all cells equally likely. */
export function expectUniform(observed: readonly number[], scale = 1): void {
  expectFit({ observed, expected: observed.map(() => 1), scale });
}

/**
 * Factor for counts of members in samples of `drawn` out of `all` without replacement: such counts vary less
 * than independent draws, by (all - drawn) / (all - 1).
 */
export function withoutReplacement(all: number, drawn: number): number {
  return (all - 1) / (all - drawn);
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function gammaSeries(a: number, x: number): number {
  let term = 1 / a;
  let sum = term;
  for (let n = 1; n < 10_000 && term > sum * 1e-16; n++) {
    term *= x / (a + n);
    sum += term;
  }
  return sum * Math.exp(-x + a * Math.log(x) - logGamma(a));
}

function gammaFraction(a: number, x: number): number {
  const tiny = 1e-300;
  let b = x + 1 - a;
  let c = 1 / tiny;
  let d = 1 / b;
  let h = d;
  for (let i = 1; i < 10_000; i++) {
    const an = -i * (i - a);
    b += 2;
    d = 1 / nonZero(an * d + b, tiny);
    c = nonZero(b + an / c, tiny);
    const change = d * c;
    h *= change;
    if (Math.abs(change - 1) < 1e-15) break;
  }
  return h * Math.exp(-x + a * Math.log(x) - logGamma(a));
}

function nonZero(value: number, tiny: number): number {
  return Math.abs(value) < tiny ? tiny : value;
}

/** Stirling's series, shifted to where it is exact to 15 digits. */
function logGamma(x: number): number {
  let shift = 0;
  let y = x;
  while (y < 15) shift += Math.log(y++);
  const i = 1 / (y * y);
  const series = (1 / 12 - i * (1 / 360 - i * (1 / 1260 - i / 1680))) / y;
  return (y - 0.5) * Math.log(y) - y + 0.5 * Math.log(2 * Math.PI) + series - shift;
}
