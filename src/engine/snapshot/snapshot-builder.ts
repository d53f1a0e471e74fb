/**
 * Builds a snapshot in an unpublished slot: append rows as they come, then finish. Rows are written to the
 * slot in the order of their arrival and sorted in place at the end, so that a load never holds them twice;
 * one column at a time is copied aside. Runs on the loader thread; nobody else may look at the slot meanwhile
 * (I3, I4).
 */
import { POOL_INELIGIBLE, POOL_NEW, POOL_VETTED } from '../../../native-layout/node-record.ts';
import { ATTRIBUTE_VALUES_MAX, indexEntriesFor } from '../../../native-layout/snapshot-header.ts';
import { ID_WORDS, ROW_NETWORK_WORD, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { isIpv4, parseAddress } from '../address/address.ts';
import { NetworkTable, type PrefixBits } from '../address/network-table.ts';
import { writeIpv4Row, writeWideAddress, writeWideRow } from '../address/row-writer.ts';
import { specialUseTest } from '../address/special-use.ts';
import { CacheError } from '../errors.ts';
import type { PlacementPlan } from '../placement/placement-plan.ts';
import { findRow, indexKeys, insertRow, NO_ROW } from './id-index.ts';
import { bytesOf, parseNodeId } from './node-id.ts';
import type { NodeRow } from './node-row.ts';
import { finishSnapshot, type SnapshotStamp } from './snapshot-finish.ts';

export interface BuildOptions {
  readonly plan: PlacementPlan;
  readonly prefixBits: PrefixBits;
  readonly allowRanges: readonly string[];
  /** Key of the id index's hash: 32 unpredictable bits, drawn for each load. */
  readonly indexSeed: number;
}

/** What was left out and what was kept aside, by name. */
export interface BuildCounts {
  readonly refused: Readonly<Record<string, number>>;
  readonly ineligible: Readonly<Record<string, number>>;
}

const GROWTH_FIRST_ROWS = 4096;
/** Criteria that are counted by name: a replaced query may yield any text. The rest is counted together. */
const CRITERIA_MAX = 64;
const OTHER_CRITERIA = 'other';

export class SnapshotBuilder {
  readonly views: SnapshotViews;
  readonly #plan: PlacementPlan;
  readonly #networks: NetworkTable;
  readonly #specialUse: (address: Uint8Array) => string | undefined;
  readonly #seed: number;
  readonly #keys: Int32Array;
  readonly #id = new Uint32Array(ID_WORDS);
  readonly #idBytes = bytesOf(this.#id);
  readonly #dictionaries: Map<string, number>[];
  readonly #refused = new Map<string, number>();
  readonly #ineligible = new Map<string, number>();
  readonly #address = new Uint8Array(16);
  #indexEntries = indexEntriesFor(0);
  #rows = 0;
  #wideAddresses = 0;
  /** Pool of each row, and bit f set where filter f lets the row pass: needed until the rows are sorted. */
  #pools = new Uint8Array(GROWTH_FIRST_ROWS);
  #passes = new Uint32Array(GROWTH_FIRST_ROWS);

  constructor(views: SnapshotViews, options: BuildOptions) {
    this.views = views;
    this.#plan = options.plan;
    this.#networks = new NetworkTable(options.prefixBits);
    this.#specialUse = specialUseTest(options.allowRanges);
    this.#seed = options.indexSeed;
    this.#keys = indexKeys(options.indexSeed);
    this.#dictionaries = options.plan.attributes.map(() => new Map());
    views.idIndex.fill(0, 0, this.#indexEntries);
  }

  get rowCount(): number {
    return this.#rows;
  }

  get refusedCount(): number {
    let sum = 0;
    for (const count of this.#refused.values()) sum += count;
    return sum;
  }

  counts(): BuildCounts {
    return { refused: Object.fromEntries(this.#refused), ineligible: Object.fromEntries(this.#ineligible) };
  }

  /**
   * Appends a row. A row that cannot be used is counted under its reason (`id-invalid`, `address-invalid`,
   * `special-use:<range>`, `port-invalid`, `id-duplicate`) and left out. Throws CAPACITY_EXCEEDED when the
   * slot or a dictionary is full.
   */
  append(row: NodeRow): void {
    const refusal = this.#refusal(row);
    if (refusal !== undefined) {
      this.#refused.set(refusal, (this.#refused.get(refusal) ?? 0) + 1);
      return;
    }
    const at = this.#rows;
    this.#writeAddress(at, row.port);
    this.views.rowWords[at * ROW_WORDS + ROW_NETWORK_WORD] = row.network
      ? this.#networks.ofName(row.network)
      : this.#networks.ofAddress(this.#address);
    this.#writeAttributes(at, row);
    this.#pools[at] = row.ineligible !== undefined ? POOL_INELIGIBLE : row.vetted ? POOL_VETTED : POOL_NEW;
    this.#passes[at] = this.#passingFilters(row);
    if (row.ineligible !== undefined) this.#countIneligible(row.ineligible);
    this.#rows = at + 1;
  }

  /** Sorts, groups and stamps the snapshot. The builder is used up. */
  finish(stamp: SnapshotStamp): void {
    finishSnapshot(this.views, this.#plan, stamp, {
      rows: this.#rows,
      wideAddresses: this.#wideAddresses,
      networks: this.#networks.count,
      indexEntries: this.#indexEntries,
      indexSeed: this.#seed,
      pools: this.#pools,
      passes: this.#passes,
      dictionaries: this.#dictionaries,
    });
  }

  /** Writes the row's id and enters it into the index as a side effect of finding no reason to refuse it. */
  #refusal(row: NodeRow): string | undefined {
    const at = this.#rows;
    const { rowWords, idIndex, layout } = this.views;
    if (!parseAddress(row.ip, this.#address)) return 'address-invalid';
    const range = this.#specialUse(this.#address);
    if (range !== undefined) return `special-use:${range}`;
    if (!Number.isInteger(row.port) || row.port < 1 || row.port > 65_535) return 'port-invalid';
    // Not in the slot yet: it may be full, and then only a row that would be added is one too many.
    if (!parseNodeId(row.id, this.#idBytes, 0)) return 'id-invalid';
    const id = this.#id;
    if (findRow(idIndex, this.#indexEntries, this.#keys, rowWords, id, 0) !== NO_ROW) return 'id-duplicate';
    if (at === layout.extents.rows) {
      throw new CacheError(
        'CAPACITY_EXCEEDED',
        `the source has more nodes than the configured capacity of ${layout.extents.rows} (capacity.nodes)`,
        { field: 'capacity.nodes' },
      );
    }
    rowWords.set(id, at * ROW_WORDS);
    this.#growFor(at);
    insertRow(idIndex, this.#indexEntries, this.#keys, rowWords, at);
    return undefined;
  }

  #countIneligible(criterion: string): void {
    const counts = this.#ineligible;
    const name = counts.has(criterion) || counts.size < CRITERIA_MAX ? criterion : OTHER_CRITERIA;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }

  #writeAddress(at: number, port: number): void {
    const { rowBytes, wideAddressBytes } = this.views;
    if (isIpv4(this.#address)) {
      writeIpv4Row(rowBytes, at, this.#address, port);
      return;
    }
    writeWideAddress(wideAddressBytes, this.#wideAddresses, this.#address);
    writeWideRow(rowBytes, at, this.#wideAddresses, port);
    this.#wideAddresses++;
  }

  #writeAttributes(at: number, row: NodeRow): void {
    for (let i = 0; i < this.#dictionaries.length; i++) {
      const value = row.attributes[i];
      this.views.attributeCodes[i]![at] = value === undefined ? 0 : this.#code(i, value);
    }
  }

  #code(attribute: number, value: string): number {
    const dictionary = this.#dictionaries[attribute]!;
    const known = dictionary.get(value);
    if (known !== undefined) return known;
    if (dictionary.size === ATTRIBUTE_VALUES_MAX) {
      const name = this.#plan.attributes[attribute];
      throw new CacheError(
        'CAPACITY_EXCEEDED',
        `attribute "${name}" has more than ${ATTRIBUTE_VALUES_MAX} values`,
      );
    }
    dictionary.set(value, dictionary.size + 1);
    return dictionary.size;
  }

  #passingFilters(row: NodeRow): number {
    const filters = this.#plan.filters;
    let bits = 1;
    for (let i = 1; i < filters.length; i++) if (filters[i]!(row)) bits |= 1 << i;
    return bits;
  }

  #growFor(at: number): void {
    if (at === this.#pools.length) {
      this.#pools = grown(this.#pools, Uint8Array);
      this.#passes = grown(this.#passes, Uint32Array);
    }
    const entries = indexEntriesFor(at + 1);
    if (entries === this.#indexEntries) return;
    const { idIndex, rowWords } = this.views;
    this.#indexEntries = entries;
    idIndex.fill(0, 0, entries);
    for (let row = 0; row < at; row++) insertRow(idIndex, entries, this.#keys, rowWords, row);
  }
}

function grown<A extends Uint8Array | Uint32Array>(array: A, Type: new (length: number) => A): A {
  const larger = new Type(array.length * 2);
  larger.set(array);
  return larger;
}
