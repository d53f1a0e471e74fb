/** Scales, and numbers as people read them. */

/** Maps values of `domain` to positions between `from` and `to`. */
export type Scale = (value: number) => number;

export function linearScale(max: number, from: number, to: number): Scale {
  return value => from + ((to - from) * value) / max;
}

/** Every value is above 0. */
export function logScale(min: number, max: number, from: number, to: number): Scale {
  const low = Math.log10(min);
  const high = Math.log10(max);
  return value => from + ((to - from) * (Math.log10(value) - low)) / (high - low);
}

/** The powers of ten that enclose the values. */
export function decades(values: readonly number[]): { min: number; max: number; ticks: number[] } {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.ceil(Math.log10(Math.max(...values)));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
  return { min: 10 ** first, max: 10 ** last, ticks };
}

/** Two significant digits and a unit that suits. */
export function timeText(us: number): string {
  if (us < 1_000) return `${digits(us)} µs`;
  if (us < 1_000_000) return `${digits(us / 1_000)} ms`;
  return `${digits(us / 1_000_000)} s`;
}

/** `950`, `2.1 k`, `47 k`, `1.5 M`. */
export function countText(count: number): string {
  if (count < 1_000) return digits(count);
  if (count < 1_000_000) return `${digits(count / 1_000)} k`;
  return `${digits(count / 1_000_000)} M`;
}

export function bytesText(bytes: number): string {
  return bytes < 1_000_000 ? `${digits(bytes / 1_000)} kB` : `${digits(bytes / 1_000_000)} MB`;
}

/** Whole from a hundred on; else two significant digits, without a zero at the end. */
function digits(value: number): string {
  return String(value >= 100 ? Math.round(value) : Number(value.toPrecision(2)));
}

/** Places for labels of `height` near the places wished for, in the same order and without overlaps. */
export function spread(wished: readonly number[], height: number, max: number): number[] {
  const order = wished.map((_, i) => i).sort((a, b) => wished[a]! - wished[b]!);
  const places = [...wished];
  for (let i = 1; i < order.length; i++) {
    places[order[i]!] = Math.max(places[order[i]!]!, places[order[i - 1]!]! + height);
  }
  // What has been pushed beyond the end pushes back.
  let limit = max;
  for (const i of order.toReversed()) {
    places[i] = Math.min(places[i]!, limit);
    limit = places[i]! - height;
  }
  return places;
}
