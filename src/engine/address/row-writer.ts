// @hotpath
/**
 * Writes the address part of rows (native-layout/snapshot-row.ts): the text an encoder copies instead of
 * formatting. Octets are written as four bytes at once, each over the rest of the one before.
 */
import {
  ADDRESS_BYTES,
  ROW_ADDRESS_WORD,
  ROW_BYTES,
  ROW_LONGS,
  ROW_PORT_BYTE,
  ROW_PORT_TEXT_BYTE,
  ROW_PORT_TEXT_LENGTH_BYTE,
  ROW_PORT_WORD,
  ROW_TEXT_BYTE,
  ROW_TEXT_LENGTH_BYTE,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
  WIDE_TEXT_LENGTH_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { formatAddress } from './address.ts';

const TEXT_LONG = ROW_TEXT_BYTE / 8;
const PORT_TEXT_WORD = ROW_PORT_TEXT_BYTE / 4;
const DOT = 46;
const ZERO = 48;

/** Text of each octet as a little-endian word, with a dot behind it and without; bytes with the dot. */
const OCTETS = new Int32Array(256);
const LAST_OCTETS = new Int32Array(256);
const OCTET_BYTES = new Uint8Array(256);
for (let octet = 0; octet < 256; octet++) {
  const text = `${octet}`;
  for (let i = 0; i < text.length; i++) LAST_OCTETS[octet]! |= text.charCodeAt(i) << (8 * i);
  OCTETS[octet] = LAST_OCTETS[octet]! | (DOT << (8 * text.length));
  OCTET_BYTES[octet] = text.length + 1;
}

/** Shifts in the second word of a port: of its length, of itself. The fifth digit is below them. */
const PORT_LENGTH_SHIFT = 8 * (ROW_PORT_TEXT_LENGTH_BYTE % 4);
const PORT_SHIFT = 8 * (ROW_PORT_BYTE % 4);

export class RowWriter {
  readonly #rowWords: Uint32Array;
  readonly #rowLongs: BigInt64Array;
  readonly #bytes: DataView;
  /** The last port and its two words: many nodes have the same. */
  #port = 0;
  #portLow = 0;
  #portHigh = 0;

  constructor({ buffer, layout, rowLongs, rowWords }: SnapshotViews) {
    this.#rowWords = rowWords;
    this.#rowLongs = rowLongs;
    this.#bytes = new DataView(buffer, layout.row.byteOffset, layout.row.byteLength);
  }

  /** Address and port of `row`, whose address is IPv4: its four bytes, in memory order, as a word. */
  writeIpv4(row: number, address: number, port: number): void {
    const bytes = this.#bytes;
    this.#clearText(row);
    const text = row * ROW_BYTES + ROW_TEXT_BYTE;
    const a = address & 0xff;
    const b = (address >>> 8) & 0xff;
    const c = (address >>> 16) & 0xff;
    const d = address >>> 24;
    let at = text;
    bytes.setInt32(at, OCTETS[a]!, true);
    at += OCTET_BYTES[a]!;
    bytes.setInt32(at, OCTETS[b]!, true);
    at += OCTET_BYTES[b]!;
    bytes.setInt32(at, OCTETS[c]!, true);
    at += OCTET_BYTES[c]!;
    bytes.setInt32(at, LAST_OCTETS[d]!, true);
    at += OCTET_BYTES[d]! - 1;
    bytes.setUint8(row * ROW_BYTES + ROW_TEXT_LENGTH_BYTE, at - text);
    const word = row * ROW_WORDS;
    this.#rowWords[word + ROW_ADDRESS_WORD] = address;
    this.#writePort(word, port);
  }

  /** The same for an IPv6 address: the number of its wide address instead. */
  writeWide(row: number, wideAddress: number, port: number): void {
    this.#clearText(row);
    const word = row * ROW_WORDS;
    this.#rowWords[word + ROW_ADDRESS_WORD] = wideAddress;
    this.#writePort(word, port);
  }

  #clearText(row: number): void {
    const long = row * ROW_LONGS + TEXT_LONG;
    this.#rowLongs[long] = 0n;
    this.#rowLongs[long + 1] = 0n;
  }

  #writePort(word: number, port: number): void {
    if (port !== this.#port) this.#format(port);
    this.#rowWords[word + PORT_TEXT_WORD] = this.#portLow;
    this.#rowWords[word + ROW_PORT_WORD] = this.#portHigh;
  }

  #format(port: number): void {
    const length = port >= 10_000 ? 5 : port >= 1000 ? 4 : port >= 100 ? 3 : port >= 10 ? 2 : 1;
    let low = 0;
    let high = (length << PORT_LENGTH_SHIFT) | (port << PORT_SHIFT);
    for (let i = length - 1, rest = port; i >= 0; i--) {
      const tens = (rest / 10) | 0;
      const digit = ZERO + rest - 10 * tens;
      if (i < 4) low |= digit << (8 * i);
      else high |= digit;
      rest = tens;
    }
    this.#port = port;
    this.#portLow = low;
    this.#portHigh = high;
  }
}

/** Wide address `number`: text and bytes of the IPv6 address in `addresses` from byte `from`. */
export function writeWideAddress(
  wideAddresses: Uint8Array,
  number: number,
  addresses: Uint8Array,
  from: number,
): void {
  const at = number * WIDE_ADDRESS_BYTES;
  const text = formatAddress(addresses, from);
  wideAddresses.fill(0, at, at + WIDE_ADDRESS_BYTES);
  for (let i = 0; i < text.length; i++) wideAddresses[at + i] = text.charCodeAt(i);
  wideAddresses[at + WIDE_TEXT_LENGTH_BYTE] = text.length;
  wideAddresses.set(addresses.subarray(from, from + ADDRESS_BYTES), at + WIDE_BINARY_BYTE);
}
