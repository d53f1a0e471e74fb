/** Numbers as people read them. */

export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** `1 thread`, `2 threads`. */
export function several(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** `350 ms`, `12.3 s`, `4 min 5 s`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** `a 3, b 1`, or `none`. */
export function tally(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts).filter(([, value]) => value > 0);
  return entries.length === 0 ? 'none' : entries.map(([name, value]) => `${name} ${count(value)}`).join(', ');
}
