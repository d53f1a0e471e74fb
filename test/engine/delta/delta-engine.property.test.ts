/**
 * Chains of deltas against loads: whatever changes, in whatever order, a delta makes the snapshot that a load
 * of the changed table makes.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GROUP_WORDS } from '../../../native-layout/snapshot-layout.ts';
import { ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import { contentDigestOf } from '../../../src/engine/snapshot/content-digest.ts';
import { nodeIdText } from '../../../src/engine/snapshot/node-id.ts';
import type { NodeRow } from '../../../src/engine/snapshot/node-row.ts';
import { computeDigest, packSnapshot, type Snapshot } from '../../../src/engine/snapshot/snapshot.ts';
import { validateSnapshot } from '../../../src/engine/snapshot/snapshot-validator.ts';
import { DeltaCache } from '../../support/delta-cache.ts';
import { LocalCache } from '../../support/local-cache.ts';
import { TEST_SETTINGS, testId } from '../../support/population.ts';
import { checkProperty } from '../../support/property.ts';
import { randomRows } from '../../support/row-lists.ts';

const OPTIONS = { capacity: 60, settings: TEST_SETTINGS, allowRanges: ['benchmark'] };
const LOADED = new LocalCache(OPTIONS);

/** Id of a row that has one, in lower case. */
function idOf({ id }: NodeRow): string | undefined {
  const text = typeof id === 'string' ? id.toLowerCase() : Buffer.from(id).toString('hex');
  return /^[0-9a-f]{64}$/.test(text) ? text : undefined;
}

type Table = Map<string, NodeRow>;

function changed(table: Table, { upserts, removed }: Step): Table {
  const next = new Map(table);
  for (const id of removed) next.delete(id);
  for (const row of upserts) {
    const id = idOf(row);
    if (id !== undefined) next.set(id, row);
  }
  return next;
}

interface Step {
  readonly upserts: readonly NodeRow[];
  readonly removed: readonly string[];
  /** What happens: a delta, one that is made and not published, or a load of the same changes. */
  readonly how: 'delta' | 'given up' | 'load';
}

const steps: fc.Arbitrary<Step> = fc.record({
  upserts: fc.array(randomRows, { maxLength: 14 }),
  removed: fc.array(fc.nat(45).map(testId), { maxLength: 8 }),
  how: fc.constantFrom('delta', 'delta', 'delta', 'delta', 'given up', 'load'),
});

/** Ids of each group of each candidate set, and of each network with its rows in no set. */
function structureOf(snapshot: Snapshot): string[][] {
  return snapshot.sets.map(set => {
    const groups: string[] = [];
    for (let group = 0; group < set.vettedGroups + set.newGroups; group++) {
      const ids: string[] = [];
      const end = set.groups[(group + 1) * GROUP_WORDS]!;
      for (let position = set.groups[group * GROUP_WORDS]!; position < end; position++) {
        const row = set.identity ? position : set.rows[position]!;
        ids.push(nodeIdText(snapshot.views.rowWords, row * ROW_WORDS));
      }
      groups.push(`${group < set.vettedGroups ? 'vetted' : 'new'} ${ids.toSorted().join()}`);
    }
    return groups.toSorted();
  });
}

function countsOf({ rowCount, vettedCount, newCount, networksUsed }: Snapshot): number[] {
  return [rowCount, vettedCount, newCount, networksUsed];
}

/** The digest of the bytes, as it is computed anew. */
function digestOf(snapshot: Snapshot): number[] {
  const digest = new Uint32Array(4);
  computeDigest(snapshot.views, digest);
  return [...digest];
}

function expectSame(made: Snapshot, loaded: Snapshot): void {
  expect(countsOf(made)).toEqual(countsOf(loaded));
  expect(structureOf(made)).toEqual(structureOf(loaded));
  expect(contentDigestOf(made.views)).toBe(contentDigestOf(loaded.views));
  // A validation finds nothing wrong, and gives it the digests that it has.
  const packed = packSnapshot(made.views);
  validateSnapshot(made.views);
  expect(Buffer.compare(packSnapshot(made.views), packed)).toBe(0);
  expect(digestOf(made)).toEqual([...made.views.header.subarray(16, 20)]);
}

test('a chain of deltas leads to what loads of the changed tables make', () => {
  checkProperty(
    fc.property(
      fc.array(randomRows, { maxLength: 40 }),
      fc.array(steps, { minLength: 1, maxLength: 6 }),
      (first, chain) => {
        const cache = new DeltaCache(OPTIONS);
        let table = changed(new Map(), { upserts: first, removed: [], how: 'load' });
        cache.cache.publish(table.values());
        for (const step of chain) {
          const after = changed(table, step);
          if (step.how === 'load') cache.cache.publish(after.values());
          else {
            const outcome = cache.apply(cache.collect(step), { publish: step.how === 'delta' });
            if (outcome.kind !== 'built') throw new Error(outcome.reason);
            expectSame(outcome.snapshot, LOADED.publish(after.values()).snapshot);
          }
          if (step.how !== 'given up') table = after;
        }
        expectSame(cache.current(), LOADED.publish(table.values()).snapshot);
      },
    ),
    { runs: 300 },
  );
});
