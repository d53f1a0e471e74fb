/** A straight line through samples. */

export interface Sample {
  /** Milliseconds since the start. */
  readonly atMs: number;
  readonly value: number;
}

export interface Line {
  /** By least squares: how much `value` grows a millisecond. */
  readonly perMs: number;
  readonly mean: number;
  /** Time from the first sample to the last. */
  readonly spanMs: number;
}

export function lineThrough(samples: readonly Sample[]): Line {
  const count = samples.length;
  if (count < 2) return { perMs: 0, mean: samples[0]?.value ?? 0, spanMs: 0 };
  const meanAt = samples.reduce((sum, { atMs }) => sum + atMs, 0) / count;
  const mean = samples.reduce((sum, { value }) => sum + value, 0) / count;
  let products = 0;
  let squares = 0;
  for (const { atMs, value } of samples) {
    products += (atMs - meanAt) * (value - mean);
    squares += (atMs - meanAt) ** 2;
  }
  return {
    perMs: squares === 0 ? 0 : products / squares,
    mean,
    spanMs: samples.at(-1)!.atMs - samples[0]!.atMs,
  };
}

export function secondHalf(samples: readonly Sample[]): readonly Sample[] {
  return samples.slice(samples.length >> 1);
}
