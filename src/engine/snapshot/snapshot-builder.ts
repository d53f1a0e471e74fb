// @hotpath
/**
 * Builds a snapshot in an unpublished slot: append rows as they come, then finish. Rows are staged in private
 * memory and written to the slot in their final order, so the slot is touched once. Runs on the loader
 * thread; nobody else may look at the slot meanwhile (I3, I4).
 */
import { POOL_INELIGIBLE, POOL_NEW, POOL_VETTED } from '../../../native-layout/node-record.ts';
import { ATTRIBUTE_VALUES_MAX, indexEntriesFor } from '../../../native-layout/snapshot-header.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import type { PrefixBits } from '../address/network-keys.ts';
import { assert } from '../assert.ts';
import { ByteDictionary, FULL } from '../byte-dictionary.ts';
import { CacheError } from '../errors.ts';
import type { PlacementPlan } from '../placement/placement-plan.ts';
import { BuildMemory } from './build-memory.ts';
import { FieldReader } from './field-reader.ts';
import { ABSENT, FIELD, type FieldRows } from './field-rows.ts';
import { fillIndex, indexKeys } from './id-index.ts';
import type { NodeRow } from './node-row.ts';
import { NodeRowFields } from './node-row-fields.ts';
import { PlainRows } from './plain-rows.ts';
import { type ArrangedRows, arrangeRows } from './row-arrangement.ts';
import { finishSnapshot, type SnapshotStamp } from './snapshot-finish.ts';
import { withoutDuplicates } from './staged-duplicates.ts';
import {
  CRITERION_SHIFT,
  NAMED_FLAG,
  POOL_MASK,
  POOL_SHIFT,
  STAGED,
  type StagedRows,
  WIDE_FLAG,
} from './staged-rows.ts';

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

/** Criteria that are counted by name: a replaced query may yield any text. The rest is counted together. */
const CRITERIA_MAX = 64;
const CRITERION_OTHER = CRITERIA_MAX + 1;
const OTHER_CRITERIA = 'other';
/** The filter that lets all rows pass. */
const NO_FILTER = 1;

export class SnapshotBuilder {
  readonly views: SnapshotViews;
  readonly #plan: PlacementPlan;
  readonly #seed: number;
  readonly #keys: Int32Array;
  readonly #plain: PlainRows;
  readonly #reader: FieldReader;
  readonly #objects: NodeRowFields;
  readonly #dictionaries: readonly ByteDictionary[];
  /** Text of each code of each attribute; none for code 0. Only what filters are asked about is filled. */
  readonly #values: (string | undefined)[][];
  readonly #rowValues: (string | undefined)[] = [];
  readonly #refused = new Map<string, number>();
  readonly #criteria: ByteDictionary;
  /** Rows of each criterion, and of each pool. */
  readonly #criterionCounts = new Uint32Array(CRITERION_OTHER + 1);
  readonly #poolCounts = new Uint32Array(POOL_MASK + 1);
  readonly #memory: BuildMemory;
  readonly #filtered: boolean;
  #staged: StagedRows;
  #arrived = 0;

  /** `memory`: made for the capacity of the slot, and used by nobody else until the snapshot is validated. */
  constructor(views: SnapshotViews, options: BuildOptions, memory = memoryFor(views, options)) {
    const { plan, indexSeed } = options;
    this.views = views;
    this.#plan = plan;
    this.#seed = indexSeed;
    this.#keys = indexKeys(indexSeed);
    this.#plain = new PlainRows(options.prefixBits.ipv4);
    this.#reader = new FieldReader(options.prefixBits, options.allowRanges, indexSeed);
    this.#objects = new NodeRowFields(plan.attributes.length);
    this.#dictionaries = plan.attributes.map(() => new ByteDictionary(indexSeed, ATTRIBUTE_VALUES_MAX));
    this.#values = plan.attributes.map(() => [undefined]);
    this.#criteria = new ByteDictionary(indexSeed, CRITERIA_MAX);
    this.#filtered = plan.filters.length > 1;
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
    const ineligible: Record<string, number> = {};
    const add = (name: string, count: number) => {
      if (count > 0) ineligible[name] = (ineligible[name] ?? 0) + count;
    };
    this.#criteria.texts().forEach((name, i) => {
      add(name, this.#criterionCounts[i + 1]!);
    });
    add(OTHER_CRITERIA, this.#criterionCounts[CRITERION_OTHER]!);
    return { refused: Object.fromEntries(this.#refused), ineligible };
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
    assert(rows.attributes === this.#dictionaries.length, 'a row has the attributes that placements use');
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
        if (this.#dictionaries.length > 0) this.#stageCodes(rows, at, record);
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
    if (this.#dictionaries.length > 0) this.#stageCodes(rows, at, record);
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
      values: this.#dictionaries.map(dictionary => dictionary.texts()),
    });
  }

  #arrange(): ArrangedRows {
    return arrangeRows(this.#staged, this.views, this.#memory, this.#poolCounts, this.#keys);
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
  #judge({ bytes, places }: FieldRows, at: number): number {
    const reason = places[at + 2 * FIELD.ineligible]!;
    if (reason === ABSENT) {
      // Absent is not vetted: what is not known never leads into the pool that is trusted.
      const vetted = bytes[places[at + 2 * FIELD.vetted]!] ?? 0;
      const pool = vetted === 0 ? POOL_NEW : POOL_VETTED;
      this.#poolCounts[pool]!++;
      return pool << POOL_SHIFT;
    }
    const code = this.#criteria.codeOf(bytes, reason, places[at + 2 * FIELD.ineligible + 1]!);
    const criterion = code === FULL ? CRITERION_OTHER : code;
    this.#poolCounts[POOL_INELIGIBLE]!++;
    this.#criterionCounts[criterion]!++;
    return (POOL_INELIGIBLE << POOL_SHIFT) | (criterion << CRITERION_SHIFT);
  }

  #stageCodes({ bytes, places }: FieldRows, at: number, record: number): void {
    const { codes, words } = this.#staged;
    const first = 2 * (record + STAGED.ATTRIBUTES);
    for (let i = 0; i < this.#dictionaries.length; i++) {
      const place = at + 2 * (FIELD.attributes + i);
      const from = places[place]!;
      codes[first + i] = from === ABSENT ? 0 : this.#code(i, bytes, from, places[place + 1]!);
    }
    words[record + STAGED.PASSES] = this.#filtered ? this.#passingFilters(first) : NO_FILTER;
  }

  #code(attribute: number, bytes: Uint8Array, from: number, to: number): number {
    const dictionary = this.#dictionaries[attribute]!;
    const code = dictionary.codeOf(bytes, from, to);
    if (code !== FULL) return code;
    const name = this.#plan.attributes[attribute];
    throw new CacheError(
      'CAPACITY_EXCEEDED',
      `attribute "${name}" has more than ${ATTRIBUTE_VALUES_MAX} values`,
    );
  }

  /** Bit f set where filter f lets the row pass whose codes begin at `first`. */
  #passingFilters(first: number): number {
    const { codes } = this.#staged;
    const values = this.#rowValues;
    for (let i = 0; i < this.#dictionaries.length; i++) values[i] = this.#value(i, codes[first + i]!);
    const { filters } = this.#plan;
    let bits = NO_FILTER;
    for (let i = 1; i < filters.length; i++) if (filters[i]!(values)) bits |= 1 << i;
    return bits;
  }

  #value(attribute: number, code: number): string | undefined {
    const known = this.#values[attribute]!;
    // Codes come up one after the other.
    if (code === known.length) known.push(this.#dictionaries[attribute]!.text(code));
    return known[code];
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
      const pool = (flags >>> POOL_SHIFT) & POOL_MASK;
      this.#poolCounts[pool]!--;
      if (pool === POOL_INELIGIBLE) this.#criterionCounts[flags >>> CRITERION_SHIFT]!--;
      this.#refuse('id-duplicate');
    });
  }
}

function memoryFor({ layout }: SnapshotViews, { plan }: BuildOptions): BuildMemory {
  return new BuildMemory(layout.extents.rows, plan);
}
