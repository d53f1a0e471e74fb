/**
 * Revoked rows: a selection over them is, pick by pick, the one that excludes their ids; in both kernels, and
 * from the moment on that the list has grown, also in the middle of a generation.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { REVOKED_ROWS_MAX } from '../../native-layout/snapshot-layout.ts';
import { AssertionError } from '../../src/engine/assert.ts';
import type { KernelKind } from '../../src/engine/kernel/kernel.ts';
import { revokedCount, revokedRows, revokeRows } from '../../src/engine/live-column.ts';
import type { Reader } from '../../src/engine/reader.ts';
import type { SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import { findRow } from '../../src/engine/snapshot/id-index.ts';
import type { Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { LocalCache } from '../support/local-cache.ts';
import { networksOf, populations, TEST_SETTINGS, testRow } from '../support/population.ts';
import { checkProperty } from '../support/property.ts';

const NODES_MAX = 40;
const LIMITS = { countMax: 60, idsMax: 80 };
const KINDS: readonly KernelKind[] = ['wasm', 'typescript'];

const requests = fc.record(
  {
    count: fc.integer({ min: 1, max: 60 }),
    newFraction: fc.double({ min: 0, max: 1, noNaN: true }),
    placement: fc.constantFrom('default', ...Object.keys(TEST_SETTINGS.placements)),
    distinct: fc.constantFrom('network', 'none', 'country', 'exit'),
    fillWithNew: fc.boolean(),
    exclude: fc.array(fc.nat(NODES_MAX - 1), { maxLength: 10 }),
    held: fc.array(fc.nat(NODES_MAX - 1), { maxLength: 10 }),
  },
  { requiredKeys: ['count'] },
);

function rowOf(snapshot: Snapshot, id: string): number {
  const words = new Uint32Array(Uint8Array.from(Buffer.from(id, 'hex')).buffer);
  const { views, indexEntries, indexKeys } = snapshot;
  return findRow(views.idIndex, indexEntries, indexKeys, views.rowWords, words, 0);
}

const idsOf = (reader: Reader, request: SelectionRequest) => reader.select(request).nodes.map(({ id }) => id);

describe('revoked rows', () => {
  test.each(KINDS)('are left out as excluded ids are, pick by pick (%s)', kind => {
    const property = fc.property(
      populations(NODES_MAX),
      fc.uniqueArray(fc.nat(NODES_MAX - 1), { maxLength: 30 }),
      fc.array(requests, { minLength: 1, maxLength: 4 }),
      fc.nat(),
      (nodes, out, drawn, seed) => {
        const open = () =>
          new LocalCache({ capacity: 60, settings: TEST_SETTINGS, limits: LIMITS, kernel: kind });
        const [excluding, revoking] = [open(), open()];
        excluding.publish(nodes.map(testRow));
        const { snapshot } = revoking.publish(nodes.map(testRow));
        const readers = [excluding, revoking].map(cache => cache.reader(0, seed));
        const ids = (numbers: readonly number[] = []) => numbers.flatMap(n => nodes[n]?.id ?? []);
        // Each of them once: an id that is excluded and revoked counts twice in what a draw takes for many.
        const revoked = ids(out);
        revokeRows(
          snapshot.views,
          revoked.map(id => rowOf(snapshot, id)),
        );
        for (const one of drawn) {
          const held = ids(one.held).filter(id => !revoked.includes(id));
          const exclude = ids(one.exclude).filter(id => !revoked.includes(id));
          const request = { ...one, held };
          const expected = idsOf(readers[0]!, { ...request, exclude: [...exclude, ...revoked] });
          const picked = idsOf(readers[1]!, { ...request, exclude });
          expect(picked).toEqual(expected);
        }
        for (const reader of readers) reader.release();
      },
    );
    checkProperty(property, { runs: kind === 'wasm' ? 400 : 100 });
  });

  test.each(KINDS)('leave at once, generation by generation, and are looked up all the same (%s)', kind => {
    const nodes = networksOf([1, 1, 1, 1, 1, 1], 'vetted');
    const cache = new LocalCache({ capacity: 20, kernel: kind });
    const reader = cache.reader();
    const first = cache.publish(nodes.map(testRow)).snapshot;
    for (let gone = 1; gone <= 6; gone++) {
      revokeRows(first.views, [rowOf(first, nodes[gone - 1]!.id)]);
      const { nodes: picked, shortage } = reader.select({ count: 6 });
      expect(new Set(picked.map(({ id }) => id))).toEqual(new Set(nodes.slice(gone).map(({ id }) => id)));
      expect(shortage).toMatchObject({ found: 6 - gone, revoked: gone });
      expect(shortage!.reason).toContain(`${gone} revoked`);
    }
    expect(reader.lookup(nodes.map(({ id }) => id)).unknown).toEqual([]);
    const second = cache.publish(nodes.map(testRow)).snapshot;
    expect(revokedCount(second.views)).toBe(0);
    expect(reader.select({ count: 6 }).length).toBe(6);
  });

  test('have room for as many as are promised, and for no more', () => {
    const nodes = networksOf([REVOKED_ROWS_MAX + 1], 'vetted');
    const cache = new LocalCache({ capacity: 5_000 });
    const { views } = cache.publish(nodes.map(testRow)).snapshot;
    const rows = Array.from({ length: REVOKED_ROWS_MAX }, (_, row) => row);
    revokeRows(views, rows.slice(0, 4_000));
    revokeRows(views, rows.slice(4_000));
    expect([...revokedRows(views)]).toEqual(rows);
    expect(() => revokeRows(views, [REVOKED_ROWS_MAX])).toThrow(AssertionError);
    expect(revokedCount(views)).toBe(REVOKED_ROWS_MAX);
    // One node is left of the one network that there is.
    const { nodes: picked } = cache.reader().select({ count: 1 });
    expect(picked.map(({ id }) => rowOf(cache.publish(nodes.map(testRow)).snapshot, id))).toHaveLength(1);
  });
});
