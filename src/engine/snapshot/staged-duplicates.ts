/** Takes out of staged rows those whose id came before. Runs only when there are some, which is rare. */
import { indexEntriesFor } from '../../../native-layout/snapshot-header.ts';
import { ID_WORDS } from '../../../native-layout/snapshot-row.ts';
import { hashNodeId } from './id-index.ts';
import { BUCKETS, STAGED, type StagedRows } from './staged-rows.ts';

/** The rows of `staged` without duplicates; calls `onDrop` with the flags of each. `keys`: of the hash. */
export function withoutDuplicates(
  staged: StagedRows,
  keys: Int32Array,
  onDrop: (flags: number) => void,
): StagedRows {
  const kept = staged.emptyCopy();
  const first = firstArrivals(staged, keys);
  eachRecord(staged, at => {
    if (first[entryOf(staged, keys, first, at)] === at + 1) kept.appendCopy(staged, at);
    else onDrop(staged.words[at + STAGED.FLAGS]!);
  });
  return kept;
}

/** A hash table of the record (its first word, plus one) that came first under each id. */
function firstArrivals(staged: StagedRows, keys: Int32Array): Uint32Array {
  const { words } = staged;
  const table = new Uint32Array(indexEntriesFor(staged.count));
  eachRecord(staged, at => {
    const entry = entryOf(staged, keys, table, at);
    const other = table[entry]! - 1;
    if (other < 0 || words[at + STAGED.ARRIVAL]! < words[other + STAGED.ARRIVAL]!) table[entry] = at + 1;
  });
  return table;
}

/** The entry of the id of record `at`, or the empty one where it belongs. */
function entryOf({ words }: StagedRows, keys: Int32Array, table: Uint32Array, at: number): number {
  const mask = table.length - 1;
  let entry = hashNodeId(words, at + STAGED.ID, keys) & mask;
  while (table[entry] !== 0 && !sameId(words, table[entry]! - 1, at)) entry = (entry + 1) & mask;
  return entry;
}

function sameId(words: Uint32Array, a: number, b: number): boolean {
  for (let i = STAGED.ID; i < STAGED.ID + ID_WORDS; i++) if (words[a + i] !== words[b + i]) return false;
  return true;
}

function eachRecord(staged: StagedRows, visit: (at: number) => void): void {
  const records = new Uint32Array(staged.bucketMax());
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const count = staged.recordsOf(bucket, records);
    for (let i = 0; i < count; i++) visit(records[i]!);
  }
}
