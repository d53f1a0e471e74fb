/** Golden tables of the row and of the node record, and what a row's writer puts where. */
import { expect, test } from 'vitest';
import * as record from '../../native-layout/node-record.ts';
import { snapshotLayout } from '../../native-layout/snapshot-layout.ts';
import * as layout from '../../native-layout/snapshot-row.ts';
import { type SnapshotViews, snapshotViews } from '../../native-layout/snapshot-views.ts';
import { RowWriter, writeWideAddress } from '../../src/engine/address/row-writer.ts';

const { ROW_BYTES } = layout;

test('every byte of a row is where it has always been', () => {
  expect({ ...layout }).toEqual({
    ROW_BYTES: 64,
    ROW_WORDS: 16,
    ROW_LONGS: 8,
    ID_BYTES: 32,
    ID_WORDS: 8,
    ADDRESS_BYTES: 16,
    ROW_ID_BYTE: 0,
    ROW_TEXT_BYTE: 32,
    ROW_TEXT_BYTES: 15,
    ROW_TEXT_LENGTH_BYTE: 47,
    ROW_PORT_TEXT_BYTE: 48,
    ROW_PORT_TEXT_BYTES: 5,
    ROW_PORT_TEXT_LENGTH_BYTE: 53,
    ROW_PORT_BYTE: 54,
    ROW_NETWORK_BYTE: 56,
    ROW_ADDRESS_BYTE: 60,
    ROW_TEXT_LENGTH_WORD: 11,
    ROW_PORT_WORD: 13,
    ROW_NETWORK_WORD: 14,
    ROW_ADDRESS_WORD: 15,
    WIDE_ADDRESS_BYTES: 64,
    WIDE_TEXT_BYTES: 39,
    WIDE_TEXT_LENGTH_BYTE: 39,
    WIDE_BINARY_BYTE: 40,
  });
});

test('every byte of a node record is where it has always been', () => {
  expect({ ...record }).toEqual({
    RECORD_BYTES: 52,
    RECORD_WORDS: 13,
    RECORD_MAPPED_WORD: 0xffff_0000,
    RECORD_ADDRESS_WORD: 8,
    RECORD_TAIL_WORD: 12,
    POOL_VETTED: 1,
    POOL_NEW: 2,
    POOL_INELIGIBLE: 3,
  });
});

/** Text with its zeros shown as dots, then the length, for both texts; the port's two bytes; the address. */
function shown(row: Uint8Array): string {
  const text = (from: number, to: number) =>
    [...row.subarray(from, to)].map(byte => (byte === 0 ? '·' : String.fromCharCode(byte))).join('');
  return `${text(32, 47)} ${row[47]} ${text(48, 53)} ${row[53]} ${row[54]} ${row[55]} ${row.subarray(60)}`;
}

function threeRows(): SnapshotViews {
  const extents = {
    rows: 3,
    indexEntries: 16,
    wideAddresses: 0,
    networks: 0,
    attributes: 0,
    descriptionBytes: 0,
    sets: [],
    revocations: 0,
  };
  const rowLayout = snapshotLayout(extents);
  const views = snapshotViews(new ArrayBuffer(rowLayout.byteLength), rowLayout);
  views.rowBytes.fill(0xee);
  return views;
}

const UNTOUCHED = (bytes: Uint8Array) => bytes.every(byte => byte === 0xee);

test.each([
  [[1, 2, 3, 4], 1, '1.2.3.4········ 7 1···· 1 1 0 1,2,3,4'],
  [[10, 20, 30, 40], 80, '10.20.30.40···· 11 80··· 2 80 0 10,20,30,40'],
  [[0, 9, 99, 100], 443, '0.9.99.100····· 10 443·· 3 187 1 0,9,99,100'],
  [[198, 51, 100, 7], 9001, '198.51.100.7··· 12 9001· 4 41 35 198,51,100,7'],
  [[255, 255, 255, 255], 65_535, '255.255.255.255 15 65535 5 255 255 255,255,255,255'],
])('the row of %j and port %i is %s', (octets, port, expected) => {
  const views = threeRows();
  const rows = views.rowBytes;
  const writer = new RowWriter(views);
  const [address] = new Uint32Array(Uint8Array.from(octets).buffer);
  // Another port before it, and the same again: the writer remembers the last one.
  for (const other of [5, port, port]) writer.writeIpv4(1, address!, other);
  expect(shown(rows.subarray(ROW_BYTES, 2 * ROW_BYTES))).toBe(expected);
  expect(UNTOUCHED(rows.subarray(0, ROW_BYTES + 32))).toBe(true);
  expect(UNTOUCHED(rows.subarray(ROW_BYTES + 56, ROW_BYTES + 60))).toBe(true);
  expect(UNTOUCHED(rows.subarray(2 * ROW_BYTES))).toBe(true);
});

test('the row of a wide address holds its number, little-endian, and no text', () => {
  const views = threeRows();
  new RowWriter(views).writeWide(0, 0x0403_0201, 28_967);
  expect(shown(views.rowBytes.subarray(0, ROW_BYTES))).toBe(`${'·'.repeat(15)} 0 28967 5 39 113 1,2,3,4`);
});

test('a wide address is its text, the length of it, and its bytes', () => {
  const bytes = new Uint8Array(3 * layout.WIDE_ADDRESS_BYTES).fill(0xee);
  const address = Uint8Array.from([0x20, 1, ...Array(13).fill(0), 0xab]);
  writeWideAddress(bytes, 1, Uint8Array.from([9, ...address]), 1);
  const text = [...Buffer.from('2001::ab'), ...Array(31).fill(0)];
  expect([...bytes.subarray(64, 128)]).toEqual([...text, 8, ...address, ...Array(8).fill(0)]);
  expect(UNTOUCHED(bytes.subarray(0, 64))).toBe(true);
  expect(UNTOUCHED(bytes.subarray(128))).toBe(true);
});
