/** The edges of a build, and damage that a validator must see although the digest is right. */
import { expect, test } from 'vitest';
import { HEADER_WORD, SET_WORD, setEntryWord } from '../../native-layout/snapshot-header.ts';
import { GROUP_KEY_WORD, GROUP_WORDS } from '../../native-layout/snapshot-layout.ts';
import {
  ROW_ADDRESS_BYTE,
  ROW_ADDRESS_WORD,
  ROW_BYTES,
  ROW_NETWORK_WORD,
  ROW_PORT_BYTE,
  ROW_PORT_TEXT_BYTE,
  ROW_PORT_WORD,
  ROW_TEXT_BYTE,
  ROW_TEXT_LENGTH_BYTE,
  ROW_WORDS,
  WIDE_BINARY_BYTE,
} from '../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../native-layout/snapshot-views.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import type { CandidateSet, Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { validateSnapshot } from '../../src/engine/snapshot/snapshot-validator.ts';
import { LocalCache } from '../support/local-cache.ts';

function row(number: number, more: Partial<NodeRow> = {}): NodeRow {
  return {
    id: number.toString(16).padStart(64, '0'),
    ip: `8.8.${number >> 8}.${number & 255}`,
    port: 1000 + number,
    vetted: number % 2 === 0,
    attributes: ['DE'],
    ...more,
  };
}

test('a full cache takes no more rows, but still counts those that would be refused anyway', () => {
  const cache = new LocalCache({ capacity: 3 });
  const full = [row(1), row(2), row(3)];
  const { refused } = cache.publish([...full, row(2), row(4, { id: 'x' }), row(5, { port: 0 })]);
  expect(refused).toEqual({ 'id-duplicate': 1, 'id-invalid': 1, 'port-invalid': 1 });
  expect(() => cache.publish([...full, row(4)])).toThrow(
    expect.objectContaining({ code: 'CAPACITY_EXCEEDED', field: 'capacity.nodes' }),
  );
});

test('criteria are counted by name up to a limit, and then together', () => {
  const cache = new LocalCache();
  const rows = Array.from({ length: 1000 }, (_, i) => row(i, { ineligible: `reason ${i}` }));
  const { ineligible } = cache.publish(rows);
  expect(Object.keys(ineligible)).toHaveLength(65);
  expect(Object.values(ineligible).reduce((sum, count) => sum + count)).toBe(1000);
});

test.each([
  ['host bits under a prefix length', '8.8.8.2/24', '8.8.8.0/24', true],
  ['a bare address and a prefix', '8.8.8.0', '8.8.8.77/24', true],
  ['two prefixes', '8.8.8.0/24', '8.8.9.0/24', false],
  ['IPv6 host bits', '2a00::5/64', '2a00::/64', true],
  ['something that is no prefix length', '8.8.8.0/garbage', '8.8.8.0', false],
  ['a prefix length that is too long', '8.8.8.0/33', '8.8.8.0', false],
])('a network named with %s: %s and %s', (_, first, second, same) => {
  const cache = new LocalCache();
  const { snapshot } = cache.publish([row(1, { network: first }), row(2, { network: second })]);
  expect(snapshot.networkCount).toBe(same ? 1 : 2);
});

/** A snapshot with all kinds of columns, and what is done to it. */
function damaged(damage: (views: SnapshotViews, snapshot: Snapshot) => void): () => void {
  const cache = new LocalCache({
    capacity: 64,
    settings: { placements: {}, distinctAttributes: ['country'] },
  });
  const rows = Array.from({ length: 40 }, (_, i) =>
    row(i, { ip: i % 10 === 9 ? `2a00::${i}` : `8.${i % 7}.8.${i}`, attributes: [i % 3 ? 'DE' : 'FR'] }),
  );
  const { snapshot } = cache.publish(rows);
  damage(snapshot.views, snapshot);
  return () => validateSnapshot(snapshot.views);
}

function exchange(array: Uint32Array, a: number, b: number): void {
  const value = array[a]!;
  array[a] = array[b]!;
  array[b] = value;
}

test('a validator accepts what was not damaged', () => {
  expect(damaged(() => {})).not.toThrow();
});

test.each<[string, (views: SnapshotViews) => void]>([
  [
    'exchanged group keys',
    views => exchange(views.sets[0]!.groups, GROUP_KEY_WORD, GROUP_WORDS + GROUP_KEY_WORD),
  ],
  [
    'a first group that starts late',
    views => {
      views.sets[0]!.groups[0] = 1;
    },
  ],
  [
    'a group border that is moved',
    views => {
      views.sets[0]!.groups[GROUP_WORDS]!++;
    },
  ],
  ['a member in another group', views => exchange(views.sets[1]!.rows, 0, 19)],
  [
    'a row twice',
    views => {
      views.sets[1]!.rows[1] = views.sets[1]!.rows[0]!;
    },
  ],
  [
    'a row in another network',
    views => {
      views.rowWords[ROW_NETWORK_WORD] = 1 - views.rowWords[ROW_NETWORK_WORD]!;
    },
  ],
  [
    'a network that does not exist',
    views => {
      views.rowWords[39 * ROW_WORDS + ROW_NETWORK_WORD] = 1000;
    },
  ],
  [
    'an address that is not its text',
    views => {
      views.rowBytes[ROW_ADDRESS_BYTE]!++;
    },
  ],
  [
    'a text of 200 bytes',
    views => {
      views.rowBytes[ROW_TEXT_LENGTH_BYTE] = 200;
    },
  ],
  [
    'a text that is no address',
    views => {
      views.rowBytes[ROW_TEXT_BYTE] = 0x41;
    },
  ],
  [
    'wrong digits of a port',
    views => {
      views.rowBytes[ROW_PORT_TEXT_BYTE]! ^= 1;
    },
  ],
  [
    'a code that is in no dictionary',
    views => {
      views.attributeCodes[0]![3] = 9;
    },
  ],
  [
    'an id that is not in the index',
    views => {
      views.rowWords[0]! ^= 1;
    },
  ],
])('a validator sees %s', (_, damage) => {
  expect(damaged(damage)).toThrow(expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }));
});

const header = (word: number, value: number) => (views: SnapshotViews) => {
  views.header[word] = value;
};
const setWord = (word: number) => setEntryWord(0) + word;

test.each<[string, (views: SnapshotViews) => void]>([
  ['a new node among the vetted ones of an identity set', views => movePoolBorder(views)],
  [
    'a port of zero in the first row',
    views => {
      views.rowWords[ROW_PORT_TEXT_BYTE / 4] = 0;
      views.rowWords[ROW_PORT_WORD] = 0;
    },
  ],
  ['no candidate set', header(HEADER_WORD.SETS, 0)],
  ['an attribute more', header(HEADER_WORD.ATTRIBUTES, 2)],
  ['more networks in use than there are', header(HEADER_WORD.NETWORKS_USED, 41)],
  ['a network in use that no row is in', views => raiseNetworks(views, 1, 1)],
  ['a network that is not counted as in use', views => raiseNetworks(views, 0, -1)],
  ['more wide addresses than there is room for', header(HEADER_WORD.WIDE_ADDRESSES, 65)],
  ['an index of another size', header(HEADER_WORD.INDEX_ENTRIES, 32)],
  ['an index whose size is no power of two', header(HEADER_WORD.INDEX_ENTRIES, 63)],
  ['a clock that is no number', header(HEADER_WORD.READ_AT_MONOTONIC + 1, 0x7ff8_0000)],
  ['a word that means nothing', header(40, 1)],
  ['a word of a set that means nothing', header(setWord(7), 1)],
  ['a word of a set that there is not', header(setEntryWord(39), 1)],
  [
    'a description that is no JSON',
    views => {
      views.description[0] = 0x5d;
    },
  ],
])('a validator sees %s', (_, damage) => {
  expect(damaged(damage)).toThrow(expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }));
});

function raiseNetworks({ header }: SnapshotViews, networks: number, used: number): void {
  header[HEADER_WORD.NETWORKS]! += networks;
  header[HEADER_WORD.NETWORKS_USED]! += used;
}

/** Says that the first new row is vetted: in the candidate set and its groups, not in the header. */
function movePoolBorder({ header }: SnapshotViews): void {
  for (const [pool, by] of [
    ['VETTED', 1],
    ['NEW', -1],
  ] as const) {
    header[setWord(SET_WORD[`${pool}_POSITIONS`])]! += by;
    header[setWord(SET_WORD[`${pool}_GROUPS`])]! += by;
  }
}

test('a validator sees a wide address beyond those that there are', () => {
  const run = damaged((views, snapshot) => {
    const wide = Array.from({ length: snapshot.rowCount }, (_, i) => i).find(
      i => views.rowBytes[i * ROW_BYTES + ROW_TEXT_LENGTH_BYTE] === 0,
    )!;
    views.rowWords[wide * ROW_WORDS + ROW_ADDRESS_WORD] = 4;
  });
  expect(run).toThrow(/address text/);
});

test.each([
  [
    'a text that is not its bytes',
    (bytes: Uint8Array) => bytes.fill(1, WIDE_BINARY_BYTE, WIDE_BINARY_BYTE + 1),
  ],
  [
    'an IPv4 address',
    (bytes: Uint8Array) => bytes.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255], WIDE_BINARY_BYTE),
  ],
])('a validator sees a wide address with %s', (_, damage) => {
  expect(damaged(views => damage(views.wideAddressBytes))).toThrow(/address text/);
});

/** Row of some IPv6 address, and the index of its first byte. */
function wideRow({ rowBytes }: SnapshotViews): number {
  let at = 0;
  while (rowBytes[at + ROW_TEXT_LENGTH_BYTE] !== 0) at += ROW_BYTES;
  return at;
}

/** Writes port text, its length, and the port of row 0. */
function setPort({ rowBytes }: SnapshotViews, text: string, port: number, length = text.length): void {
  rowBytes.set([0, 0, 0, 0, 0, length, port & 255, port >> 8], ROW_PORT_TEXT_BYTE);
  rowBytes.set(Buffer.from(text), ROW_PORT_TEXT_BYTE);
}

const groupsEnd = ({ vettedGroups, newGroups }: CandidateSet) => (vettedGroups + newGroups) * GROUP_WORDS;

test.each<[string, (views: SnapshotViews, snapshot: Snapshot) => void, RegExp]>([
  [
    'something behind the text',
    ({ rowBytes }) => rowBytes.set([49], ROW_TEXT_LENGTH_BYTE - 1),
    /address text/,
  ],
  ['a length that is one too small', ({ rowBytes }) => rowBytes[ROW_TEXT_LENGTH_BYTE]!--, /address text/],
  [
    'a text in an IPv6 row',
    views => views.rowBytes.set([49], wideRow(views) + ROW_TEXT_BYTE),
    /address text/,
  ],
  [
    'something behind the text of an IPv6 address',
    ({ wideAddressBytes }) => wideAddressBytes.set([49], 38),
    /address text/,
  ],
  [
    'something behind an IPv6 address',
    ({ wideAddressBytes }) => wideAddressBytes.set([1], 63),
    /address text/,
  ],
  ['a port with a leading zero', views => setPort(views, '080', 80), /bad port/],
  ['something behind the digits of a port', views => setPort(views, '801', 80, 2), /bad port/],
  ['something in the fifth place of a port', views => setPort(views, '80\0\u00001', 80, 2), /bad port/],
  ['a port without digits', views => setPort(views, '', 80), /bad port/],
  ['six digits of a port', views => setPort(views, '65535', 65_535, 6), /bad port/],
  ['a port of 0', views => setPort(views, '0', 0), /bad port/],
  ['a letter in a port', views => setPort(views, '8a', 80), /bad port/],
  [
    'a row in two entries of the index',
    ({ idIndex }) => copyEntry(idIndex, 0, 1),
    /is found at row|not found/,
  ],
  [
    'an entry for a row that is not there',
    ({ idIndex }) => idIndex.set([1000], filledEntry(idIndex, 0)),
    /row 999 of 40/,
  ],
  [
    'a closing pair with a key',
    (_, { sets: [set] }) => set!.groups.set([1], groupsEnd(set!) + 1),
    /closing pair/,
  ],
  [
    'a key beyond all networks',
    (_, { sets: [set] }) => set!.groups.set([0xffff_ffff], GROUP_KEY_WORD),
    /has key/,
  ],
  [
    'a grouping that is not there',
    ({ header }) => header.set([9], setEntryWord(1)),
    /grouped by attribute 8/,
  ],
])('a validator sees %s', (_, damage, problem) => {
  expect(damaged(damage)).toThrow(
    expect.objectContaining({ code: 'SNAPSHOT_CORRUPT', message: expect.stringMatching(problem) }),
  );
});

function filledEntry(idIndex: Uint32Array, number: number): number {
  return [...idIndex.keys()].filter(entry => idIndex[entry]! > 0)[number]!;
}

function copyEntry(idIndex: Uint32Array, from: number, to: number): void {
  idIndex[filledEntry(idIndex, to)] = idIndex[filledEntry(idIndex, from)]!;
}

test('ports of one to five digits, each after another, pass', () => {
  const ports = [1, 9, 10, 99, 100, 999, 1000, 9999, 10_000, 65_535, 80, 80, 443, 5];
  const { snapshot } = new LocalCache({ capacity: 20 }).publish(
    ports.map((port, i) => row(i, { port, vetted: true, ip: `8.8.8.${i}` })),
  );
  const reader = new DataView(snapshot.views.buffer, snapshot.views.layout.row.byteOffset);
  const written = ports.map((_, i) => reader.getUint16(i * ROW_BYTES + ROW_PORT_BYTE, true));
  expect(written).toEqual(ports);
});
