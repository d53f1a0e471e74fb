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
  ROW_BYTES,
  ROW_NETWORK_WORD,
  ROW_PORT_BYTE,
  ROW_PORT_TEXT_BYTE,
  ROW_PORT_TEXT_BYTES,
  ROW_PORT_TEXT_LENGTH_BYTE,
  ROW_PORT_WORD,
  ROW_TEXT_BYTE,
  ROW_TEXT_BYTES,
  ROW_TEXT_LENGTH_BYTE,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
  WIDE_TEXT_BYTES,
  WIDE_TEXT_LENGTH_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import { formatAddress, isIpv4 } from '../address/address.ts';
import { readDottedDecimal } from '../address/dotted-decimal.ts';
import { CacheError } from '../errors.ts';
import { hashNodeId } from './id-index.ts';
import type { Snapshot } from './snapshot.ts';

const PORT_TEXT_WORD = ROW_PORT_TEXT_BYTE / 4;
const TEXT_WORD = ROW_TEXT_BYTE / 4;
const TEXT_WORDS = (ROW_TEXT_BYTES + 1) / 4;
/** For each length of a text the bits of its words that are to be zero; the byte of the length is not. */
const REST_OF_TEXT = new Uint32Array(TEXT_WORDS * (ROW_TEXT_BYTES + 1));
for (let length = 0; length <= ROW_TEXT_BYTES; length++) {
  const words = REST_OF_TEXT.subarray(TEXT_WORDS * length, TEXT_WORDS * (length + 1));
  new Uint8Array(words.buffer, words.byteOffset, ROW_TEXT_BYTES).fill(0xff, length);
}

/** What is noted of each row: the hash of its id, and its network. */
interface RowNotes {
  readonly idHashes: Uint32Array;
  readonly networks: Uint32Array;
}

export class RowCheck {
  readonly #notes: RowNotes;
  readonly #snapshot: Snapshot;
  readonly #wideCount: number;
  readonly #view: DataView;
  readonly #address = new Int32Array(1);
  /** The two words of the last port that was good: most nodes have the same. */
  #portLow = 0;
  #portHigh = 0;

  constructor(snapshot: Snapshot, notes: RowNotes) {
    this.#notes = notes;
    this.#snapshot = snapshot;
    const { buffer, layout } = snapshot.views;
    this.#view = new DataView(buffer, layout.row.byteOffset, layout.row.byteLength);
    this.#wideCount = snapshot.views.header[HEADER_WORD.WIDE_ADDRESSES]!;
  }

  /** Checks the rows from `from` to `to`. */
  check(from: number, to: number): void {
    const { indexKeys, networkCount } = this.#snapshot;
    const { rowBytes, rowWords } = this.#snapshot.views;
    const { idHashes, networks } = this.#notes;
    for (let row = from; row < to; row++) {
      const word = row * ROW_WORDS;
      const at = row * ROW_BYTES;
      idHashes[row] = hashNodeId(rowWords, word, indexKeys);
      const network = rowWords[word + ROW_NETWORK_WORD]!;
      networks[row] = network;
      if (network >= networkCount) fail(`row ${row} is in network ${network}`);
      if (!this.#isPort(word, at)) fail(`row ${row} has a bad port`);
      const length = rowBytes[at + ROW_TEXT_LENGTH_BYTE]!;
      const good = length === 0 ? this.#isWide(word, at) : this.#isDottedDecimal(word, at, length);
      if (!good) fail(`the address text of row ${row} is not that of its bytes`);
    }
  }

  /** The text of the row, of `length` bytes, is its address in dotted decimal, and zeros after it. */
  #isDottedDecimal(word: number, at: number, length: number): boolean {
    if (length > ROW_TEXT_BYTES) return false;
    const { rowWords } = this.#snapshot.views;
    const read = readDottedDecimal(this.#view, at + ROW_TEXT_BYTE, this.#address);
    let rest = 0;
    for (let i = 0; i < TEXT_WORDS; i++) {
      rest |= rowWords[word + TEXT_WORD + i]! & REST_OF_TEXT[TEXT_WORDS * length + i]!;
    }
    return read === length && rest === 0 && (this.#address[0]! ^ rowWords[word + ROW_ADDRESS_WORD]!) === 0;
  }

  #isPort(word: number, at: number): boolean {
    const { rowBytes, rowWords } = this.#snapshot.views;
    const low = rowWords[word + PORT_TEXT_WORD]!;
    const high = rowWords[word + ROW_PORT_WORD]!;
    if (low === this.#portLow && high === this.#portHigh) return true;
    const port = rowBytes[at + ROW_PORT_BYTE]! | (rowBytes[at + ROW_PORT_BYTE + 1]! << 8);
    const text = `${port}`;
    const good = port > 0 && isText(rowBytes, at + ROW_PORT_TEXT_BYTE, ROW_PORT_TEXT_BYTES, text);
    if (!good || rowBytes[at + ROW_PORT_TEXT_LENGTH_BYTE] !== text.length) return false;
    this.#portLow = low;
    this.#portHigh = high;
    return true;
  }

  /** The row has no text and names a wide address, which is IPv6, and whose text is that of its bytes. */
  #isWide(word: number, at: number): boolean {
    const { rowBytes, rowWords, wideAddressBytes: bytes } = this.#snapshot.views;
    if (!isText(rowBytes, at + ROW_TEXT_BYTE, ROW_TEXT_BYTES, '')) return false;
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
