// @hotpath
/**
 * The content digest: 128 bits for what the source said of every row, and for nothing else. Two snapshots of
 * the same table have the same one, whatever the order, the seed, the numbering and the machine. It is the
 * sum of a hash of each row, in four lanes of 32 bits: rows that go are subtracted, rows that come are added.
 *
 * A row is hashed as blocks of four words: its id, two blocks; one of the IPv4 address, then port, pool and
 * marks of what follows, then the last word of an IPv4 network's key; one of the address where that is IPv6;
 * one of the network's key where that is no IPv4 network; one for each attribute, the hash of its value's
 * text, zeros for none. The lanes step as those of `digest.ts`, and every hash ends in its finish, so that
 * what two rows exchange shows in the sum. It detects damage and drift; it does not protect against forgery.
 */
import { NETWORK_KEY_WORDS, NETWORK_MAPPED_WORD } from '../../../native-layout/network-key.ts';
import { POOL_INELIGIBLE, POOL_NEW, POOL_VETTED } from '../../../native-layout/node-record.ts';
import { DIGEST_WORDS, HEADER_WORD } from '../../../native-layout/snapshot-header.ts';
import {
  ID_WORDS,
  ROW_ADDRESS_WORD,
  ROW_NETWORK_WORD,
  ROW_PORT_WORD,
  ROW_TEXT_LENGTH_WORD,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { Digest, digestText, finalMix, LANES, rotate, STEP_LANE, STEP_WORD } from './digest.ts';

const POOL_SHIFT = 16;
/** Blocks that follow the third one: of an IPv6 address, of a key that is none of an IPv4 network. */
const WIDE_MARK = 1 << 18;
const NAMED_MARK = 1 << 19;
const BLOCK_WORDS = 4;
const BLOCK_BYTES = 4 * BLOCK_WORDS;
const LANE_A = LANES[0] | 0;
const LANE_B = LANES[1] | 0;
const LANE_C = LANES[2] | 0;
const LANE_D = LANES[3] | 0;
/** The third one, of an IPv6 address, of a key. */
const OTHER_BLOCKS = 3;
const VALUES_FIRST = 16;

/** The content digest in the header, as 32 hexadecimal digits. */
export function contentDigestOf(views: SnapshotViews): string {
  return digestText(views.header, HEADER_WORD.CONTENT_DIGEST);
}

/** Hashes of the values of an attribute by their codes, from code 1 on; code 0, no value, is all zeros. */
export class ValueHashes {
  /** Four words a code. */
  words = new Uint32Array(BLOCK_WORDS * VALUES_FIRST);
  #count = 0;

  static of(values: readonly string[]): ValueHashes {
    const hashes = new ValueHashes();
    for (const value of values) hashes.append(value);
    return hashes;
  }

  get count(): number {
    return this.#count;
  }

  /** Forgets the values of all codes above `count`. */
  truncate(count: number): void {
    this.#count = Math.min(this.#count, count);
  }

  /** Adds the value of the next code. */
  append(text: string): void {
    const at = BLOCK_WORDS * ++this.#count;
    if (at === this.words.length) {
      const larger = new Uint32Array(2 * at);
      larger.set(this.words);
      this.words = larger;
    }
    const bytes = new TextEncoder().encode(text);
    // Its length, then the text and zeros.
    const words = new Uint32Array(BLOCK_WORDS + Math.ceil(bytes.length / BLOCK_BYTES) * BLOCK_WORDS);
    words[0] = bytes.length;
    new Uint8Array(words.buffer).set(bytes, BLOCK_BYTES);
    const digest = new Digest();
    digest.update(words, 0, words.length);
    digest.write(this.words, at);
  }
}

/** Adds up hashes of rows of one snapshot. */
export class ContentDigest {
  readonly #views: SnapshotViews;
  readonly #wideWords: Uint32Array;
  readonly #values: readonly ValueHashes[];
  readonly #sums = new Int32Array(DIGEST_WORDS);
  /** The third block of a row, and those that follow it. */
  readonly #blocks: Uint32Array;

  /** `values`: of each attribute. The header counts the rows of the pools. */
  constructor(views: SnapshotViews, values: readonly ValueHashes[]) {
    this.#views = views;
    const { buffer, layout } = views;
    this.#wideWords = new Uint32Array(
      buffer,
      layout.wideAddress.byteOffset,
      layout.wideAddress.byteLength / 4,
    );
    this.#values = values;
    this.#blocks = new Uint32Array(BLOCK_WORDS * (OTHER_BLOCKS + values.length));
  }

  /** Adds the rows from `from` to `to`. */
  add(from: number, to: number): void {
    const { header } = this.#views;
    const vettedEnd = header[HEADER_WORD.VETTED]!;
    const newEnd = vettedEnd + header[HEADER_WORD.NEW]!;
    if (from < vettedEnd) this.#add(from, Math.min(to, vettedEnd), POOL_VETTED);
    if (from < newEnd) this.#add(Math.max(from, vettedEnd), Math.min(to, newEnd), POOL_NEW);
    this.#add(Math.max(from, newEnd), to, POOL_INELIGIBLE);
  }

  /** Writes the sum so far to `target` from index `at`, four words. */
  write(target: Uint32Array, at: number): void {
    for (let i = 0; i < DIGEST_WORDS; i++) target[at + i] = this.#sums[i]!;
  }

  #add(from: number, to: number, pool: number): void {
    if (this.#values.length > 0) {
      this.#addAny(from, to, pool);
      return;
    }
    for (let row = this.#addPlain(from, to, pool); row < to; row = this.#addPlain(row + 1, to, pool)) {
      this.#addAny(row, row + 1, pool);
    }
  }

  /**
   * Adds rows of three blocks, up to the first other one; returns that, or `to`. Without a call in its loop,
   * and with every step written out, because V8 does not inline so many: 15 ns a row against 25 and 110.
   */
  #addPlain(from: number, to: number, pool: number): number {
    const { rowWords, networkKeyWords } = this.#views;
    let sumA = 0;
    let sumB = 0;
    let sumC = 0;
    let sumD = 0;
    let row = from;
    for (let at = from * ROW_WORDS; row < to; row++, at += ROW_WORDS) {
      const key = rowWords[at + ROW_NETWORK_WORD]! * NETWORK_KEY_WORDS;
      const others =
        networkKeyWords[key]! | networkKeyWords[key + 1]! | (networkKeyWords[key + 2]! ^ NETWORK_MAPPED_WORD);
      if (others !== 0 || rowWords[at + ROW_TEXT_LENGTH_WORD]! >>> 24 === 0) break;
      let a = LANE_A;
      let b = LANE_B;
      let c = LANE_C;
      let d = LANE_D;
      let first = a;
      a = Math.imul((rotate((a + Math.imul(rowWords[at]!, STEP_WORD)) | 0) + b) | 0, STEP_LANE);
      b = Math.imul((rotate((b + Math.imul(rowWords[at + 1]!, STEP_WORD)) | 0) + c) | 0, STEP_LANE);
      c = Math.imul((rotate((c + Math.imul(rowWords[at + 2]!, STEP_WORD)) | 0) + d) | 0, STEP_LANE);
      d = Math.imul((rotate((d + Math.imul(rowWords[at + 3]!, STEP_WORD)) | 0) + first) | 0, STEP_LANE);
      first = a;
      a = Math.imul((rotate((a + Math.imul(rowWords[at + 4]!, STEP_WORD)) | 0) + b) | 0, STEP_LANE);
      b = Math.imul((rotate((b + Math.imul(rowWords[at + 5]!, STEP_WORD)) | 0) + c) | 0, STEP_LANE);
      c = Math.imul((rotate((c + Math.imul(rowWords[at + 6]!, STEP_WORD)) | 0) + d) | 0, STEP_LANE);
      d = Math.imul((rotate((d + Math.imul(rowWords[at + 7]!, STEP_WORD)) | 0) + first) | 0, STEP_LANE);
      const address = rowWords[at + ROW_ADDRESS_WORD]!;
      const portAndPool = (rowWords[at + ROW_PORT_WORD]! >>> 16) | (pool << POOL_SHIFT);
      first = a;
      a = Math.imul((rotate((a + Math.imul(address, STEP_WORD)) | 0) + b) | 0, STEP_LANE);
      b = Math.imul((rotate((b + Math.imul(portAndPool, STEP_WORD)) | 0) + c) | 0, STEP_LANE);
      c = Math.imul((rotate((c + Math.imul(networkKeyWords[key + 3]!, STEP_WORD)) | 0) + d) | 0, STEP_LANE);
      d = Math.imul((rotate(d) + first) | 0, STEP_LANE);
      a = (a + b + c + d) | 0;
      b = finalMix((b + a) | 0);
      c = finalMix((c + a) | 0);
      d = finalMix((d + a) | 0);
      a = finalMix(a);
      a = (a + b + c + d) | 0;
      sumA = (sumA + a) | 0;
      sumB = (sumB + b + a) | 0;
      sumC = (sumC + c + a) | 0;
      sumD = (sumD + d + a) | 0;
    }
    const sums = this.#sums;
    sums[0]! += sumA;
    sums[1]! += sumB;
    sums[2]! += sumC;
    sums[3]! += sumD;
    return row;
  }

  /** The same for rows of any blocks: 30 ns, and 5 for each that follows the third. */
  #addAny(from: number, to: number, pool: number): void {
    const { rowWords } = this.#views;
    const blocks = this.#blocks;
    const sums = this.#sums;
    for (let row = from, at = from * ROW_WORDS; row < to; row++, at += ROW_WORDS) {
      const end = this.#collect(row, pool);
      let a = LANE_A;
      let b = LANE_B;
      let c = LANE_C;
      let d = LANE_D;
      for (let block = at; block < at + ID_WORDS; block += BLOCK_WORDS) {
        const first = a;
        a = Math.imul((rotate((a + Math.imul(rowWords[block]!, STEP_WORD)) | 0) + b) | 0, STEP_LANE);
        b = Math.imul((rotate((b + Math.imul(rowWords[block + 1]!, STEP_WORD)) | 0) + c) | 0, STEP_LANE);
        c = Math.imul((rotate((c + Math.imul(rowWords[block + 2]!, STEP_WORD)) | 0) + d) | 0, STEP_LANE);
        d = Math.imul((rotate((d + Math.imul(rowWords[block + 3]!, STEP_WORD)) | 0) + first) | 0, STEP_LANE);
      }
      for (let block = 0; block < end; block += BLOCK_WORDS) {
        const first = a;
        a = Math.imul((rotate((a + Math.imul(blocks[block]!, STEP_WORD)) | 0) + b) | 0, STEP_LANE);
        b = Math.imul((rotate((b + Math.imul(blocks[block + 1]!, STEP_WORD)) | 0) + c) | 0, STEP_LANE);
        c = Math.imul((rotate((c + Math.imul(blocks[block + 2]!, STEP_WORD)) | 0) + d) | 0, STEP_LANE);
        d = Math.imul((rotate((d + Math.imul(blocks[block + 3]!, STEP_WORD)) | 0) + first) | 0, STEP_LANE);
      }
      a = (a + b + c + d) | 0;
      b = finalMix((b + a) | 0);
      c = finalMix((c + a) | 0);
      d = finalMix((d + a) | 0);
      a = (finalMix(a) + b + c + d) | 0;
      sums[0]! += a;
      sums[1]! += b + a;
      sums[2]! += c + a;
      sums[3]! += d + a;
    }
  }

  /** Puts the third block of the row and all that follow it together; returns how many words they are. */
  #collect(row: number, pool: number): number {
    const { rowWords, networkKeyWords, attributeCodes } = this.#views;
    const blocks = this.#blocks;
    const values = this.#values;
    const at = row * ROW_WORDS;
    const key = rowWords[at + ROW_NETWORK_WORD]! * NETWORK_KEY_WORDS;
    const others =
      networkKeyWords[key]! | networkKeyWords[key + 1]! | (networkKeyWords[key + 2]! ^ NETWORK_MAPPED_WORD);
    const wide = rowWords[at + ROW_TEXT_LENGTH_WORD]! >>> 24 === 0;
    const marks = (wide ? WIDE_MARK : 0) | (others === 0 ? 0 : NAMED_MARK);
    const address = rowWords[at + ROW_ADDRESS_WORD]!;
    blocks[0] = wide ? 0 : address;
    blocks[1] = (rowWords[at + ROW_PORT_WORD]! >>> 16) | (pool << POOL_SHIFT) | marks;
    blocks[2] = others === 0 ? networkKeyWords[key + 3]! : 0;
    let end = BLOCK_WORDS;
    if (wide) {
      end = copyBlock(this.#wideWords, (address * WIDE_ADDRESS_BYTES + WIDE_BINARY_BYTE) / 4, blocks, end);
    }
    if (others !== 0) end = copyBlock(networkKeyWords, key, blocks, end);
    for (let i = 0; i < values.length; i++) {
      end = copyBlock(values[i]!.words, BLOCK_WORDS * attributeCodes[i]![row]!, blocks, end);
    }
    return end;
  }
}

function copyBlock(words: Uint32Array, at: number, blocks: Uint32Array, to: number): number {
  blocks[to] = words[at]!;
  blocks[to + 1] = words[at + 1]!;
  blocks[to + 2] = words[at + 2]!;
  blocks[to + 3] = words[at + 3]!;
  return to + BLOCK_WORDS;
}
