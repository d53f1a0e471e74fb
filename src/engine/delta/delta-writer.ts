/** Writes a delta, row by row: see delta-layout.ts. */
import { NETWORK_KEY_BYTES, NETWORK_KEY_WORDS } from '../../../native-layout/network-key.ts';
import { DIGEST_WORDS } from '../../../native-layout/snapshot-header.ts';
import {
  ADDRESS_BYTES,
  ID_BYTES,
  ROW_ADDRESS_BYTE,
  ROW_ADDRESS_WORD,
  ROW_BYTES,
  ROW_NETWORK_WORD,
  ROW_PORT_BYTE,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import { ipv4Mask } from '../address/address.ts';
import { writeIpv4Key, writePrefixKey } from '../address/network-keys.ts';
import { CacheError } from '../errors.ts';
import { poolOf, type Snapshot } from '../snapshot/snapshot.ts';
import { readDescription } from '../snapshot/snapshot-description.ts';
import { deltaChecksum } from './delta-checksum.ts';
import {
  CHECKSUM_WORDS,
  DELTA_BYTE,
  DELTA_BYTES_MAX,
  DELTA_HEADER_BYTES,
  DELTA_KEYED,
  DELTA_MAGIC,
  DELTA_VERSION,
  DELTA_WIDE,
  type DeltaTerms,
  NUMBER_BYTES_MAX,
  PORT_BYTES,
} from './delta-layout.ts';
import { sameKey } from './network-table.ts';
import { isWideRow } from './wide-row.ts';

const BYTES_FIRST = 1024;

/** Bytes of a row without its values at the most. */
const ROW_BYTES_MAX = 1 + ID_BYTES + ADDRESS_BYTES + PORT_BYTES + NETWORK_KEY_BYTES;

export class DeltaWriter {
  readonly #after: Snapshot;
  readonly #terms: DeltaTerms;
  readonly #removed = new GrowingBytes();
  readonly #values = new GrowingBytes();
  readonly #rows = new GrowingBytes();
  /** Texts of each attribute's codes, and the number of each that has been written. */
  readonly #texts: readonly (readonly string[])[];
  readonly #numbers: readonly Uint32Array[];
  readonly #ipv4Mask: number;
  readonly #key = new Uint32Array(NETWORK_KEY_WORDS);
  readonly #keyBytes = new Uint8Array(this.#key.buffer);
  #removedCount = 0;
  #upsertCount = 0;
  #valueCount = 0;

  /** For a delta that leads to `after`. */
  constructor(after: Snapshot, terms: DeltaTerms) {
    this.#after = after;
    this.#terms = terms;
    this.#texts = readDescription(after.views).attributes.map(({ values }) => values);
    this.#numbers = this.#texts.map(values => new Uint32Array(values.length + 1));
    this.#ipv4Mask = ipv4Mask(terms.prefixBits.ipv4);
  }

  /** The id of `row` of `before` goes. */
  remove({ views: { rowBytes } }: Snapshot, row: number): void {
    const from = row * ROW_BYTES;
    this.#removed.makeRoom(ID_BYTES);
    this.#removed.put(rowBytes, from, ID_BYTES);
    this.#removedCount++;
  }

  /** `row` of the snapshot that it leads to comes, or is other than it was. */
  upsert(row: number): void {
    const { views } = this.#after;
    const { rowWords, rowBytes, networkKeyWords, attributeCodes } = views;
    const wide = isWideRow(rowWords, row);
    const key = rowWords[row * ROW_WORDS + ROW_NETWORK_WORD]! * NETWORK_KEY_WORDS;
    const keyed = !this.#isComputed(row, wide, key);
    const bytes = this.#rows;
    const from = row * ROW_BYTES;
    bytes.makeRoom(ROW_BYTES_MAX + NUMBER_BYTES_MAX * attributeCodes.length);
    bytes.putByte(poolOf(this.#after, row) | (wide ? DELTA_WIDE : 0) | (keyed ? DELTA_KEYED : 0));
    bytes.put(rowBytes, from, ID_BYTES);
    if (wide) bytes.put(this.#wideAddress(row), 0, ADDRESS_BYTES);
    else bytes.put(rowBytes, from + ROW_ADDRESS_BYTE, 4);
    bytes.put(rowBytes, from + ROW_PORT_BYTE, PORT_BYTES);
    if (keyed) {
      for (let i = 0; i < NETWORK_KEY_WORDS; i++) bytes.putWord(networkKeyWords[key + i]!);
    }
    for (let i = 0; i < attributeCodes.length; i++) {
      const code = attributeCodes[i]![row]!;
      bytes.putNumber(code === 0 ? 0 : this.#valueNumber(i, code));
    }
    this.#upsertCount++;
  }

  /** The delta, in private memory. Throws CAPACITY_EXCEEDED when it is longer than DELTA_BYTES_MAX. */
  finish(contentFrom: Uint32Array, contentTo: Uint32Array): Uint8Array<ArrayBuffer> {
    const parts = [this.#removed.bytes(), this.#values.bytes(), this.#rows.bytes()];
    const byteLength = parts.reduce((sum, part) => sum + part.length, DELTA_HEADER_BYTES);
    if (byteLength > DELTA_BYTES_MAX) {
      throw new CacheError(
        'CAPACITY_EXCEEDED',
        `the delta has ${byteLength} bytes; the limit is ${DELTA_BYTES_MAX}: a snapshot is due`,
      );
    }
    const delta = new Uint8Array(byteLength);
    const view = new DataView(delta.buffer);
    const { attributes, prefixBits } = this.#terms;
    view.setUint32(DELTA_BYTE.MAGIC, DELTA_MAGIC, true);
    view.setUint8(DELTA_BYTE.VERSION, DELTA_VERSION);
    view.setUint8(DELTA_BYTE.ATTRIBUTES, attributes);
    view.setUint8(DELTA_BYTE.IPV4_BITS, prefixBits.ipv4);
    view.setUint8(DELTA_BYTE.IPV6_BITS, prefixBits.ipv6);
    for (let i = 0; i < DIGEST_WORDS; i++) {
      view.setUint32(DELTA_BYTE.CONTENT_FROM + 4 * i, contentFrom[i]!, true);
      view.setUint32(DELTA_BYTE.CONTENT_TO + 4 * i, contentTo[i]!, true);
    }
    view.setUint32(DELTA_BYTE.REMOVED, this.#removedCount, true);
    view.setUint32(DELTA_BYTE.UPSERTS, this.#upsertCount, true);
    view.setUint32(DELTA_BYTE.VALUES, this.#valueCount, true);
    let at = DELTA_HEADER_BYTES;
    for (const part of parts) {
      delta.set(part, at);
      at += part.length;
    }
    const checksum = deltaChecksum(delta);
    for (let i = 0; i < CHECKSUM_WORDS; i++) view.setUint32(DELTA_BYTE.CHECKSUM + 4 * i, checksum[i]!, true);
    return delta;
  }

  /** True when the key from word `key` on is the one that is computed from the address of the row. */
  #isComputed(row: number, wide: boolean, key: number): boolean {
    const { rowWords, networkKeyWords } = this.#after.views;
    if (wide) writePrefixKey(this.#keyBytes, this.#wideAddress(row), this.#terms.prefixBits.ipv6);
    else writeIpv4Key(this.#key, 0, rowWords[row * ROW_WORDS + ROW_ADDRESS_WORD]! & this.#ipv4Mask);
    return sameKey(this.#key, 0, networkKeyWords, key);
  }

  #wideAddress(row: number): Uint8Array {
    const { rowWords, wideAddressBytes } = this.#after.views;
    const from = rowWords[row * ROW_WORDS + ROW_ADDRESS_WORD]! * WIDE_ADDRESS_BYTES + WIDE_BINARY_BYTE;
    return wideAddressBytes.subarray(from, from + ADDRESS_BYTES);
  }

  #valueNumber(attribute: number, code: number): number {
    const numbers = this.#numbers[attribute]!;
    if (numbers[code] === 0) {
      const text = new TextEncoder().encode(this.#texts[attribute]![code - 1]);
      this.#values.makeRoom(NUMBER_BYTES_MAX + text.length);
      this.#values.putNumber(text.length);
      this.#values.put(text, 0, text.length);
      numbers[code] = ++this.#valueCount;
    }
    return numbers[code]!;
  }
}

/** Bytes that grow as they are written. */
class GrowingBytes {
  #bytes = new Uint8Array(BYTES_FIRST);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** For everything that is put until the next call. */
  makeRoom(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.bytes());
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  put(bytes: Uint8Array, from: number, count: number): void {
    const at = this.#length;
    // Short pieces: a call that copies them costs more.
    for (let i = 0; i < count; i++) this.#bytes[at + i] = bytes[from + i]!;
    this.#length = at + count;
  }

  putByte(byte: number): void {
    this.#bytes[this.#length++] = byte;
  }

  putWord(word: number): void {
    this.#view.setUint32(this.#length, word, true);
    this.#length += 4;
  }

  putNumber(number: number): void {
    let rest = number;
    while (rest >= 0x80) {
      this.putByte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.putByte(rest);
  }
}
