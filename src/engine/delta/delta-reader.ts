// @hotpath
/**
 * Reads a delta that came from outside: see delta-layout.ts. Nothing in it is trusted: its checksum is taken
 * first, every count is held against the bytes that are there before anything is made of it, and no byte
 * outside is looked at. What its rows say is judged by whoever takes them, as the rows of a source are.
 */
import { NETWORK_KEY_BYTES } from '../../../native-layout/network-key.ts';
import { POOL_INELIGIBLE, POOL_VETTED } from '../../../native-layout/node-record.ts';
import { DIGEST_WORDS } from '../../../native-layout/snapshot-header.ts';
import { ADDRESS_BYTES, ID_BYTES } from '../../../native-layout/snapshot-row.ts';
import { CacheError } from '../errors.ts';
import { digestText } from '../snapshot/digest.ts';
import { ABSENT, FIELD, type FieldFormat, type FieldRows } from '../snapshot/field-rows.ts';
import { deltaChecksum } from './delta-checksum.ts';
import {
  CHECKSUM_WORDS,
  DELTA_BYTE,
  DELTA_BYTES_MAX,
  DELTA_FLAGS,
  DELTA_HEADER_BYTES,
  DELTA_KEYED,
  DELTA_MAGIC,
  DELTA_POOL_MASK,
  DELTA_ROW_BYTES_MIN,
  DELTA_VERSION,
  DELTA_WIDE,
  type DeltaTerms,
  NUMBER_BYTES_MAX,
  PORT_BYTES,
} from './delta-layout.ts';

export interface Delta {
  /** Content digests that it leads from and to, as 32 hexadecimal digits. */
  readonly contentFrom: string;
  readonly contentTo: string;
  /** Ids that go, 32 bytes each. */
  readonly removedIds: Uint8Array;
  /** Rows that come or change. */
  readonly upserts: FieldRows;
}

const FORMAT: FieldFormat = { id: 'bytes', address: 'bytes', network: 'key' };
/** A port as a field: two bytes would be a signed number. */
const PORT_FIELD_BYTES = 4;
/** What stands behind the ports, for fields that all rows share: vetted, not vetted, and a criterion. */
const SHARED = Uint8Array.from([1, 0, ...new TextEncoder().encode('ineligible')]);
const SHARED_VETTED = 0;
const SHARED_NEW = 1;
const SHARED_CRITERION = 2;

/**
 * The delta in `bytes`, which it copies. Throws SNAPSHOT_CORRUPT, or LAYOUT_MISMATCH when it was made by
 * another version or under other terms.
 */
export function readDelta(bytes: Uint8Array, terms: DeltaTerms): Delta {
  return new DeltaReader(bytes, terms).read();
}

class DeltaReader {
  readonly #terms: DeltaTerms;
  /** The delta, then what its fields need beside it. */
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  readonly #end: number;
  #at = DELTA_HEADER_BYTES;

  constructor(bytes: Uint8Array, terms: DeltaTerms) {
    if (bytes.length < DELTA_HEADER_BYTES || bytes.length > DELTA_BYTES_MAX) {
      corrupt(`${bytes.length} bytes are no delta`);
    }
    this.#terms = terms;
    this.#bytes = new Uint8Array(bytes);
    this.#view = new DataView(this.#bytes.buffer);
    this.#end = bytes.length;
  }

  read(): Delta {
    this.#checkHeader();
    const removed = this.#word(DELTA_BYTE.REMOVED);
    const upserts = this.#word(DELTA_BYTE.UPSERTS);
    const values = this.#word(DELTA_BYTE.VALUES);
    const content = new Uint32Array(this.#bytes.buffer, DELTA_BYTE.CONTENT_FROM, 2 * DIGEST_WORDS).slice();
    // Each of them takes at least so much: what is made below is never larger than what came allows.
    const rowBytesMin = DELTA_ROW_BYTES_MIN + this.#terms.attributes;
    if (removed * ID_BYTES + upserts * rowBytesMin + values > this.#end - this.#at) {
      corrupt(`${removed} ids, ${upserts} rows and ${values} values are not in ${this.#end} bytes`);
    }
    const removedFrom = this.#take(removed * ID_BYTES);
    const valuePlaces = this.#readValues(values);
    const rows = this.#readRows(upserts, valuePlaces);
    if (this.#at !== this.#end) corrupt(`${this.#end - this.#at} bytes are left over`);
    return {
      contentFrom: digestText(content, 0),
      contentTo: digestText(content, DIGEST_WORDS),
      removedIds: this.#bytes.subarray(removedFrom, removedFrom + removed * ID_BYTES),
      upserts: rows,
    };
  }

  #checkHeader(): void {
    if (this.#word(DELTA_BYTE.MAGIC) !== DELTA_MAGIC) corrupt('the bytes are no delta');
    const version = this.#bytes[DELTA_BYTE.VERSION];
    if (version !== DELTA_VERSION)
      mismatch(`delta of version ${version}; this program reads ${DELTA_VERSION}`);
    const found = Array.from({ length: CHECKSUM_WORDS }, (_, i) => this.#word(DELTA_BYTE.CHECKSUM + 4 * i));
    this.#bytes.fill(0, DELTA_BYTE.CHECKSUM, DELTA_HEADER_BYTES);
    const checksum = deltaChecksum(this.#bytes);
    if (found.some((word, i) => word !== checksum[i]))
      corrupt('the checksum of the delta is not that of its bytes');
    const { attributes, prefixBits } = this.#terms;
    const theirs = this.#bytes[DELTA_BYTE.ATTRIBUTES];
    if (theirs !== attributes) mismatch(`the delta has ${theirs} attributes a row, this cache ${attributes}`);
    const bits = [this.#bytes[DELTA_BYTE.IPV4_BITS], this.#bytes[DELTA_BYTE.IPV6_BITS]];
    if (bits[0] === prefixBits.ipv4 && bits[1] === prefixBits.ipv6) return;
    mismatch(
      `networks of the delta are the first ${bits.join(' and ')} bits of IPv4 and IPv6 addresses, ` +
        `those of this cache ${prefixBits.ipv4} and ${prefixBits.ipv6} (networkPrefixBits)`,
    );
  }

  /** First byte of each value, and the one after its last. */
  #readValues(values: number): Uint32Array {
    const places = new Uint32Array(2 * values);
    for (let i = 0; i < values; i++) {
      const length = this.#takeNumber();
      places[2 * i] = this.#take(length);
      places[2 * i + 1] = this.#at;
    }
    return places;
  }

  #readRows(count: number, valuePlaces: Uint32Array): FieldRows {
    const { attributes } = this.#terms;
    const width = 2 * (FIELD.attributes + attributes);
    const places = new Int32Array(width * count).fill(ABSENT);
    const ports = this.#end;
    const shared = ports + PORT_FIELD_BYTES * count;
    this.#append(shared + SHARED.length);
    this.#bytes.set(SHARED, shared);
    const place = (at: number, from: number, length: number) => {
      places[at] = from;
      places[at + 1] = from + length;
    };
    for (let row = 0, at = 0; row < count; row++, at += width) {
      const flags = this.#bytes[this.#take(1)]!;
      const pool = flags & DELTA_POOL_MASK;
      if (pool === 0 || (flags & ~DELTA_FLAGS) !== 0) corrupt(`row ${row} of the delta has marks ${flags}`);
      place(at + 2 * FIELD.id, this.#take(ID_BYTES), ID_BYTES);
      const addressBytes = (flags & DELTA_WIDE) === 0 ? 4 : ADDRESS_BYTES;
      place(at + 2 * FIELD.address, this.#take(addressBytes), addressBytes);
      const port = this.#view.getUint16(this.#take(PORT_BYTES), true);
      this.#view.setInt32(ports + PORT_FIELD_BYTES * row, port, false);
      place(at + 2 * FIELD.port, ports + PORT_FIELD_BYTES * row, PORT_FIELD_BYTES);
      if ((flags & DELTA_KEYED) !== 0) {
        place(at + 2 * FIELD.network, this.#take(NETWORK_KEY_BYTES), NETWORK_KEY_BYTES);
      }
      place(at + 2 * FIELD.vetted, shared + (pool === POOL_VETTED ? SHARED_VETTED : SHARED_NEW), 1);
      if (pool === POOL_INELIGIBLE) {
        place(at + 2 * FIELD.ineligible, shared + SHARED_CRITERION, SHARED.length - SHARED_CRITERION);
      }
      for (let i = 0; i < attributes; i++) {
        const value = this.#takeNumber();
        if (value > valuePlaces.length / 2) corrupt(`row ${row} of the delta has value ${value}`);
        if (value === 0) continue;
        const from = valuePlaces[2 * value - 2]!;
        place(at + 2 * (FIELD.attributes + i), from, valuePlaces[2 * value - 1]! - from);
      }
    }
    return { format: FORMAT, bytes: this.#bytes, view: this.#view, places, count, attributes };
  }

  #append(length: number): void {
    const larger = new Uint8Array(length);
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  #word(at: number): number {
    return this.#view.getUint32(at, true);
  }

  /** Goes `length` bytes on; returns where it was. */
  #take(length: number): number {
    const from = this.#at;
    if (length > this.#end - from) corrupt(`the delta ends at byte ${this.#end}`);
    this.#at = from + length;
    return from;
  }

  #takeNumber(): number {
    let number = 0;
    for (let i = 0; i < NUMBER_BYTES_MAX; i++) {
      const byte = this.#bytes[this.#take(1)]!;
      number |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) return number;
    }
    return corrupt('a number in the delta does not end');
  }
}

function corrupt(problem: string): never {
  throw new CacheError('SNAPSHOT_CORRUPT', problem);
}

function mismatch(problem: string): never {
  throw new CacheError('LAYOUT_MISMATCH', problem);
}
