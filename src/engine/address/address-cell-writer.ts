/** Writes address cells (native-layout/address-cell.ts): the text an encoder copies instead of formatting. */
import {
  CELL_BYTES,
  CELL_PORT_BYTE,
  CELL_PORT_LENGTH_BYTE,
  CELL_PORT_TEXT_BYTE,
  CELL_TEXT_LENGTH_BYTE,
} from '../../../native-layout/address-cell.ts';

/** The cell of `row` for an IPv4 address given in its mapped 16 bytes. */
export function writeIpv4Cell(cells: Uint8Array, row: number, address: Uint8Array, port: number): void {
  const cell = row * CELL_BYTES;
  cells.fill(0, cell, cell + CELL_BYTES);
  let at = cell;
  for (let part = 12; part < 16; part++) {
    if (part > 12) cells[at++] = 46;
    at = writeDigits(cells, at, address[part]!);
  }
  cells[cell + CELL_TEXT_LENGTH_BYTE] = at - cell;
  writePort(cells, cell, port);
}

/** The cell of `row` for an IPv6 address: the number of its wide address instead of the text. */
export function writeWideCell(cells: Uint8Array, row: number, wideAddress: number, port: number): void {
  const cell = row * CELL_BYTES;
  cells.fill(0, cell, cell + CELL_BYTES);
  for (let i = 0; i < 4; i++) cells[cell + i] = (wideAddress >>> (8 * i)) & 0xff;
  writePort(cells, cell, port);
}

function writePort(cells: Uint8Array, cell: number, port: number): void {
  const end = writeDigits(cells, cell + CELL_PORT_TEXT_BYTE, port);
  cells[cell + CELL_PORT_LENGTH_BYTE] = end - cell - CELL_PORT_TEXT_BYTE;
  cells[cell + CELL_PORT_BYTE] = port & 0xff;
  cells[cell + CELL_PORT_BYTE + 1] = port >>> 8;
}

/** Decimal digits of `value`, 0 to 65535; returns the index after the last. */
function writeDigits(bytes: Uint8Array, at: number, value: number): number {
  const digits = value >= 10_000 ? 5 : value >= 1000 ? 4 : value >= 100 ? 3 : value >= 10 ? 2 : 1;
  for (let i = digits - 1, rest = value; i >= 0; i--) {
    bytes[at + i] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  return at + digits;
}
