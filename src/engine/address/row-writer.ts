/**
 * Writes the address part of rows (native-layout/snapshot-row.ts): the text an encoder copies instead of
 * formatting.
 */
import {
  ADDRESS_BYTES,
  ROW_ADDRESS_BYTE,
  ROW_BYTES,
  ROW_NETWORK_BYTE,
  ROW_PORT_BYTE,
  ROW_PORT_TEXT_BYTE,
  ROW_PORT_TEXT_LENGTH_BYTE,
  ROW_TEXT_BYTE,
  ROW_TEXT_LENGTH_BYTE,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
  WIDE_TEXT_LENGTH_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import { formatAddress } from './address.ts';

/** Address and port of `row` for an IPv4 address given in its mapped 16 bytes. */
export function writeIpv4Row(rows: Uint8Array, row: number, address: Uint8Array, port: number): void {
  const at = row * ROW_BYTES;
  rows.fill(0, at + ROW_TEXT_BYTE, at + ROW_NETWORK_BYTE);
  let text = at + ROW_TEXT_BYTE;
  for (let part = 0; part < 4; part++) {
    const octet = address[ADDRESS_BYTES - 4 + part]!;
    if (part > 0) rows[text++] = 46;
    text = writeDigits(rows, text, octet);
    rows[at + ROW_ADDRESS_BYTE + part] = octet;
  }
  rows[at + ROW_TEXT_LENGTH_BYTE] = text - at - ROW_TEXT_BYTE;
  writePort(rows, at, port);
}

/** The same for an IPv6 address: the number of its wide address instead. */
export function writeWideRow(rows: Uint8Array, row: number, wideAddress: number, port: number): void {
  const at = row * ROW_BYTES;
  rows.fill(0, at + ROW_TEXT_BYTE, at + ROW_NETWORK_BYTE);
  for (let i = 0; i < 4; i++) rows[at + ROW_ADDRESS_BYTE + i] = (wideAddress >>> (8 * i)) & 0xff;
  writePort(rows, at, port);
}

/** Wide address `number`: text and bytes of `address`, which is IPv6. */
export function writeWideAddress(wideAddresses: Uint8Array, number: number, address: Uint8Array): void {
  const at = number * WIDE_ADDRESS_BYTES;
  const text = formatAddress(address);
  wideAddresses.fill(0, at, at + WIDE_ADDRESS_BYTES);
  for (let i = 0; i < text.length; i++) wideAddresses[at + i] = text.charCodeAt(i);
  wideAddresses[at + WIDE_TEXT_LENGTH_BYTE] = text.length;
  wideAddresses.set(address, at + WIDE_BINARY_BYTE);
}

function writePort(rows: Uint8Array, at: number, port: number): void {
  const end = writeDigits(rows, at + ROW_PORT_TEXT_BYTE, port);
  rows[at + ROW_PORT_TEXT_LENGTH_BYTE] = end - at - ROW_PORT_TEXT_BYTE;
  rows[at + ROW_PORT_BYTE] = port & 0xff;
  rows[at + ROW_PORT_BYTE + 1] = port >>> 8;
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
