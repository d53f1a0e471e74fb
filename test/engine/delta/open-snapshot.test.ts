/**
 * Snapshots of another replica, or of a file, in a slot of this cache: what is taken, and what is refused.
 */
import { describe, expect, test } from 'vitest';
import { HEADER_WORD, SET_WORD, setEntryWord } from '../../../native-layout/snapshot-header.ts';
import { ROW_NETWORK_WORD, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import { snapshotViews } from '../../../native-layout/snapshot-views.ts';
import { DEFAULT_PREFIX_BITS, type PrefixBits } from '../../../src/engine/address/network-keys.ts';
import { openSnapshotInto } from '../../../src/engine/delta/open-snapshot.ts';
import { BuildMemory } from '../../../src/engine/snapshot/build-memory.ts';
import { contentDigestOf } from '../../../src/engine/snapshot/content-digest.ts';
import type { NodeRow } from '../../../src/engine/snapshot/node-row.ts';
import { computeDigest, packSnapshot, type Snapshot } from '../../../src/engine/snapshot/snapshot.ts';
import { DeltaCache } from '../../support/delta-cache.ts';
import { LocalCache, type LocalCacheOptions } from '../../support/local-cache.ts';
import { networksOf, TEST_SETTINGS, testNode, testRow } from '../../support/population.ts';

const NODES = [
  ...networksOf([3, 1, 2], 'vetted').map((node, i) => ({ ...node, country: i % 2 ? 'DE' : 'US', exit: '1' })),
  ...networksOf([2, 1], 'new', { network: 1, number: 10 }),
  ...networksOf([1], 'ineligible', { network: 7, number: 20 }),
];
const ROWS: NodeRow[] = [
  ...NODES.map(testRow),
  { ...testRow(testNode(30, 0, 'vetted')), ip: '2a02:c207:2299:5486::1' },
  { ...testRow(testNode(31, 0, 'new')), ip: '2a02:c207:2299:5486::2', network: 'rack 7' },
];
const SAME = { capacity: 100, settings: TEST_SETTINGS };
const STAMP = { generation: 77, readAtMonotonic: 5, readAtUnix: 6 };

function packedBy(options: LocalCacheOptions, rows: readonly NodeRow[] = ROWS): Uint8Array<ArrayBuffer> {
  return packSnapshot(new LocalCache({ ...SAME, indexSeed: 99, ...options }).publish(rows).snapshot.views);
}

/** Opens the bytes in slot 1 of a cache of these options. */
function opened(packed: Uint8Array<ArrayBuffer>, options: LocalCacheOptions = SAME): Snapshot {
  const cache = new LocalCache(options);
  const { prefixBits = DEFAULT_PREFIX_BITS, allowRanges = [] } = options;
  const target = snapshotViews(cache.slots[1]!, cache.layout);
  // What a slot held before must not matter.
  new Uint8Array(target.buffer).fill(0xee);
  const memory = new BuildMemory(cache.layout.extents.rows, cache.plan);
  return openSnapshotInto(
    target,
    packed,
    { plan: cache.plan, prefixBits, allowRanges, stamp: STAMP },
    memory,
  );
}

/** The packed bytes after `damage`, with the digest that they have then. */
function damaged(damage: (views: Snapshot['views'], snapshot: Snapshot) => void): Uint8Array<ArrayBuffer> {
  const { snapshot } = new LocalCache({ ...SAME, indexSeed: 99 }).publish(ROWS);
  damage(snapshot.views, snapshot);
  const digest = new Uint32Array(4);
  computeDigest(snapshot.views, digest);
  snapshot.views.header.set(digest, HEADER_WORD.DIGEST);
  return packSnapshot(snapshot.views);
}

describe('a snapshot opened in a slot', () => {
  test('is the one that was packed, but for generation and moment', () => {
    const packed = packedBy({});
    const snapshot = opened(packed);
    expect(snapshot).toMatchObject({ rowCount: ROWS.length, ...STAMP });
    const again = packSnapshot(snapshot.views);
    const words = (bytes: Uint8Array<ArrayBuffer>) => {
      const all = new Uint32Array(bytes.buffer.slice(0));
      all[HEADER_WORD.GENERATION] = 0;
      all.fill(0, HEADER_WORD.DIGEST, HEADER_WORD.READ_AT_UNIX + 2);
      return all;
    };
    expect(words(again)).toEqual(words(packed));
  });

  test('is what deltas can be made of', () => {
    const source = new LocalCache({ ...SAME, indexSeed: 3 });
    const packed = packSnapshot(source.publish(ROWS).snapshot.views);
    const cache = new DeltaCache(SAME);
    const { publisher, slots, layout, plan } = cache.cache;
    const slot = publisher.claimSlot();
    const options = { plan, prefixBits: DEFAULT_PREFIX_BITS, allowRanges: [], stamp: STAMP };
    openSnapshotInto(snapshotViews(slots[slot]!, layout), packed, options, new BuildMemory(100, plan));
    publisher.publish(slot, STAMP.generation);
    const row = { ...testRow(testNode(2, 5, 'new')), network: 'rack 7', attributes: ['DE', '1'] };
    const { snapshot } = cache.change({ upserts: [row], removed: [NODES[0]!.id] });
    const rows = [...ROWS.filter(({ id }) => id !== row.id && id !== NODES[0]!.id), row];
    expect(contentDigestOf(snapshot.views)).toBe(contentDigestOf(source.publish(rows).snapshot.views));
  });

  test('may be larger or smaller than the slot is made for, as long as it fits', () => {
    expect(opened(packedBy({ capacity: 5000 }), { ...SAME, capacity: ROWS.length }).rowCount).toBe(
      ROWS.length,
    );
    expect(() => opened(packedBy({}), { ...SAME, capacity: ROWS.length - 1 })).toThrow(
      expect.objectContaining({ code: 'CAPACITY_EXCEEDED', field: 'capacity.nodes' }),
    );
  });
});

describe('a snapshot made under other settings is refused, and what differs is named:', () => {
  const MISMATCH = (words: RegExp) =>
    expect.objectContaining({ code: 'LAYOUT_MISMATCH', message: expect.stringMatching(words) });
  const { european, ...others } = TEST_SETTINGS.placements;

  test.each<[string, LocalCacheOptions, RegExp]>([
    ['networks', { prefixBits: { ipv4: 24, ipv6: 56 } satisfies PrefixBits }, /networkPrefixBits .*56.*64/],
    [
      'attributes',
      { settings: { ...TEST_SETTINGS, distinctAttributes: ['country', 'exit', 'rack'] } },
      /attributes \["country","exit","rack"\], this cache \["country","exit"\]/,
    ],
    ['no attributes', { settings: { placements: {}, distinctAttributes: [] } }, /attributes \[\]/],
    [
      'placements',
      { settings: { ...TEST_SETTINGS, placements: { ...others, western: european } } },
      /western/,
    ],
    [
      'a filter under the same name',
      {
        settings: {
          ...TEST_SETTINGS,
          placements: { ...TEST_SETTINGS.placements, european: { filter: { countries: ['DE', 'US'] } } },
        },
      },
      /candidate set \d of the snapshot has \d nodes, of which filter 1 of this cache/,
    ],
  ])('%s', (_, options, words) => {
    expect(() => opened(packedBy(options))).toThrow(MISMATCH(words));
  });

  test('addresses that are allowed there and refused here', () => {
    const row = { ...testRow(testNode(40, 0, 'vetted')), ip: '10.0.0.1' };
    const packed = packedBy({ allowRanges: ['private-10', 'unique-local'] }, [...ROWS, row]);
    expect(() => opened(packed)).toThrow(MISMATCH(/private-10/));
    expect(opened(packed, { ...SAME, allowRanges: ['private-10'] }).rowCount).toBe(ROWS.length + 1);
    const wide = packedBy({ allowRanges: ['unique-local'] }, [{ ...row, ip: 'fd00::1' }]);
    expect(() => opened(wide)).toThrow(MISMATCH(/unique-local/));
  });
});

describe('a snapshot whose digest is right is refused all the same when', () => {
  test.each<[string, (views: Snapshot['views'], snapshot: Snapshot) => void, RegExp]>([
    ['its content digest is wrong', views => views.header[HEADER_WORD.CONTENT_DIGEST]!++, /content is/],
    [
      'two networks have one key',
      ({ networkKeyWords }) => networkKeyWords.copyWithin(0, 4, 8),
      /content is|has another number/,
    ],
    [
      'a row is in a network that is not its own',
      ({ rowWords }, { vettedCount }) => {
        rowWords[(vettedCount - 1) * ROW_WORDS + ROW_NETWORK_WORD]! -= 1;
      },
      /set 0|content is|rows are in/,
    ],
    [
      'a set says that it has all rows',
      ({ header }) => {
        header[setEntryWord(1) + SET_WORD.IDENTITY] = 1;
      },
      /.*/,
    ],
    ['it has no candidate set', ({ header }) => header.fill(0, HEADER_WORD.SETS, HEADER_WORD.SETS + 1), /.*/],
  ])('%s', (_, damage, words) => {
    expect(() => opened(damaged(damage))).toThrow(
      expect.objectContaining({
        code: expect.stringMatching(/SNAPSHOT_CORRUPT|LAYOUT_MISMATCH/),
        message: expect.stringMatching(words),
      }),
    );
  });

  test('two networks of one key that no row tells apart', () => {
    // The content is the same: rows of both networks say the same key.
    const rows = [1, 2].map(number => ({
      ...testRow(testNode(number, 0, 'vetted')),
      network: `rack ${number}`,
    }));
    const { snapshot } = new LocalCache(SAME).publish(rows);
    const { networkKeyWords } = snapshot.views;
    const network = Buffer.from(networkKeyWords.slice(0, 4).buffer).toString('latin1', 1, 7);
    networkKeyWords.copyWithin(4, 0, 4);
    const twin = new LocalCache(SAME).publish(rows.map(row => ({ ...row, network }))).snapshot;
    const from = HEADER_WORD.CONTENT_DIGEST;
    snapshot.views.header.set(twin.views.header.subarray(from, from + 4), from);
    const digest = new Uint32Array(4);
    computeDigest(snapshot.views, digest);
    snapshot.views.header.set(digest, HEADER_WORD.DIGEST);
    expect(() => opened(packSnapshot(snapshot.views))).toThrow(/has another number/);
  });
});
