/** Snapshots packed, damaged and opened again; what the validator refuses; the limits of a build. */
import { describe, expect, test } from 'vitest';
import { HEADER_WORD, SET_WORD, setEntryWord } from '../../native-layout/snapshot-header.ts';
import { GROUP_KEY_WORD, GROUP_WORDS } from '../../native-layout/snapshot-layout.ts';
import { ROW_BYTES, ROW_NETWORK_WORD, ROW_PORT_BYTE, ROW_WORDS } from '../../native-layout/snapshot-row.ts';
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { DEFAULT_PREFIX_BITS } from '../../src/engine/address/network-keys.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { openPackedSnapshot, packSnapshot, type Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { SnapshotBuilder } from '../../src/engine/snapshot/snapshot-builder.ts';
import { validateSnapshot } from '../../src/engine/snapshot/snapshot-validator.ts';
import { LocalCache } from '../support/local-cache.ts';
import { networksOf, TEST_SETTINGS, testNode, testRow } from '../support/population.ts';

const NODES = [
  ...networksOf([3, 1, 2], 'vetted'),
  ...networksOf([2, 1], 'new', { network: 1, number: 10 }),
  ...networksOf([1], 'ineligible', { network: 7, number: 20 }),
];
const WIDE: NodeRow = { ...testRow(testNode(30, 0, 'vetted')), ip: '2a02:c207:2299:5486::1' };
const ROWS = [...NODES.map(testRow), WIDE];

function built(settings: ConstructorParameters<typeof LocalCache>[0] = {}): Snapshot {
  return new LocalCache({ capacity: 100, ...settings }).publish(ROWS).snapshot;
}

describe('a packed snapshot', () => {
  test('opens with the same counts, candidate sets and bytes', () => {
    const snapshot = built({ settings: TEST_SETTINGS });
    const packed = packSnapshot(snapshot.views);
    const opened = openPackedSnapshot(packed);
    const counts = ({ views, sets, ...rest }: Snapshot) => rest;
    expect(counts(opened)).toEqual(counts(snapshot));
    const summary = ({ sets }: Snapshot) => sets.map(({ rows, groups, ...rest }) => rest);
    expect(summary(opened)).toEqual(summary(snapshot));
    expect(Buffer.compare(packSnapshot(opened.views), packed)).toBe(0);
    expect(() => validateSnapshot(opened.views)).not.toThrow();
  });

  test('describes its attributes, placements and sets', () => {
    const { views } = openPackedSnapshot(packSnapshot(built({ settings: TEST_SETTINGS }).views));
    const description = JSON.parse(new TextDecoder().decode(views.description));
    expect(description.attributes.map(({ name }: { name: string }) => name)).toEqual(['country', 'exit']);
    expect(description.placements).toContain('european');
    expect(description.sets).toHaveLength(views.sets.length);
    expect(description.sets[1]).toEqual({ filter: 0, grouping: 'country' });
  });

  test('opens from the middle of a larger buffer', () => {
    const packed = packSnapshot(built().views);
    const larger = new Uint8Array(packed.length + 3);
    larger.set(packed, 3);
    expect(openPackedSnapshot(larger.subarray(3)).rowCount).toBe(ROWS.length);
  });

  test('with any one bit flipped is refused', () => {
    const packed = packSnapshot(built().views);
    const accepted: number[] = [];
    const strange: unknown[] = [];
    for (let bit = 0; bit < packed.length * 8; bit++) {
      packed[bit >> 3]! ^= 1 << (bit & 7);
      try {
        openPackedSnapshot(packed);
        accepted.push(bit);
      } catch (error) {
        const { code } = error as { code?: string };
        if (code !== 'SNAPSHOT_CORRUPT' && code !== 'LAYOUT_MISMATCH') strange.push(error);
      }
      packed[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(accepted).toEqual([]);
    expect(strange).toEqual([]);
    expect(openPackedSnapshot(packed).rowCount).toBe(ROWS.length);
  });

  test('cut off anywhere, or with anything behind it, is refused', () => {
    const packed = packSnapshot(built().views);
    for (let length = 0; length < packed.length; length++) {
      expect(() => openPackedSnapshot(packed.slice(0, length)), `${length} bytes`).toThrow(
        expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }),
      );
    }
    const longer = new Uint8Array(packed.length + 16);
    longer.set(packed);
    expect(() => openPackedSnapshot(longer)).toThrow(expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }));
  });
});

function raise(words: Uint32Array, word: number, by: number): void {
  words[word]! += by;
}

/** Damage that a faulty builder could do: the digest is right all the same. */
const DAMAGES: [string, (snapshot: Snapshot) => void, RegExp][] = [
  [
    'an id index without one of its rows',
    ({ views }) =>
      views.idIndex.fill(
        0,
        views.idIndex.findIndex(e => e > 0),
        views.idIndex.findIndex(e => e > 0) + 1,
      ),
    /not found under its id|entries for/,
  ],
  [
    'an id index with two rows exchanged',
    ({ views }) => {
      const [a, b] = [...views.idIndex.keys()].filter(entry => views.idIndex[entry]! > 0) as [number, number];
      [views.idIndex[a], views.idIndex[b]] = [views.idIndex[b]!, views.idIndex[a]!];
    },
    /is not found under its id/,
  ],
  [
    'a port of zero',
    ({ views }) => views.rowBytes.fill(0, ROW_BYTES + ROW_PORT_BYTE, ROW_BYTES + ROW_PORT_BYTE + 2),
    /bad port/,
  ],
  [
    'a network that does not exist',
    ({ views, networkCount }) => {
      views.rowWords[2 * ROW_WORDS + ROW_NETWORK_WORD] = networkCount;
    },
    /in network/,
  ],
  [
    'a group that is empty',
    ({ sets: [set] }) => set!.groups.fill(0, GROUP_WORDS, GROUP_WORDS + 1),
    /group 1 starts at 0/,
  ],
  [
    'a vetted group that counts as new',
    ({ views }) => {
      raise(views.header, setEntryWord(0) + SET_WORD.VETTED_GROUPS, -1);
      raise(views.header, setEntryWord(0) + SET_WORD.NEW_GROUPS, 1);
    },
    /groups for \d runs/,
  ],
  [
    'a network with two groups',
    ({ sets: [set] }) => {
      set!.groups[GROUP_WORDS + GROUP_KEY_WORD] = set!.groups[GROUP_KEY_WORD]!;
    },
    /two groups/,
  ],
  [
    'a listed row of the other pool',
    ({ sets, vettedCount }) => sets[1]!.rows.fill(vettedCount, 0, 1),
    /has row/,
  ],
  [
    'a listed row that is ineligible',
    ({ sets, rowCount }) =>
      sets[1]!.rows.fill(rowCount - 1, sets[1]!.vettedPositions, sets[1]!.vettedPositions + 1),
    /has row/,
  ],
  [
    'more positions than eligible rows',
    ({ views }) => raise(views.header, setEntryWord(1) + SET_WORD.NEW_POSITIONS, 5),
    /positions of/,
  ],
  [
    'a missing position in the set of all rows',
    ({ views }) => raise(views.header, setEntryWord(0) + SET_WORD.NEW_POSITIONS, -1),
    /identity of/,
  ],
];

describe('the validator', () => {
  test.each(DAMAGES)('refuses %s', (_, damage, problem) => {
    const snapshot = built({ settings: TEST_SETTINGS });
    damage(snapshot);
    expect(() => validateSnapshot(snapshot.views)).toThrow(problem);
    expect(() => validateSnapshot(snapshot.views)).toThrow(
      expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }),
    );
  });

  test.each<[string, number, number]>([
    ['no generation', HEADER_WORD.GENERATION, 0],
    ['more rows than the slot holds', HEADER_WORD.ROWS, 101],
    ['pools larger than the snapshot', HEADER_WORD.NEW, 50],
  ])('never lets a header with %s through', (_, word, value) => {
    const snapshot = built();
    snapshot.views.header[word] = value;
    expect(() => snapshot.takeCounts()).toThrow(expect.objectContaining({ name: 'AssertionError' }));
  });
});

const STAMP = { generation: 1, readAtMonotonic: 1, readAtUnix: 0 };
const CAPACITY_EXCEEDED = expect.objectContaining({ code: 'CAPACITY_EXCEEDED', field: 'capacity.nodes' });

describe('a build', () => {
  const builderOf = (cache: LocalCache) =>
    new SnapshotBuilder(snapshotViews(cache.slots[0]!, cache.layout), {
      plan: cache.plan,
      prefixBits: DEFAULT_PREFIX_BITS,
      allowRanges: [],
      indexSeed: 1,
    });

  test('takes as many rows as the capacity, and one more is an error with a code', () => {
    const cache = new LocalCache({ capacity: 9 });
    const builder = builderOf(cache);
    for (let number = 0; number < 9; number++) builder.append(testRow(testNode(number, number, 'vetted')));
    // A duplicate takes no room.
    builder.append(testRow(testNode(3, 3, 'vetted')));
    builder.finish(STAMP);
    expect(builder.rowCount).toBe(9);
    const other = builderOf(cache);
    for (let number = 0; number < 10; number++) other.append(testRow(testNode(number, number, 'vetted')));
    expect(() => other.finish(STAMP)).toThrow(CAPACITY_EXCEEDED);
  });

  test('of far too many rows ends before it has taken them all', () => {
    const builder = builderOf(new LocalCache({ capacity: 9 }));
    let number = 0;
    const appendAll = () => {
      for (; number < 20_000; number++) builder.append(testRow(testNode(number, number, 'vetted')));
    };
    expect(appendAll).toThrow(CAPACITY_EXCEEDED);
    expect(number).toBeLessThan(5000);
  });

  test('with far more duplicates than its capacity keeps the first of each', () => {
    const cache = new LocalCache({ capacity: 9 });
    const rows = Array.from({ length: 20_000 }, (_, i) => {
      const row = testRow(testNode(i % 9, i % 4, 'vetted'));
      return { ...row, port: 1 + i, ineligible: i % 9 === 8 ? `copy ${Math.min(i, 9)}` : undefined };
    });
    const { snapshot, refused, ineligible } = cache.publish(rows);
    expect(refused).toEqual({ 'id-duplicate': 20_000 - 9 });
    expect(ineligible).toEqual({ 'copy 8': 1 });
    const { nodes } = cache.reader().lookup(Array.from({ length: 9 }, (_, i) => testNode(i, 0, 'vetted').id));
    expect(nodes.map(node => node?.port)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([snapshot.rowCount, snapshot.vettedCount]).toEqual([9, 8]);
  });

  test('at its capacity still counts refused rows instead of failing', () => {
    const cache = new LocalCache({ capacity: 1 });
    const builder = builderOf(cache);
    builder.append(testRow(testNode(0, 0, 'vetted')));
    builder.append({ ...testRow(testNode(1, 1, 'vetted')), ip: 'nowhere' });
    builder.append({ ...testRow(testNode(1, 1, 'vetted')), port: 0 });
    expect(builder.counts().refused).toEqual({ 'address-invalid': 1, 'port-invalid': 1 });
  });

  test('grows its index and its columns over every threshold on the way to many rows', () => {
    const cache = new LocalCache({ capacity: 20_000 });
    const nodes = Array.from({ length: 20_000 }, (_, number) =>
      testNode(number, number % 3001, number % 5 === 0 ? 'new' : 'vetted'),
    );
    const { snapshot, refused } = cache.publish(nodes.map(testRow));
    expect(refused).toEqual({});
    expect(snapshot.rowCount).toBe(20_000);
    expect(snapshot.newCount).toBe(4000);
    expect(snapshot.networkCount).toBe(3001);
    const reader = cache.reader();
    for (let at = 0; at < nodes.length; at += 5000) {
      const { unknown } = reader.lookup(nodes.slice(at, at + 5000).map(node => node.id));
      expect(unknown).toEqual([]);
    }
  });

  test('refuses an attribute with more values than a code can number', () => {
    const settings = { placements: {}, distinctAttributes: ['rack'] };
    const cache = new LocalCache({ capacity: 65_537, settings });
    const builder = builderOf(cache);
    const row = testRow(testNode(0, 0, 'vetted'));
    const id = Buffer.alloc(32);
    const append = (number: number, rack: string) => {
      id.writeUInt32LE(number);
      builder.append({ ...row, id, attributes: [rack] });
    };
    for (let number = 0; number < 65_535; number++) append(number, `rack ${number}`);
    append(65_535, 'rack 7');
    expect(() => append(65_536, 'one more')).toThrow(
      expect.objectContaining({ code: 'CAPACITY_EXCEEDED', message: expect.stringContaining('"rack"') }),
    );
  });

  test('of no rows at all is a valid snapshot of nothing', () => {
    const { snapshot } = new LocalCache({ capacity: 10, settings: TEST_SETTINGS }).publish([]);
    expect(snapshot.rowCount).toBe(0);
    expect(openPackedSnapshot(packSnapshot(snapshot.views)).rowCount).toBe(0);
  });

  test.each([
    [8, '20.0.0.0', '20.255.255.255', '21.0.0.0'],
    [24, '20.1.2.0', '20.1.2.255', '20.1.3.0'],
    [31, '20.1.2.4', '20.1.2.5', '20.1.2.6'],
    [32, '20.1.2.4', '20.1.2.4', '20.1.2.5'],
  ])('takes the first %i bits of an IPv4 address for its network', (ipv4, first, last, next) => {
    expect(networksAmong([first, last], { ipv4, ipv6: 64 })).toBe(1);
    expect(networksAmong([last, next], { ipv4, ipv6: 64 })).toBe(2);
  });

  test.each([
    [32, '2a02:c207::', '2a02:c207:ffff:ffff:ffff:ffff:ffff:ffff', '2a02:c208::'],
    [47, '2a02:c207:2::', '2a02:c207:3:ffff::', '2a02:c207:4::'],
    [64, '2a02:c207:0:1::', '2a02:c207:0:1:ffff:ffff:ffff:ffff', '2a02:c207:0:2::'],
    [128, '2a02::1', '2a02::1', '2a02::2'],
  ])('takes the first %i bits of an IPv6 address for its network', (ipv6, first, last, next) => {
    expect(networksAmong([first, last], { ipv4: 24, ipv6 })).toBe(1);
    expect(networksAmong([last, next], { ipv4: 24, ipv6 })).toBe(2);
  });

  function networksAmong(ips: readonly string[], prefixBits: { ipv4: number; ipv6: number }): number {
    const cache = new LocalCache({ capacity: 10, prefixBits });
    const rows = ips.map((ip, number) => ({ ...testRow(testNode(number, 0, 'vetted')), ip }));
    return cache.publish(rows).snapshot.networkCount;
  }
});
