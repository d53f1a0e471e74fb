/** Golden table of the snapshot header. */
import { describe, expect, test } from 'vitest';
import * as header from '../../native-layout/snapshot-header.ts';

describe('the snapshot header', () => {
  test('has its words where they have always been', () => {
    expect(header.HEADER_WORD).toEqual({
      MAGIC: 0,
      VERSION: 1,
      GENERATION: 2,
      ROWS: 3,
      VETTED: 4,
      NEW: 5,
      NETWORKS: 6,
      INDEX_ENTRIES: 7,
      INDEX_SEED: 8,
      WIDE_ADDRESSES: 9,
      ATTRIBUTES: 10,
      SETS: 11,
      DESCRIPTION_BYTES: 12,
      NETWORKS_USED: 13,
      DIGEST: 16,
      READ_AT_MONOTONIC: 20,
      READ_AT_UNIX: 22,
      CONTENT_DIGEST: 24,
    });
    expect(header.SET_WORD).toEqual({
      GROUPING: 0,
      IDENTITY: 1,
      VETTED_POSITIONS: 2,
      NEW_POSITIONS: 3,
      VETTED_GROUPS: 4,
      NEW_GROUPS: 5,
    });
  });

  test('has the sizes and limits that readers of files rely on', () => {
    const { HEADER_WORD, SET_WORD, setEntryWord, indexEntriesFor, ...numbers } = header;
    expect(numbers).toEqual({
      SNAPSHOT_MAGIC: 0x54524f53,
      LAYOUT_VERSION: 3,
      DIGEST_WORDS: 4,
      DESCRIBING_WORDS: 64,
      SETS_MAX: 40,
      SET_ENTRY_WORDS: 8,
      HEADER_WORDS: 384,
      HEADER_BYTES: 1536,
      ATTRIBUTES_MAX: 16,
      ATTRIBUTE_VALUES_MAX: 65_535,
      DESCRIPTION_BYTES_MAX: 16_777_216,
    });
  });

  test('has the entries of candidate sets one after the other, up to its end', () => {
    expect([0, 1, 39].map(header.setEntryWord)).toEqual([64, 72, 376]);
    expect(header.setEntryWord(header.SETS_MAX)).toBe(header.HEADER_WORDS);
  });

  test('has no two things at one word, and none across the border of the directory', () => {
    const { DIGEST, CONTENT_DIGEST, READ_AT_MONOTONIC, READ_AT_UNIX, ...single } = header.HEADER_WORD;
    const words = [
      ...Object.values(single),
      ...[0, 1, 2, 3].flatMap(i => [DIGEST + i, CONTENT_DIGEST + i]),
      ...[READ_AT_MONOTONIC, READ_AT_UNIX].flatMap(word => [word, word + 1]),
    ];
    expect(new Set(words).size).toBe(words.length);
    expect(Math.max(...words)).toBeLessThan(header.DESCRIBING_WORDS);
    expect(READ_AT_MONOTONIC % 2).toBe(0);
    expect(READ_AT_UNIX % 2).toBe(0);
    const entry = Object.values(header.SET_WORD);
    expect(new Set(entry).size).toBe(entry.length);
    expect(Math.max(...entry)).toBeLessThan(header.SET_ENTRY_WORDS);
  });

  test.each([
    [0, 16],
    [1, 16],
    [12, 16],
    [13, 32],
    [24, 32],
    [25, 64],
    [10_830, 16_384],
    [12_288, 16_384],
    [12_289, 32_768],
    [1_000_000, 2_097_152],
  ])('gives the id index of %i rows %i entries', (rows, entries) => {
    expect(header.indexEntriesFor(rows)).toBe(entries);
  });

  test('always leaves an empty entry in the id index', () => {
    for (let rows = 0; rows < 5000; rows++) {
      const entries = header.indexEntriesFor(rows);
      expect(entries & (entries - 1)).toBe(0);
      expect(rows).toBeLessThanOrEqual(entries * 0.75);
    }
  });
});
