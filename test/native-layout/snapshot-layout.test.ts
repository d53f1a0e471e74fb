/** Golden tables of column offsets: of a small layout with everything in it, and of the default slot. */
import { describe, expect, test } from 'vitest';
import {
  alignColumn,
  COLUMN_ALIGNMENT_BYTES,
  type SnapshotExtents,
  snapshotLayout,
} from '../../native-layout/snapshot-layout.ts';
import { placementPlan } from '../../src/engine/placement/placement-plan.ts';
import { slotLayout } from '../../src/engine/shared-memory.ts';
import { DEFAULT_NODES } from '../../src/workers/settings.ts';
import { TEST_SETTINGS } from '../support/population.ts';

const SMALL: SnapshotExtents = {
  rows: 5,
  indexEntries: 16,
  wideAddresses: 3,
  networks: 5,
  attributes: 2,
  descriptionBytes: 100,
  sets: [
    { listed: 0, groups: 4 },
    { listed: 3, groups: 2 },
  ],
  revocations: 6,
};

const columnsOf = (extents: SnapshotExtents) =>
  snapshotLayout(extents).columns.map(({ name, byteOffset, byteLength }) => [name, byteOffset, byteLength]);

describe('a snapshot layout', () => {
  test('of five rows puts every column where it has always been', () => {
    expect(columnsOf(SMALL)).toEqual([
      ['row', 1536, 320],
      ['attribute 0', 1856, 10],
      ['attribute 1', 1920, 10],
      ['idIndex', 1984, 64],
      ['wideAddress', 2048, 192],
      ['networkKey', 2240, 80],
      ['description', 2368, 100],
      ['set 0 rows', 2496, 0],
      ['set 0 groups', 2496, 40],
      ['set 1 rows', 2560, 12],
      ['set 1 groups', 2624, 24],
      ['live', 2688, 32],
    ]);
    expect(snapshotLayout(SMALL).byteLength).toBe(2752);
  });

  test('of nothing is its header, an empty index and the closing group of each set', () => {
    const columns = { rows: 0, indexEntries: 16, wideAddresses: 0, networks: 0, attributes: 0 };
    const empty = { ...columns, descriptionBytes: 0, revocations: 0 };
    expect(snapshotLayout({ ...empty, sets: [] }).byteLength).toBe(1536 + 64);
    expect(snapshotLayout({ ...empty, sets: [{ listed: 0, groups: 0 }] }).byteLength).toBe(1536 + 64 + 64);
  });

  test('of the default capacity puts every column where it has always been', () => {
    const layout = slotLayout(DEFAULT_NODES, placementPlan({ placements: {}, distinctAttributes: [] }));
    expect(layout.columns.map(({ name, byteOffset }) => [name, byteOffset])).toEqual([
      ['row', 1536],
      ['idIndex', 64_001_536],
      ['wideAddress', 72_390_144],
      ['networkKey', 136_390_144],
      ['description', 152_390_144],
      ['set 0 rows', 169_167_360],
      ['set 0 groups', 169_167_360],
      ['live', 177_167_424],
    ]);
    expect(layout.byteLength).toBe(177_183_872);
  });

  test('of 10,830 IPv4 nodes in as many networks is smaller than the mebibyte of the blueprint', () => {
    const { byteLength } = snapshotLayout({
      rows: 10_830,
      indexEntries: 16_384,
      wideAddresses: 0,
      networks: 10_830,
      attributes: 0,
      descriptionBytes: 500,
      sets: [{ listed: 0, groups: 10_830 }],
      revocations: 0,
    });
    expect(byteLength).toBeLessThan(1024 * 1024);
  });

  test('keeps its columns aligned, in order, and apart', () => {
    for (const nodes of [1, 2, 3, 7, 8, 100, 12_345]) {
      const layout = slotLayout(nodes, placementPlan(TEST_SETTINGS));
      let end = 1536;
      for (const { name, byteOffset, byteLength } of layout.columns) {
        expect(byteOffset % COLUMN_ALIGNMENT_BYTES, name).toBe(0);
        expect(byteOffset, name).toBe(alignColumn(end));
        end = byteOffset + byteLength;
      }
      expect(layout.byteLength).toBe(alignColumn(end));
    }
  });

  test('refuses more candidate sets or attributes than the header counts', () => {
    const set = { listed: 0, groups: 0 };
    expect(() => snapshotLayout({ ...SMALL, sets: Array(40).fill(set) })).not.toThrow();
    expect(() => snapshotLayout({ ...SMALL, sets: Array(41).fill(set) })).toThrow(
      /40 candidate sets .* not 41/,
    );
    expect(() => snapshotLayout({ ...SMALL, attributes: 16 })).not.toThrow();
    expect(() => snapshotLayout({ ...SMALL, attributes: 17 })).toThrow(/16 attributes .* not 17/);
  });
});
