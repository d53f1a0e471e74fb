// @hotpath
/**
 * Builds a snapshot in an unpublished slot: append rows as they come, then finish. Rows are staged in private
 * memory and written to the slot in their final order, so the slot is touched once. Runs on the loader
 * thread; nobody else may look at the slot meanwhile (I3, I4).
 */
import { indexEntriesFor } from '../../../native-layout/snapshot-header.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import type { PrefixBits } from '../address/network-keys.ts';
import { assert } from '../assert.ts';
import { CacheError } from '../errors.ts';
import type { PlacementPlan } from '../placement/placement-plan.ts';
import { AttributeCodes } from './attribute-codes.ts';
import { BuildMemory } from './build-memory.ts';
import { FieldReader } from './field-reader.ts';
import { FIELD, type FieldRows } from './field-rows.ts';
import { fillIndex, indexKeys } from './id-index.ts';
import type { NodeRow } from './node-row.ts';
import { NodeRowFields } from './node-row-fields.ts';
import { PlainRows } from './plain-rows.ts';
import { type ArrangedRows, arrangeRows } from './row-arrangement.ts';
import { RowPools } from './row-pools.ts';
import { finishSnapshot, type SnapshotStamp } from './snapshot-finish.ts';
import { withoutDuplicates } from './staged-duplicates.ts';
import { NAMED_FLAG, STAGED, type StagedRows, WIDE_FLAG } from './staged-rows.ts';

export interface BuildOptions {
  readonly plan: PlacementPlan;
  readonly prefixBits: PrefixBits;
  readonly allowRanges: readonly string[];
  /** Key of the id index's hash: 32 unpredictable bits, drawn for each load. */
  readonly indexSeed: number;
}

/** What was left out and what was kept aside, by name. Complete when the snapshot is finished. */
export interface BuildCounts {
  readonly refused: Readonly<Record<string, number>>;
  readonly ineligible: Readonly<Record<string, number>>;
}

export class SnapshotBuilder {
  readonly views: SnapshotViews;
  readonly #plan: PlacementPlan;
  readonly #seed: number;
  readonly #prefixBits: PrefixBits;
  readonly #keys: Int32Array;
  readonly #plain: PlainRows;
  readonly #reader: FieldReader;
  readonly #objects: NodeRowFields;
  readonly #attributes: AttributeCodes;
  readonly #pools: RowPools;
  readonly #refused = new Map<string, number>();
  readonly #memory: BuildMemory;
  #staged: StagedRows;
  #arrived = 0;

  /** `memory`: made for the capacity of the slot, and used by nobody else until the snapshot is validated. */
  constructor(views: SnapshotViews, options: BuildOptions, memory = memoryFor(views, options)) {
    const { plan, indexSeed } = options;
    this.views = views;
    this.#plan = plan;
    this.#seed = indexSeed;
    this.#prefixBits = options.prefixBits;
    this.#keys = indexKeys(indexSeed);
    this.#plain = new PlainRows(options.prefixBits.ipv4);
    this.#reader = new FieldReader(options.prefixBits, options.allowRanges, indexSeed);
    this.#objects = new NodeRowFields(plan.attributes.length);
    this.#attributes = new AttributeCodes(plan, indexSeed);
    this.#pools = new RowPools(indexSeed);
    this.#memory = memory;
    this.#staged = memory.staged;
    this.#staged.clear();
  }

  /** Rows that are there. */
  get rowCount(): number {
    return this.#staged.count;
  }

  get refusedCount(): number {
    let sum = 0;
    for (const count of this.#refused.values()) sum += count;
    return sum;
  }

  counts(): BuildCounts {
    return { refused: Object.fromEntries(this.#refused), ineligible: this.#pools.ineligible() };
  }

  append(row: NodeRow): void {
    this.appendFields(this.#objects.of(row));
  }

  /**
   * Appends rows. One that cannot be used is counted under its reason (`address-invalid`,
   * `special-use:<range>`, `port-invalid`, `id-invalid`, and in `finish` `id-duplicate`) and left out. Throws
   * CAPACITY_EXCEEDED when there is no room for them, or a dictionary is full.
   */
  appendFields(rows: FieldRows): void {
    const plain = this.#plain;
    const { view, places, count } = rows;
    const width = 2 * (FIELD.attributes + rows.attributes);
    assert(rows.attributes === this.#attributes.attributes, 'a row has the attributes that placements use');
    plain.find(rows);
    for (let row = 0, at = 0; row < count; row++, at += width) {
      const port = plain.ports[row]!;
      if (port === 0) {
        this.#appendOther(rows, at);
      } else {
        const record = this.#stageId(view, places[at + 2 * FIELD.id]!, plain.networks[row]!);
        const { words } = this.#staged;
        words[record + STAGED.ADDRESS] = plain.addresses[row]!;
        words[record + STAGED.FLAGS] = port | this.#judge(rows, at);
        if (rows.attributes > 0) this.#stageCodes(rows, at, record);
      }
    }
  }

  /** A row that is not plain: it may be good all the same. */
  #appendOther(rows: FieldRows, at: number): void {
    const reader = this.#reader;
    const refusal = reader.read(rows, at);
    if (refusal !== undefined) {
      this.#refuse(refusal);
      return;
    }
    const { network, ipv4, port } = reader;
    const record = this.#stageId(reader.idView, reader.idFrom, network.key);
    const { words } = this.#staged;
    words[record + STAGED.ADDRESS] = ipv4 ? reader.ipv4Word : this.#staged.appendWide(reader.wide);
    const marks = (ipv4 ? 0 : WIDE_FLAG) | (network.named ? NAMED_FLAG : 0);
    words[record + STAGED.FLAGS] = port | marks | this.#judge(rows, at);
    if (rows.attributes > 0) this.#stageCodes(rows, at, record);
  }

  /**
   * Writes rows, index, candidate sets and header to the slot, all but the digest. The builder is used up.
   * Throws CAPACITY_EXCEEDED.
   */
  finish(stamp: SnapshotStamp): void {
    this.#checkCapacity();
    let rows = this.#arrange();
    if (!this.#fillIndex(rows)) {
      this.#dropDuplicates();
      rows = this.#arrange();
      this.#fillIndex(rows);
    }
    finishSnapshot(this.views, this.#plan, stamp, {
      ...rows,
      indexEntries: indexEntriesFor(rows.count),
      indexSeed: this.#seed,
      prefixBits: this.#prefixBits,
      values: this.#attributes.texts(),
    });
  }

  #arrange(): ArrangedRows {
    return arrangeRows(this.#staged, this.views, this.#memory, {
      poolCounts: this.#pools.counts,
      networkKeys: this.#reader.network,
      hashKeys: this.#keys,
    });
  }

  #fillIndex({ count, idHashes }: ArrangedRows): boolean {
    const { idIndex, rowWords } = this.views;
    const entries = indexEntriesFor(count);
    idIndex.fill(0, 0, entries);
    return fillIndex(idIndex, entries, idHashes, rowWords, count);
  }

  #refuse(reason: string): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
  }

  /** Begins the record of a row: network, arrival, and the id from byte `from`. Returns its first word. */
  #stageId(view: DataView, from: number, network: number): number {
    if (this.#staged.isFull) this.#checkCapacity();
    const staged = this.#staged;
    const record = staged.append(network);
    const { words, longs } = staged;
    const long = record >>> 1;
    // Unrolled, because V8 does not. Loaded and stored at once, a 64-bit value is never made an object.
    longs[long] = view.getBigInt64(from, true);
    longs[long + 1] = view.getBigInt64(from + 8, true);
    longs[long + 2] = view.getBigInt64(from + 16, true);
    longs[long + 3] = view.getBigInt64(from + 24, true);
    words[record + STAGED.NETWORK] = network;
    words[record + STAGED.ARRIVAL] = this.#arrived++;
    return record;
  }

  /** Pool and criterion of the row, as flags; counts them. */
  #judge(rows: FieldRows, at: number): number {
    const flags = this.#pools.judge(rows, at);
    this.#pools.count(flags);
    return flags;
  }

  #stageCodes(rows: FieldRows, at: number, record: number): void {
    const { codes, words } = this.#staged;
    const first = 2 * (record + STAGED.ATTRIBUTES);
    this.#attributes.write(rows, at, codes, first);
    words[record + STAGED.PASSES] = this.#attributes.passes(codes, first);
  }

  /** Throws CAPACITY_EXCEEDED when more rows are staged than the slot takes, duplicates not counted. */
  #checkCapacity(): void {
    const capacity = this.views.layout.extents.rows;
    if (this.#staged.count <= capacity) return;
    this.#dropDuplicates();
    if (this.#staged.count <= capacity) return;
    throw new CacheError(
      'CAPACITY_EXCEEDED',
      `the source has more nodes than the configured capacity of ${capacity} (capacity.nodes)`,
      { field: 'capacity.nodes' },
    );
  }

  #dropDuplicates(): void {
    this.#staged = withoutDuplicates(this.#staged, this.#keys, flags => {
      this.#pools.uncount(flags);
      this.#refuse('id-duplicate');
    });
  }
}

function memoryFor({ layout }: SnapshotViews, { plan }: BuildOptions): BuildMemory {
  return new BuildMemory(layout.extents.rows, plan);
}
