// @hotpath
/**
 * Checks rows by themselves, as the validator reads them: the text of an address is that of its bytes, the
 * digits of a port are those of the port, unused bytes are zero. Keeps what later checks need of each row, so
 * that they do not go through the rows again.
 */
import { HEADER_WORD } from '../../../native-layout/snapshot-header.ts';
import {
  ADDRESS_BYTES,
  ROW_ADDRESS_WORD,
  ROW_NETWORK_WORD,
  ROW_PORT_BYTE,
  ROW_PORT_TEXT_BYTE,
  ROW_PORT_TEXT_BYTES,
  ROW_PORT_TEXT_LENGTH_BYTE,
  ROW_PORT_WORD,
  ROW_TEXT_BYTE,
  ROW_TEXT_BYTES,
  ROW_TEXT_LENGTH_WORD,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
  WIDE_TEXT_BYTES,
  WIDE_TEXT_LENGTH_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import { formatAddress, isIpv4 } from '../address/address.ts';
import { readDecimal, readDottedDecimal } from '../address/dotted-decimal.ts';
import { CacheError } from '../errors.ts';
import { hashRows } from './id-index.ts';
import type { Snapshot } from './snapshot.ts';

const PORT_TEXT_WORD = ROW_PORT_TEXT_BYTE / 4;
/** Where length and value of a port stand in its second word; the fifth digit is below them. */
const PORT_LENGTH_SHIFT = 8 * (ROW_PORT_TEXT_LENGTH_BYTE % 4);
const PORT_SHIFT = 8 * (ROW_PORT_BYTE % 4);
const ZERO = 48;
const TEXT_WORD = ROW_TEXT_BYTE / 4;
const TEXT_WORDS = (ROW_TEXT_BYTES + 1) / 4;
/** For each length of a text, 7 bytes and more, the bits of its words that are to be zero. */
const REST_OF_TEXT = new Uint32Array(TEXT_WORDS * (ROW_TEXT_BYTES + 1));
for (let length = 0; length <= ROW_TEXT_BYTES; length++) {
  const words = REST_OF_TEXT.subarray(TEXT_WORDS * length, TEXT_WORDS * (length + 1));
  new Uint8Array(words.buffer, words.byteOffset, ROW_TEXT_BYTES).fill(0xff, length);
}

/** Two words of it are no port's: digits are not beyond 127. */
const NO_PORT = 0xffff_ffff;

/** What is noted of each row: the hash of its id, and its network. */
interface RowNotes {
  readonly idHashes: Uint32Array;
  readonly networks: Uint32Array;
}

export class RowCheck {
  readonly #notes: RowNotes;
  readonly #snapshot: Snapshot;
  readonly #wideCount: number;
  /** 1 for each network that a row is in. */
  readonly #networksSeen: Uint8Array;
  /** Of the row before. */
  #network = 0;
  readonly #view: DataView;
  readonly #address = new Int32Array(1);
  /** The two words of the last port that was good: most nodes have the same. */
  #portLow = NO_PORT;
  #portHigh = NO_PORT;

  constructor(snapshot: Snapshot, notes: RowNotes) {
    this.#notes = notes;
    this.#snapshot = snapshot;
    const { buffer, layout } = snapshot.views;
    this.#view = new DataView(buffer, layout.row.byteOffset, layout.row.byteLength);
    this.#wideCount = snapshot.views.header[HEADER_WORD.WIDE_ADDRESSES]!;
    this.#networksSeen = new Uint8Array(snapshot.networkCount);
  }

  /** Checks the rows from `from` to `to`. */
  check(from: number, to: number): void {
    const { indexKeys, networkCount, views } = this.#snapshot;
    const { rowWords } = views;
    const { idHashes, networks } = this.#notes;
    const { vettedCount, newCount } = this.#snapshot;
    const networksSeen = this.#networksSeen;
    let before = this.#network;
    hashRows(rowWords, from, to, indexKeys, idHashes);
    for (let row = from, word = from * ROW_WORDS; row < to; row++, word += ROW_WORDS) {
      const network = rowWords[word + ROW_NETWORK_WORD]!;
      networks[row] = network;
      if (network >= networkCount) fail(`row ${row} is in network ${network}`);
      networksSeen[network] = 1;
      if (network < before && row !== vettedCount && row !== vettedCount + newCount) {
        fail(`row ${row} stands behind network ${before}`);
      }
      before = network;
      this.#checkCells(row, word);
    }
    this.#network = before;
  }

  /** Checks a row by itself, whatever stands around it. */
  checkAlone(row: number): void {
    const { networkCount, views } = this.#snapshot;
    const word = row * ROW_WORDS;
    const network = views.rowWords[word + ROW_NETWORK_WORD]!;
    if (network >= networkCount) fail(`row ${row} is in network ${network}`);
    this.#checkCells(row, word);
  }

  #checkCells(row: number, word: number): void {
    const { rowWords } = this.#snapshot.views;
    const low = rowWords[word + PORT_TEXT_WORD]!;
    const high = rowWords[word + ROW_PORT_WORD]!;
    const samePort = low === this.#portLow && high === this.#portHigh;
    if (!samePort && !this.#isPort(word)) fail(`row ${row} has a bad port`);
    if (!this.#isAddress(word)) fail(`the address text of row ${row} is not that of its bytes`);
  }

  /** Checks, when all rows have been read, how many networks they are in. */
  finish(): void {
    let used = 0;
    for (let i = 0; i < this.#networksSeen.length; i++) used += this.#networksSeen[i]!;
    const counted = this.#snapshot.networksUsed;
    if (used !== counted) fail(`rows are in ${used} networks; the header counts ${counted}`);
  }

  /** The text of the row is its address in dotted decimal, with zeros after it, or that of a wide address. */
  #isAddress(word: number): boolean {
    const { rowWords } = this.#snapshot.views;
    const length = rowWords[word + ROW_TEXT_LENGTH_WORD]! >>> 24;
    if (length === 0) return this.#isWide(word);
    if (length > ROW_TEXT_BYTES) return false;
    const address = this.#address;
    const read = readDottedDecimal(this.#view, 4 * word + ROW_TEXT_BYTE, address);
    const masks = TEXT_WORDS * length;
    const wrong =
      (read ^ length) |
      (address[0]! ^ rowWords[word + ROW_ADDRESS_WORD]!) |
      (rowWords[word + TEXT_WORD + 1]! & REST_OF_TEXT[masks + 1]!) |
      (rowWords[word + TEXT_WORD + 2]! & REST_OF_TEXT[masks + 2]!) |
      (rowWords[word + TEXT_WORD + 3]! & REST_OF_TEXT[masks + 3]!);
    return wrong === 0;
  }

  /** The digits of the port are the port in its one spelling, and zeros after it. */
  #isPort(word: number): boolean {
    const { rowWords } = this.#snapshot.views;
    const low = rowWords[word + PORT_TEXT_WORD]!;
    const high = rowWords[word + ROW_PORT_WORD]!;
    const length = (high >>> PORT_LENGTH_SHIFT) & 0xff;
    const port = high >>> PORT_SHIFT;
    if (length === 0 || length > ROW_PORT_TEXT_BYTES || port === 0) return false;
    const read = readDecimal(this.#view, 4 * word + ROW_PORT_TEXT_BYTE, length);
    const lowRest = length < 4 ? low >>> (8 * length) : 0;
    const highRest = length < ROW_PORT_TEXT_BYTES ? high & 0xff : 0;
    if (read !== port || (low & 0xff) === ZERO || lowRest !== 0 || highRest !== 0) return false;
    this.#portLow = low;
    this.#portHigh = high;
    return true;
  }

  /** The row has no text and names a wide address, which is IPv6, and whose text is that of its bytes. */
  #isWide(word: number): boolean {
    const { rowBytes, rowWords, wideAddressBytes: bytes } = this.#snapshot.views;
    if (!isText(rowBytes, 4 * word + ROW_TEXT_BYTE, ROW_TEXT_BYTES, '')) return false;
    const number = rowWords[word + ROW_ADDRESS_WORD]!;
    if (number >= this.#wideCount) return false;
    const wide = number * WIDE_ADDRESS_BYTES;
    if (isIpv4(bytes, wide + WIDE_BINARY_BYTE)) return false;
    const text = formatAddress(bytes, wide + WIDE_BINARY_BYTE);
    const end = WIDE_BINARY_BYTE + ADDRESS_BYTES;
    return (
      bytes[wide + WIDE_TEXT_LENGTH_BYTE] === text.length &&
      isText(bytes, wide, WIDE_TEXT_BYTES, text) &&
      isText(bytes, wide + end, WIDE_ADDRESS_BYTES - end, '')
    );
  }
}

/** The `room` bytes from `at` are `text`, and zeros after it. */
function isText(bytes: Uint8Array, at: number, room: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  for (let i = text.length; i < room; i++) if (bytes[at + i] !== 0) return false;
  return true;
}

function fail(problem: string): never {
  throw new CacheError('SNAPSHOT_CORRUPT', problem);
}
