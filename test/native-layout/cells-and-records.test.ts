/** Golden tables of the two small structures: the address cell and the node record. */
import { expect, test } from 'vitest';
import * as cell from '../../native-layout/address-cell.ts';
import * as record from '../../native-layout/node-record.ts';
import { writeIpv4Cell, writeWideCell } from '../../src/engine/address/address-cell-writer.ts';

test('every byte of an address cell is where it has always been', () => {
  expect({ ...cell }).toEqual({
    CELL_BYTES: 24,
    CELL_WORDS: 6,
    CELL_TEXT_LENGTH_BYTE: 15,
    CELL_PORT_TEXT_BYTE: 16,
    CELL_PORT_LENGTH_BYTE: 21,
    CELL_PORT_BYTE: 22,
    WIDE_ADDRESS_BYTES: 40,
    WIDE_ADDRESS_LENGTH_BYTE: 39,
  });
});

test('every byte of a node record is where it has always been', () => {
  expect({ ...record }).toEqual({
    RECORD_BYTES: 52,
    RECORD_WORDS: 13,
    RECORD_ADDRESS_WORD: 8,
    RECORD_TAIL_WORD: 12,
    POOL_VETTED: 1,
    POOL_NEW: 2,
    POOL_INELIGIBLE: 3,
  });
});

/** Text with its zeros shown as dots, then the length, for both texts; then the port's two bytes. */
function shown(bytes: Uint8Array): string {
  const text = (from: number, to: number) =>
    [...bytes.subarray(from, to)].map(byte => (byte === 0 ? '·' : String.fromCharCode(byte))).join('');
  return `${text(0, 15)} ${bytes[15]} ${text(16, 21)} ${bytes[21]} ${bytes[22]} ${bytes[23]}`;
}

test.each([
  [[1, 2, 3, 4], 1, '1.2.3.4········ 7 1···· 1 1 0'],
  [[10, 20, 30, 40], 80, '10.20.30.40···· 11 80··· 2 80 0'],
  [[0, 9, 99, 100], 443, '0.9.99.100····· 10 443·· 3 187 1'],
  [[198, 51, 100, 7], 9001, '198.51.100.7··· 12 9001· 4 41 35'],
  [[255, 255, 255, 255], 65_535, '255.255.255.255 15 65535 5 255 255'],
])('the cell of %j and port %i is %s', (octets, port, expected) => {
  const cells = new Uint8Array(3 * cell.CELL_BYTES).fill(0xee);
  writeIpv4Cell(cells, 1, Uint8Array.from([...Array(10).fill(0), 255, 255, ...octets]), port);
  expect(shown(cells.subarray(cell.CELL_BYTES, 2 * cell.CELL_BYTES))).toBe(expected);
  expect(cells.subarray(0, cell.CELL_BYTES).every(byte => byte === 0xee)).toBe(true);
  expect(cells.subarray(2 * cell.CELL_BYTES).every(byte => byte === 0xee)).toBe(true);
});

test('the cell of a wide address holds its number, little-endian, and no text length', () => {
  const cells = new Uint8Array(cell.CELL_BYTES).fill(0xee);
  writeWideCell(cells, 0, 0x0403_0201, 28_967);
  expect([...cells.subarray(0, 16)]).toEqual([1, 2, 3, 4, ...Array(12).fill(0)]);
  expect([...cells.subarray(16)]).toEqual([...Buffer.from('28967'), 5, 0x27, 0x71]);
});
