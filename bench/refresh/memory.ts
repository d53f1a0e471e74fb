/**
 * Resident memory while the same cache publishes again and again. Runs as a process of its own, so that
 * nothing but the cache is in it: `node memory.ts <file> <publishes>`. Sends one message per mark, as
 * `MemoryMark`.
 */
import { type Cache, fileSource, openCache } from '../../src/index.ts';

export interface MemoryMark {
  readonly publishes: number;
  readonly residentBytes: number;
}

const NEVER_MS = 2 ** 31 - 1;
const REQUEST = { count: 110, newFraction: 5 / 110 };
const SELECTS_BETWEEN = 100;

/** 1, 10, 100, … and the last. */
export function memoryMarks(publishes: number): number[] {
  const marks: number[] = [];
  for (let mark = 1; mark < publishes; mark *= 10) marks.push(mark);
  return [...marks, publishes];
}

async function main(path: string, publishes: number): Promise<void> {
  const cache = await openCache({
    source: fileSource(path),
    refresh: { everyMs: NEVER_MS, timeoutMs: NEVER_MS },
  });
  const marks = new Set(memoryMarks(publishes));
  for (let published = 1; published <= publishes; published++) {
    if (published > 1) await refresh(cache);
    // A reader at work: its lease moves with every generation.
    for (let i = 0; i < SELECTS_BETWEEN; i++) cache.select(REQUEST);
    if (marks.has(published)) mark(published);
  }
  await cache.close();
}

async function refresh(cache: Cache): Promise<void> {
  const result = await cache.refresh();
  if (!result.ok) throw new Error(`the load failed: ${result.error.message}`);
}

function mark(publishes: number): void {
  process.send?.({ publishes, residentBytes: process.memoryUsage.rss() } satisfies MemoryMark);
}

if (process.send !== undefined) {
  const [path = '', publishes = '1'] = process.argv.slice(2);
  await main(path, Number(publishes));
  process.disconnect();
}
