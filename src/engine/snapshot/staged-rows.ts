// @hotpath
/**
 * Rows between their arrival and their place in the snapshot, in private memory: a record each, appended to
 * the bucket that its network falls into. Putting rows into their final order then works on one bucket after
 * the other, which fits into the second-level cache; sorting all of a million rows at once misses it on every
 * row (75 ns against 37, measured 2026-11). Memory is reserved at the capacity; what is not touched costs
 * nothing.
 */
import { ADDRESS_BYTES, ID_WORDS } from '../../../native-layout/snapshot-row.ts';

/** Words of a record; attribute codes follow, two in a word. */
export const STAGED = {
  ID: 0,
  /** IPv4: its bytes; IPv6: number of its 16 bytes in `wideAddresses`. */
  ADDRESS: ID_WORDS,
  /** The network: leading bytes of an IPv4 address, or the code of a name or an IPv6 prefix. */
  NETWORK: ID_WORDS + 1,
  /** Port in the low half, then pool, and the marks below. */
  FLAGS: ID_WORDS + 2,
  /** Number of the row in the order of arrival. */
  ARRIVAL: ID_WORDS + 3,
  /** Bit f set where filter f lets the row pass. This and the rest only where there are attributes. */
  PASSES: ID_WORDS + 4,
  ATTRIBUTES: ID_WORDS + 5,
} as const;

export const PORT_MASK = 0xffff;
export const POOL_SHIFT = 16;
export const POOL_MASK = 3;
/** The address is IPv6. */
export const WIDE_FLAG = 1 << 18;
/** The network is a name or an IPv6 prefix. */
export const NAMED_FLAG = 1 << 19;
export const CRITERION_SHIFT = 20;

export const BUCKETS = 256;
const BUCKET_SHIFT = 32 - 8;
/** Records that a bucket grows by. */
const BLOCK_RECORDS = 64;
const NO_BLOCK = -1;
/**
 * Rows beyond the capacity that there is room for, at least: they may turn out to be duplicates, which are
 * looked for when the room is used up, and at the end.
 */
const SLACK_ROWS_MIN = 4096;
const WIDE_FIRST = 1024;
const BUCKET_FACTOR = 0x9e3779b1;

export class StagedRows {
  /** Words of a record: even, so that ids can be copied as 64-bit integers. */
  readonly stride: number;
  readonly words: Uint32Array;
  /** The same memory as 64-bit and as 16-bit integers: ids, attribute codes. */
  readonly longs: BigInt64Array;
  readonly codes: Uint16Array;
  /** Sixteen bytes an IPv6 address. */
  wideAddresses = new Uint8Array(WIDE_FIRST * ADDRESS_BYTES);
  #wideCount = 0;
  readonly #capacity: number;
  readonly #attributes: number;
  /** Rows that there is room for. */
  readonly #rowsMax: number;
  /** Next record of each bucket; at a multiple of BLOCK_RECORDS there is no block under it yet. */
  readonly #next = new Uint32Array(BUCKETS);
  readonly #firstBlock = new Int32Array(BUCKETS).fill(NO_BLOCK);
  readonly #lastBlock = new Int32Array(BUCKETS).fill(NO_BLOCK);
  readonly #blockAfter: Int32Array;
  #blocks = 0;
  #count = 0;

  constructor(capacity: number, attributes: number) {
    this.#capacity = capacity;
    this.#attributes = attributes;
    const words = attributes === 0 ? STAGED.PASSES : STAGED.ATTRIBUTES + Math.ceil(attributes / 2);
    this.stride = 2 * Math.ceil(words / 2);
    this.#rowsMax = capacity + Math.max(SLACK_ROWS_MIN, capacity >>> 2);
    // The last block of each bucket may hold a single record.
    const blocks = Math.ceil(this.#rowsMax / BLOCK_RECORDS) + BUCKETS;
    this.#blockAfter = new Int32Array(blocks);
    this.words = new Uint32Array(blocks * BLOCK_RECORDS * this.stride);
    this.longs = new BigInt64Array(this.words.buffer);
    this.codes = new Uint16Array(this.words.buffer);
  }

  get count(): number {
    return this.#count;
  }

  /** Forgets all rows. */
  clear(): void {
    this.#next.fill(0);
    this.#firstBlock.fill(NO_BLOCK);
    this.#lastBlock.fill(NO_BLOCK);
    this.#blocks = 0;
    this.#count = 0;
    this.#wideCount = 0;
  }

  get isFull(): boolean {
    return this.#count === this.#rowsMax;
  }

  /** The first word of a new record in the bucket of `network`. Its words are the caller's to write, all. */
  append(network: number): number {
    const bucket = Math.imul(network, BUCKET_FACTOR) >>> BUCKET_SHIFT;
    let record = this.#next[bucket]!;
    if (record % BLOCK_RECORDS === 0) record = this.#addBlock(bucket);
    this.#next[bucket] = record + 1;
    this.#count++;
    return record * this.stride;
  }

  /** Appends record `from` of `other`, which keeps its address. */
  appendCopy(other: StagedRows, from: number): void {
    const at = this.append(other.words[from + STAGED.NETWORK]!);
    this.words.set(other.words.subarray(from, from + this.stride), at);
  }

  /** Staged rows of the same size, with the same IPv6 addresses, and no row yet. */
  emptyCopy(): StagedRows {
    const copy = new StagedRows(this.#capacity, this.#attributes);
    copy.wideAddresses = this.wideAddresses;
    copy.#wideCount = this.#wideCount;
    return copy;
  }

  /** Keeps the sixteen bytes of an IPv6 address; returns their number. */
  appendWide(address: Uint8Array): number {
    const at = this.#wideCount * ADDRESS_BYTES;
    if (at === this.wideAddresses.length) {
      const larger = new Uint8Array(2 * at);
      larger.set(this.wideAddresses);
      this.wideAddresses = larger;
    }
    for (let i = 0; i < ADDRESS_BYTES; i++) this.wideAddresses[at + i] = address[i]!;
    return this.#wideCount++;
  }

  /** Writes the first word of each record of `bucket` to `out` from index `from`; returns where that ends. */
  recordsOf(bucket: number, out: Uint32Array, from = 0): number {
    const { stride } = this;
    let end = from;
    for (let block = this.#firstBlock[bucket]!; block !== NO_BLOCK; block = this.#blockAfter[block]!) {
      const first = block * BLOCK_RECORDS;
      const last = block === this.#lastBlock[bucket] ? this.#next[bucket]! : first + BLOCK_RECORDS;
      for (let at = first * stride; at < last * stride; at += stride) out[end++] = at;
    }
    return end;
  }

  /** Records that a bucket has at the most. */
  bucketMax(): number {
    let blocksMax = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      let blocks = 0;
      for (let at = this.#firstBlock[bucket]!; at !== NO_BLOCK; at = this.#blockAfter[at]!) blocks++;
      blocksMax = Math.max(blocksMax, blocks);
    }
    return blocksMax * BLOCK_RECORDS;
  }

  #addBlock(bucket: number): number {
    const block = this.#blocks++;
    const last = this.#lastBlock[bucket]!;
    if (last === NO_BLOCK) this.#firstBlock[bucket] = block;
    else this.#blockAfter[last] = block;
    this.#blockAfter[block] = NO_BLOCK;
    this.#lastBlock[bucket] = block;
    return block * BLOCK_RECORDS;
  }
}
