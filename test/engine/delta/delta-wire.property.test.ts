/**
 * Deltas on the wire: what is written between two snapshots leads from the one to the other, whoever made
 * them; and no damage gets through.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ID_BYTES } from '../../../native-layout/snapshot-row.ts';
import { DEFAULT_PREFIX_BITS } from '../../../src/engine/address/network-keys.ts';
import { deltaChecksum } from '../../../src/engine/delta/delta-checksum.ts';
import { DELTA_BYTE, DELTA_HEADER_BYTES } from '../../../src/engine/delta/delta-layout.ts';
import { readDelta } from '../../../src/engine/delta/delta-reader.ts';
import { deltaBetween, diffSnapshots } from '../../../src/engine/delta/snapshot-diff.ts';
import { contentDigestOf } from '../../../src/engine/snapshot/content-digest.ts';
import type { NodeRow } from '../../../src/engine/snapshot/node-row.ts';
import { openPackedSnapshot, packSnapshot, type Snapshot } from '../../../src/engine/snapshot/snapshot.ts';
import { DeltaCache, idBytes } from '../../support/delta-cache.ts';
import { LocalCache } from '../../support/local-cache.ts';
import { TEST_SETTINGS, testId } from '../../support/population.ts';
import { checkProperty } from '../../support/property.ts';
import { relayPopulation } from '../../support/relays.ts';
import { randomRows } from '../../support/row-lists.ts';

const OPTIONS = { capacity: 60, settings: TEST_SETTINGS, allowRanges: ['benchmark'] };
const CACHE = new DeltaCache(OPTIONS);
const TERMS = { attributes: 2, prefixBits: DEFAULT_PREFIX_BITS };

/** A snapshot of its own, as a file has it: cut to its content, with another seed than any other. */
function snapshotOf(rows: readonly NodeRow[], seed: number): Snapshot {
  const cache = new LocalCache({ ...OPTIONS, indexSeed: seed });
  return openPackedSnapshot(packSnapshot(cache.publish(rows).snapshot.views));
}

/** A cache that has `rows`, and what `delta` makes of it. */
function applied(rows: readonly NodeRow[], delta: Uint8Array): Snapshot {
  const cache = CACHE;
  cache.cache.publish(rows);
  const { contentTo, removedIds, upserts } = readDelta(delta, TERMS);
  const changes = cache.engine.collect();
  changes.remove(removedIds);
  changes.appendFields(upserts);
  const outcome = cache.apply(changes, { contentTo });
  if (outcome.kind !== 'built') throw new Error(outcome.reason);
  expect(outcome.counts.refused).toEqual({});
  return outcome.snapshot;
}

const lists = fc.array(randomRows, { maxLength: 30 });

test('the delta between two snapshots leads from the one to the other', () => {
  checkProperty(
    fc.property(lists, lists, fc.nat(), fc.nat(), (first, second, seed, otherSeed) => {
      const before = snapshotOf(first, seed);
      const after = snapshotOf(second, otherSeed);
      const delta = diffSnapshots(before, after, DEFAULT_PREFIX_BITS);
      const { contentFrom, contentTo } = readDelta(delta, TERMS);
      expect(contentFrom).toBe(contentDigestOf(before.views));
      expect(contentTo).toBe(contentDigestOf(after.views));
      expect(contentDigestOf(applied(first, delta).views)).toBe(contentTo);
      // Between what is the same there is nothing.
      const nothing = diffSnapshots(after, snapshotOf(second.toReversed(), seed), DEFAULT_PREFIX_BITS);
      if (contentDigestOf(after.views) === readDelta(nothing, TERMS).contentTo) {
        expect(nothing).toHaveLength(DELTA_HEADER_BYTES);
      }
    }),
    { runs: 150 },
  );
});

test('the delta of ids that changed says the same as that of all of them', () => {
  checkProperty(
    fc.property(lists, lists, fc.array(fc.nat(45), { maxLength: 10 }), (first, upserts, removed) => {
      const cache = new DeltaCache(OPTIONS);
      const { snapshot: before } = cache.cache.publish(first);
      const {
        snapshot: after,
        changedIds,
        changed,
      } = cache.change({ upserts, removed: removed.map(testId) });
      expect(changedIds).toHaveLength(ID_BYTES * (changed.inserted + changed.updated + changed.removed));
      const delta = deltaBetween(before, after, changedIds, DEFAULT_PREFIX_BITS);
      expect(delta.length).toBe(diffSnapshots(before, after, DEFAULT_PREFIX_BITS).length);
      expect(contentDigestOf(applied(first, delta).views)).toBe(contentDigestOf(after.views));
    }),
    { runs: 150 },
  );
});

test('ids that are in neither snapshot, or stand for the same in both, are left out', () => {
  const [row, other] = fc
    .sample(randomRows, 2)
    .map((drawn, i) => ({ ...drawn, id: testId(i), ip: '20.1.2.3', port: 1 }));
  const before = snapshotOf([row!], 1);
  const after = snapshotOf([row!, other!], 2);
  const ids = idBytes([testId(0), testId(9)]);
  expect(deltaBetween(before, after, ids, DEFAULT_PREFIX_BITS)).toHaveLength(DELTA_HEADER_BYTES);
});

/** A delta with everything in it. */
function exampleDelta(): Uint8Array<ArrayBuffer> {
  const row = (number: number, more: Partial<NodeRow>): NodeRow => ({
    id: testId(number),
    ip: `20.1.${number}.1`,
    port: 40_000 + number,
    vetted: true,
    attributes: ['DE', undefined],
    ...more,
  });
  const before = snapshotOf([row(1, {}), row(2, {}), row(3, {})], 1);
  const after = snapshotOf(
    [
      row(2, { port: 7 }),
      row(4, { ip: '2a02:c207::1', attributes: ['FR', '1'] }),
      row(5, { network: 'rack 7', vetted: false }),
      row(6, { ineligible: 'offline', ip: '2a02:c208::1', network: '2a02:c207::' }),
    ],
    2,
  );
  return diffSnapshots(before, after, DEFAULT_PREFIX_BITS);
}

const REFUSED = expect.objectContaining({ code: expect.stringMatching(/SNAPSHOT_CORRUPT|LAYOUT_MISMATCH/) });

describe('a delta', () => {
  test('with any one bit flipped is refused', () => {
    const delta = exampleDelta();
    for (let bit = 0; bit < delta.length * 8; bit++) {
      delta[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => readDelta(delta, TERMS), `bit ${bit}`).toThrow(REFUSED);
      delta[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(readDelta(delta, TERMS).upserts.count).toBe(4);
  });

  test('cut off anywhere, or with anything behind it, is refused', () => {
    const delta = exampleDelta();
    for (let length = 0; length < delta.length; length++) {
      expect(() => readDelta(delta.slice(0, length), TERMS), `${length} bytes`).toThrow(REFUSED);
    }
    for (let more = 1; more < 20; more++) {
      const longer = new Uint8Array(delta.length + more);
      longer.set(delta);
      expect(() => readDelta(longer, TERMS), `${more} bytes more`).toThrow(REFUSED);
    }
  });

  test('is read from anywhere in a larger buffer', () => {
    const delta = exampleDelta();
    const larger = new Uint8Array(delta.length + 5).fill(9);
    larger.set(delta, 3);
    const { contentTo } = readDelta(larger.subarray(3, 3 + delta.length), TERMS);
    expect(contentTo).toBe(readDelta(delta, TERMS).contentTo);
  });

  test('that lies under a right checksum is refused when it is read, or when it has been applied', () => {
    const delta = exampleDelta();
    const first = [1, 2, 3].map(number => ({
      id: testId(number),
      ip: `20.1.${number}.1`,
      port: 40_000 + number,
      vetted: true,
      attributes: ['DE', undefined],
    }));
    const before = delta.slice(DELTA_BYTE.CONTENT_FROM, DELTA_BYTE.CONTENT_TO);
    let refused = 0;
    checkProperty(
      fc.property(
        fc.array(fc.tuple(fc.nat(delta.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(delta.length),
        (changes, cut) => {
          const lie =
            changes.length === 4 ? delta.slice(0, Math.max(cut, DELTA_HEADER_BYTES)) : delta.slice();
          for (const [at, byte] of changes) if (at < lie.length) lie[at] = byte;
          // Where it comes from is not looked at by who applies it.
          lie.set(before, DELTA_BYTE.CONTENT_FROM);
          seal(lie);
          if (Buffer.compare(lie, delta) === 0) return;
          expect(() => applied(first, lie)).toThrow(REFUSED);
          refused++;
        },
      ),
      { runs: 1000 },
    );
    expect(refused).toBeGreaterThan(500);
  });

  test.each<[string, number, number, RegExp]>([
    ['another magic', DELTA_BYTE.MAGIC, 0, /no delta/],
    ['another version', DELTA_BYTE.VERSION, 2, /version 2/],
    ['another number of attributes', DELTA_BYTE.ATTRIBUTES, 3, /3 attributes a row, this cache 2/],
    ['other networks', DELTA_BYTE.IPV4_BITS, 25, /first 25 and 64 bits .* 24 and 64/],
    ['more ids than there are bytes', DELTA_BYTE.REMOVED + 3, 255, /ids/],
    ['more rows than there are bytes', DELTA_BYTE.UPSERTS + 3, 255, /rows/],
    ['more values than there are bytes', DELTA_BYTE.VALUES + 3, 255, /values/],
    ['an id more', DELTA_BYTE.REMOVED, 3, /delta/],
    ['a row less', DELTA_BYTE.UPSERTS, 3, /left over|marks|ends/],
  ])('with %s is refused in words', (_, at, byte, problem) => {
    const delta = exampleDelta();
    delta[at] = byte;
    seal(delta);
    expect(() => readDelta(delta, TERMS)).toThrow(REFUSED);
    expect(() => readDelta(delta, TERMS)).toThrow(problem);
  });

  test('of real nodes is not much longer than what changed', () => {
    const rows = relayPopulation().map(row => ({
      ...row,
      attributes: [row.attributes[0], row.attributes[1]],
    }));
    const cache = new LocalCache({ ...OPTIONS, capacity: 20_000 });
    const [before, after] = [[], rows].map(list =>
      openPackedSnapshot(packSnapshot(cache.publish(list).snapshot.views)),
    ) as [Snapshot, Snapshot];
    const { length } = diffSnapshots(before, after, DEFAULT_PREFIX_BITS);
    // Id, address, port, pool, and a byte for each value of an attribute.
    const packed = rows.length * (ID_BYTES + 4 + 2 + 1 + 2);
    const values = after.views.attributeCodes.length * 300 * 4;
    expect(length).toBeLessThan(1.15 * packed);
    expect(length).toBeLessThan(packed + values + 64);
    expect(DELTA_HEADER_BYTES).toBeLessThanOrEqual(64);
    const gone = diffSnapshots(after, before, DEFAULT_PREFIX_BITS);
    expect(gone).toHaveLength(DELTA_HEADER_BYTES + rows.length * ID_BYTES);
  });
});

/** Gives bytes the checksum that a delta of them has. */
function seal(delta: Uint8Array): void {
  delta.fill(0, DELTA_BYTE.CHECKSUM, DELTA_HEADER_BYTES);
  const checksum = deltaChecksum(delta);
  new Uint8Array(delta.buffer, DELTA_BYTE.CHECKSUM, DELTA_HEADER_BYTES - DELTA_BYTE.CHECKSUM).set(
    new Uint8Array(checksum.buffer, checksum.byteOffset, checksum.byteLength),
  );
}
