/** Views over snapshot bytes, and what is refused before a view is made: the negative space of the layout. */
import { describe, expect, test } from 'vitest';
import { HEADER_WORD, SET_WORD, SNAPSHOT_MAGIC, setEntryWord } from '../../native-layout/snapshot-header.ts';
import { snapshotLayout } from '../../native-layout/snapshot-layout.ts';
import { extentsOf, headerProblem, snapshotViews } from '../../native-layout/snapshot-views.ts';
import { openPackedSnapshot, packSnapshot } from '../../src/engine/snapshot/snapshot.ts';
import { LocalCache } from '../support/local-cache.ts';
import { networksOf, TEST_SETTINGS, testRow } from '../support/population.ts';

const EXTENTS = {
  rows: 3,
  indexEntries: 16,
  wideAddresses: 1,
  networks: 2,
  attributes: 1,
  descriptionBytes: 10,
  sets: [{ listed: 2, groups: 2 }],
  revocations: 4,
};

describe('views', () => {
  test('cover their columns, and the bytes of each are little-endian', () => {
    const layout = snapshotLayout(EXTENTS);
    const buffer = new ArrayBuffer(layout.byteLength);
    const views = snapshotViews(buffer, layout);
    const lengths = {
      rowWords: views.rowWords.length,
      rowBytes: views.rowBytes.length,
      rowLongs: views.rowLongs.length,
      attributeCodes: views.attributeCodes.map(codes => codes.length),
      idIndex: views.idIndex.length,
      wideAddressBytes: views.wideAddressBytes.length,
      wideAddressLongs: views.wideAddressLongs.length,
      networkKeyWords: views.networkKeyWords.length,
      description: views.description.length,
      set: [views.sets[0]!.rows.length, views.sets[0]!.groups.length],
      live: views.live.length,
    };
    expect(lengths).toEqual({
      rowWords: 48,
      rowBytes: 192,
      rowLongs: 24,
      attributeCodes: [3],
      idIndex: 16,
      wideAddressBytes: 64,
      wideAddressLongs: 8,
      networkKeyWords: 8,
      description: 10,
      set: [2, 6],
      live: 6,
    });
    views.rowWords[0] = 0x0403_0201;
    expect([...new Uint8Array(buffer, layout.row.byteOffset, 4)]).toEqual([1, 2, 3, 4]);
    views.headerFloats[HEADER_WORD.READ_AT_UNIX / 2] = 1;
    expect([...views.header.subarray(HEADER_WORD.READ_AT_UNIX, HEADER_WORD.READ_AT_UNIX + 2)]).toEqual([
      0, 0x3ff0_0000,
    ]);
  });

  test('are not made over a buffer that is a byte too short', () => {
    const layout = snapshotLayout(EXTENTS);
    expect(() => snapshotViews(new ArrayBuffer(layout.byteLength - 1), layout)).toThrow(RangeError);
  });
});

describe('a header', () => {
  test.each([
    ['zeros', 0, 3, /not a snapshot: it begins with 0x0/],
    ['another magic', SNAPSHOT_MAGIC ^ 1, 3, /not a snapshot/],
    ['magic in the other byte order', 0x534f5254, 3, /not a snapshot/],
    ['an older version', SNAPSHOT_MAGIC, 2, /layout version 2; this program reads version 3/],
    ['a newer version', SNAPSHOT_MAGIC, 4, /layout version 4/],
  ])('of %s is named as the problem', (_, magic, version, problem) => {
    expect(headerProblem(new Uint32Array([magic, version]))).toMatch(problem);
  });

  test('that is too short to have a version is a problem', () => {
    expect(headerProblem(new Uint32Array([SNAPSHOT_MAGIC]))).toMatch(/version undefined/);
    expect(headerProblem(new Uint32Array())).toMatch(/not a snapshot/);
  });

  test('of a snapshot gives back the extents that it was laid out by', () => {
    const cache = new LocalCache({ settings: TEST_SETTINGS, capacity: 100 });
    const { snapshot } = cache.publish(networksOf([3, 4, 5], 'vetted').map(testRow));
    const packed = packSnapshot(snapshot.views);
    expect(headerProblem(snapshot.views.header)).toBeUndefined();
    expect(snapshotLayout(extentsOf(snapshot.views.header)).byteLength).toBe(packed.byteLength);
  });

  const lies: [string, number, (word: number) => number][] = [
    ['rows', HEADER_WORD.ROWS, rows => rows + 1],
    ['no rows', HEADER_WORD.ROWS, () => 0],
    ['rows beyond all memory', HEADER_WORD.ROWS, () => 0xffff_ffff],
    ['index entries', HEADER_WORD.INDEX_ENTRIES, entries => entries * 2],
    ['wide addresses', HEADER_WORD.WIDE_ADDRESSES, count => count + 1],
    ['attributes', HEADER_WORD.ATTRIBUTES, count => count + 1],
    ['too many attributes', HEADER_WORD.ATTRIBUTES, () => 17],
    ['attributes without end', HEADER_WORD.ATTRIBUTES, () => 0xffff_ffff],
    ['description bytes', HEADER_WORD.DESCRIPTION_BYTES, bytes => bytes + 64],
    ['sets', HEADER_WORD.SETS, sets => sets - 1],
    ['too many sets', HEADER_WORD.SETS, () => 41],
    ['sets without end', HEADER_WORD.SETS, () => 0xffff_ffff],
    ['groups', setEntryWord(0) + SET_WORD.VETTED_GROUPS, groups => groups + 8],
    ['positions of a listed set', setEntryWord(4) + SET_WORD.VETTED_POSITIONS, positions => positions + 16],
    ['vetted rows, and nothing else', HEADER_WORD.VETTED, vetted => vetted - 1],
    ['new rows, and nothing else', HEADER_WORD.NEW, count => count + 1],
    ['networks', HEADER_WORD.NETWORKS, networks => networks + 1],
    ['networks in use, and nothing else', HEADER_WORD.NETWORKS_USED, networks => networks + 1],
  ];

  test.each(lies)('that lies about %s is refused', (_, word, change) => {
    const cache = new LocalCache({ settings: TEST_SETTINGS, capacity: 100 });
    const { snapshot } = cache.publish(networksOf([3, 4, 5], 'vetted').map(testRow));
    const packed = packSnapshot(snapshot.views);
    const words = new Uint32Array(packed.buffer);
    words[word] = change(words[word]!);
    expect(() => openPackedSnapshot(packed)).toThrow(expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }));
  });
});
