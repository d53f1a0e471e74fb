/**
 * Checks the header of a built snapshot, and what it says of the columns. The kernel checks nothing: each of
 * its assumptions about a header has its line here.
 */
import {
  DESCRIBING_WORDS,
  DIGEST_WORDS,
  HEADER_WORD,
  indexEntriesFor,
  SET_ENTRY_WORDS,
  SET_WORD,
  SETS_MAX,
  setEntryWord,
} from '../../../native-layout/snapshot-header.ts';
import { CacheError } from '../errors.ts';
import type { Snapshot } from './snapshot.ts';

/** Words of the first part that mean something; the others are zero. */
const NAMED_WORDS: ReadonlySet<number> = new Set([
  ...Object.values(HEADER_WORD),
  ...Array.from({ length: DIGEST_WORDS }, (_, i) => HEADER_WORD.DIGEST + i),
  ...Array.from({ length: DIGEST_WORDS }, (_, i) => HEADER_WORD.CONTENT_DIGEST + i),
  HEADER_WORD.READ_AT_MONOTONIC + 1,
  HEADER_WORD.READ_AT_UNIX + 1,
]);
const NAMED_SET_WORDS: ReadonlySet<number> = new Set(Object.values(SET_WORD));

/** Throws SNAPSHOT_CORRUPT. */
export function checkHeader(snapshot: Snapshot): void {
  const { views, rowCount, networkCount, networksUsed, indexEntries, sets } = snapshot;
  const { header, headerFloats, attributeCodes } = views;
  const word = (name: keyof typeof HEADER_WORD) => header[HEADER_WORD[name]]!;
  if (networksUsed > networkCount) fail(`${networksUsed} networks of ${networkCount} numbers`);
  // A mask is made of it: any other number leads out of the index.
  if (indexEntries !== indexEntriesFor(rowCount)) fail(`${indexEntries} index entries for ${rowCount} rows`);
  // More than rows, where rows have gone; but no more than there is room for.
  const { wideAddresses } = views.layout.extents;
  if (word('WIDE_ADDRESSES') > wideAddresses) fail(`${word('WIDE_ADDRESSES')} wide addresses`);
  if (word('SETS') !== sets.length) fail(`${word('SETS')} candidate sets, ${sets.length} are planned`);
  if (word('ATTRIBUTES') !== attributeCodes.length) {
    fail(`${word('ATTRIBUTES')} attributes, ${attributeCodes.length} are planned`);
  }
  for (const name of ['READ_AT_MONOTONIC', 'READ_AT_UNIX'] as const) {
    if (!Number.isFinite(headerFloats[HEADER_WORD[name] / 2]!))
      fail(`the clock reading ${name} is no number`);
  }
  for (let i = 0; i < DESCRIBING_WORDS; i++) {
    if (!NAMED_WORDS.has(i) && header[i] !== 0) fail(`header word ${i} is not zero`);
  }
  for (let set = 0; set < SETS_MAX; set++) {
    for (let i = 0; i < SET_ENTRY_WORDS; i++) {
      const means = set < sets.length && NAMED_SET_WORDS.has(i);
      if (!means && header[setEntryWord(set) + i] !== 0) fail(`word ${i} of set ${set} is not zero`);
    }
  }
}

function fail(problem: string): never {
  throw new CacheError('SNAPSHOT_CORRUPT', problem);
}
