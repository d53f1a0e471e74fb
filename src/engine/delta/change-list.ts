// @hotpath
/**
 * The changes of one delta, judged as the rows of a load are (`FieldReader`, `RowPools`, `AttributeCodes`)
 * and kept in private memory: for each id what becomes of it. Where an id comes several times the last one
 * counts, and a row counts more than a removal: sources read ids again, and the last reading is the newest.
 * A row that is refused takes its node out, as in a load: the source says something of it that cannot be
 * used.
 */
import { NETWORK_KEY_WORDS } from '../../../native-layout/network-key.ts';
import { indexEntriesFor } from '../../../native-layout/snapshot-header.ts';
import { ADDRESS_BYTES, ID_BYTES, ID_WORDS } from '../../../native-layout/snapshot-row.ts';
import { assert } from '../assert.ts';
import type { PlacementPlan } from '../placement/placement-plan.ts';
import { AttributeCodes } from '../snapshot/attribute-codes.ts';
import type { FieldReader } from '../snapshot/field-reader.ts';
import { FIELD, type FieldRows } from '../snapshot/field-rows.ts';
import { hashNodeId } from '../snapshot/id-index.ts';
import type { NodeRow } from '../snapshot/node-row.ts';
import { NodeRowFields } from '../snapshot/node-row-fields.ts';
import { RowPools } from '../snapshot/row-pools.ts';
import type { BuildCounts } from '../snapshot/snapshot-builder.ts';
import { POOL_MASK, POOL_SHIFT, PORT_MASK, WIDE_FLAG } from '../snapshot/staged-rows.ts';

/** Changes of a delta at the most: beyond that a load is as fast. */
export const CHANGES_MAX = 2 ** 20;

/** The pool of a change that takes a node out. */
export const POOL_NONE = 0;

/** Words of a record; attribute codes follow, two in a word. */
const CHANGE = {
  ID: 0,
  /** IPv4: its bytes; IPv6: number of its sixteen bytes in `wide`. */
  ADDRESS: ID_WORDS,
  /** Port, pool and marks, as of a staged row; 0: the node goes. */
  FLAGS: ID_WORDS + 1,
  /** Bit f set where filter f lets the row pass. */
  PASSES: ID_WORDS + 2,
  /** Hash of the id. */
  HASH: ID_WORDS + 3,
  /** Key of its network. */
  KEY: ID_WORDS + 4,
  ATTRIBUTES: ID_WORDS + 4 + NETWORK_KEY_WORDS,
} as const;

const CHANGES_FIRST = 64;
/** For flags of a change that a later one of the same id replaces: no row has this pool and these marks. */
const REPLACED = 0xffff_ffff;

export class ChangeList {
  readonly #reader: FieldReader;
  readonly #objects: NodeRowFields;
  /** Of this list alone: codes are those of its values, in the order in which they came. */
  readonly #attributes: AttributeCodes;
  readonly #pools: RowPools;
  readonly #stride: number;
  #words: Uint32Array;
  /** The same memory: attribute codes. */
  #codes: Uint16Array;
  #count = 0;
  #wide = new Uint8Array(CHANGES_FIRST * ADDRESS_BYTES);
  #wideCount = 0;
  readonly #refused = new Map<string, number>();

  #overflowed = false;
  #settled = false;

  /** `reader` may be that of other lists, too. `seed`: key of hashes, unpredictable. */
  constructor(plan: PlacementPlan, reader: FieldReader, seed: number) {
    this.#reader = reader;
    this.#objects = new NodeRowFields(plan.attributes.length);
    this.#attributes = new AttributeCodes(plan, seed);
    this.#pools = new RowPools(seed);
    this.#stride = CHANGE.ATTRIBUTES + Math.ceil(plan.attributes.length / 2);
    this.#words = new Uint32Array(CHANGES_FIRST * this.#stride);
    this.#codes = new Uint16Array(this.#words.buffer);
  }

  get count(): number {
    return this.#count;
  }

  /** There were more than CHANGES_MAX changes: some are not here. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** Rows that were refused, by reason; and ineligible ones by criterion, once the list is settled. */
  counts(): BuildCounts {
    return { refused: Object.fromEntries(this.#refused), ineligible: this.#pools.ineligible() };
  }

  /** Texts of the values of each attribute, in the order of this list's codes. */
  values(): string[][] {
    return this.#attributes.texts();
  }

  /** Takes out the nodes whose ids, 32 bytes each, are in `ids`. */
  remove(ids: Uint8Array): void {
    assert(ids.length % ID_BYTES === 0, () => `${ids.length} bytes are no ids`);
    const view = new DataView(ids.buffer, ids.byteOffset, ids.byteLength);
    for (let from = 0; from < ids.length && this.#hasRoom(); from += ID_BYTES) this.#append(view, from);
  }

  append(row: NodeRow): void {
    this.appendFields(this.#objects.of(row));
  }

  /** Takes rows. Throws CAPACITY_EXCEEDED when an attribute has too many values. */
  appendFields(rows: FieldRows): void {
    const reader = this.#reader;
    const attributes = this.#attributes;
    assert(rows.attributes === attributes.attributes, 'a row has the attributes that placements use');
    const width = 2 * (FIELD.attributes + rows.attributes);
    // What networks are called is asked for at once, and need not be remembered from batch to batch.
    reader.network.clear();
    for (let row = 0, from = 0; row < rows.count && this.#hasRoom(); row++, from += width) {
      const refusal = reader.read(rows, from);
      if (refusal !== undefined) {
        this.#refused.set(refusal, (this.#refused.get(refusal) ?? 0) + 1);
        if (reader.readId(rows, from)) this.#append(reader.idView, reader.idFrom);
        continue;
      }
      const { ipv4, network, port } = reader;
      const at = this.#append(reader.idView, reader.idFrom);
      const words = this.#words;
      words[at + CHANGE.ADDRESS] = ipv4 ? reader.ipv4Word : this.#appendWide(reader.wide);
      words[at + CHANGE.FLAGS] = port | (ipv4 ? 0 : WIDE_FLAG) | this.#pools.judge(rows, from);
      network.writeKey(network.key, network.named, words, at + CHANGE.KEY);
      attributes.write(rows, from, this.#codes, 2 * (at + CHANGE.ATTRIBUTES));
      words[at + CHANGE.PASSES] = attributes.passes(this.#codes, 2 * (at + CHANGE.ATTRIBUTES));
    }
  }

  /**
   * Hashes the ids, and drops each change that a later one of the same id replaces. No change comes after
   * that. `keys`: of the id index's hash.
   */
  settle(keys: Int32Array): void {
    const words = this.#words;
    const entries = indexEntriesFor(this.#count);
    const table = new Uint32Array(entries);
    for (let change = 0; change < this.#count; change++) {
      const at = change * this.#stride;
      const hash = hashNodeId(words, at, keys);
      words[at + CHANGE.HASH] = hash;
      let entry = hash & (entries - 1);
      while (table[entry] !== 0 && !this.#sameId(table[entry]! - 1, change))
        entry = (entry + 1) & (entries - 1);
      if (table[entry] !== 0) words[(table[entry]! - 1) * this.#stride + CHANGE.FLAGS] = REPLACED;
      table[entry] = change + 1;
    }
    this.#dropReplaced();
    if (this.#settled) return;
    this.#settled = true;
    for (let change = 0; change < this.#count; change++) this.#pools.count(this.flags(change));
  }

  /** The words of the ids, and where that of `change` begins. */
  get words(): Uint32Array {
    return this.#words;
  }

  idWord(change: number): number {
    return change * this.#stride + CHANGE.ID;
  }

  keyWord(change: number): number {
    return change * this.#stride + CHANGE.KEY;
  }

  /** Words from one change to the next; and the word of the hash of `change`. */
  get stride(): number {
    return this.#stride;
  }

  hashWord(change: number): number {
    return change * this.#stride + CHANGE.HASH;
  }

  hash(change: number): number {
    return this.#words[change * this.#stride + CHANGE.HASH]!;
  }

  /** Port, pool, criterion, marks, as of a staged row. */
  flags(change: number): number {
    return this.#words[change * this.#stride + CHANGE.FLAGS]!;
  }

  /** The pool that the node comes into, or POOL_NONE. */
  pool(change: number): number {
    return (this.flags(change) >>> POOL_SHIFT) & POOL_MASK;
  }

  port(change: number): number {
    return this.flags(change) & PORT_MASK;
  }

  isWide(change: number): boolean {
    return (this.flags(change) & WIDE_FLAG) !== 0;
  }

  /** The four bytes of an IPv4 address, as they stand in memory. */
  ipv4(change: number): number {
    return this.#words[change * this.#stride + CHANGE.ADDRESS]!;
  }

  /** IPv6 addresses among the changes. */
  get wideCount(): number {
    return this.#wideCount;
  }

  /** Sixteen bytes an IPv6 address, and where that of `change` begins. */
  get wide(): Uint8Array {
    return this.#wide;
  }

  wideByte(change: number): number {
    return ADDRESS_BYTES * this.#words[change * this.#stride + CHANGE.ADDRESS]!;
  }

  passes(change: number): number {
    return this.#words[change * this.#stride + CHANGE.PASSES]!;
  }

  /** Code of its value of attribute `number`. */
  code(change: number, number: number): number {
    return this.#codes[2 * (change * this.#stride + CHANGE.ATTRIBUTES) + number]!;
  }

  #hasRoom(): boolean {
    this.#overflowed ||= this.#count === CHANGES_MAX;
    return !this.#overflowed;
  }

  #dropReplaced(): void {
    const words = this.#words;
    const stride = this.#stride;
    let kept = 0;
    for (let at = 0; at < this.#count * stride; at += stride) {
      if (words[at + CHANGE.FLAGS] === REPLACED) continue;
      if (kept < at) words.copyWithin(kept, at, at + stride);
      kept += stride;
    }
    this.#count = kept / stride;
  }

  /** The first word of a new record, which takes a node out: the one whose id is at byte `from` of `view`. */
  #append(view: DataView, from: number): number {
    const at = this.#count * this.#stride;
    if (at + this.#stride > this.#words.length) this.#grow();
    this.#count++;
    const words = this.#words;
    for (let i = 0; i < ID_WORDS; i++) words[at + CHANGE.ID + i] = view.getUint32(from + 4 * i, true);
    words[at + CHANGE.FLAGS] = POOL_NONE;
    return at;
  }

  #grow(): void {
    const larger = new Uint32Array(2 * this.#words.length);
    larger.set(this.#words);
    this.#words = larger;
    this.#codes = new Uint16Array(larger.buffer);
  }

  #appendWide(address: Uint8Array): number {
    const at = this.#wideCount * ADDRESS_BYTES;
    if (at === this.#wide.length) {
      const larger = new Uint8Array(2 * at);
      larger.set(this.#wide);
      this.#wide = larger;
    }
    this.#wide.set(address, at);
    return this.#wideCount++;
  }

  #sameId(a: number, b: number): boolean {
    const words = this.#words;
    const aAt = this.idWord(a);
    const bAt = this.idWord(b);
    for (let i = 0; i < ID_WORDS; i++) if (words[aAt + i] !== words[bAt + i]) return false;
    return true;
  }
}
