// @hotpath
/**
 * From staged rows to the rows of the slot, sorted by (pool, network). A bucket at a time: number its
 * networks, count their rows pool by pool, and write each row to its place. Networks are numbered in the
 * order in which they are met, so those of a bucket follow each other, and so do its rows within a pool.
 */
import { POOL_INELIGIBLE, POOL_NEW, POOL_VETTED } from '../../../native-layout/node-record.ts';
import {
  ADDRESS_BYTES,
  ROW_LONGS,
  ROW_NETWORK_WORD,
  ROW_WORDS,
} from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { RowWriter, writeWideAddress } from '../address/row-writer.ts';
import type { BuildMemory } from './build-memory.ts';
import {
  BUCKETS,
  NAMED_FLAG,
  POOL_MASK,
  POOL_SHIFT,
  PORT_MASK,
  STAGED,
  type StagedRows,
  WIDE_FLAG,
} from './staged-rows.ts';

/** What is known of the rows of the slot beside their bytes; index = row. */
export interface ArrangedRows {
  readonly count: number;
  readonly vettedCount: number;
  readonly newCount: number;
  readonly networkCount: number;
  readonly wideCount: number;
  readonly networks: Uint32Array;
  readonly idHashes: Uint32Array;
  /** Bit f set where filter f lets the row pass. */
  readonly passes: Uint32Array;
}

const POOLS = POOL_INELIGIBLE + 1;
const NETWORK_FACTOR = 0x9e3779b1;
/** Entries that a bucket's table of networks has for each of its rows, at least. */
const TABLE_RATIO = 2;

/** `poolCounts`: rows of each pool. What is returned stands in `memory`. */
export function arrangeRows(
  staged: StagedRows,
  views: SnapshotViews,
  memory: BuildMemory,
  poolCounts: Uint32Array,
): ArrangedRows {
  const arranger = new RowArranger(staged, views, memory, poolCounts);
  for (let bucket = 0; bucket < BUCKETS; bucket++) arranger.arrange(bucket);
  return arranger.rows();
}

class RowArranger {
  readonly #staged: StagedRows;
  readonly #views: SnapshotViews;
  readonly #poolCounts: Uint32Array;
  readonly #writer: RowWriter;
  readonly #memory: BuildMemory;
  /** Where the next row of each pool goes. */
  readonly #poolEnds = new Uint32Array(POOLS);
  #networkCount = 0;
  #wideCount = 0;

  /** Of the bucket at hand: first words of its records, and the group (a network) of each. */
  readonly #records: Uint32Array;
  readonly #groupOf: Uint32Array;
  /** A hash table of groups, number plus one; and key and name mark of each group. */
  readonly #table: Uint32Array;
  readonly #keys: Uint32Array;
  readonly #named: Uint32Array;
  /** Rows of a group in a pool, then the place of the next one: POOLS words a group. */
  readonly #places: Uint32Array;

  constructor(staged: StagedRows, views: SnapshotViews, memory: BuildMemory, poolCounts: Uint32Array) {
    const bucketMax = staged.bucketMax();
    this.#staged = staged;
    this.#views = views;
    this.#poolCounts = poolCounts;
    this.#writer = new RowWriter(views);
    this.#memory = memory;
    this.#poolEnds[POOL_NEW] = poolCounts[POOL_VETTED]!;
    this.#poolEnds[POOL_INELIGIBLE] = poolCounts[POOL_VETTED]! + poolCounts[POOL_NEW]!;
    this.#records = new Uint32Array(bucketMax);
    this.#groupOf = new Uint32Array(bucketMax);
    this.#keys = new Uint32Array(bucketMax);
    this.#named = new Uint32Array(bucketMax);
    this.#places = new Uint32Array(POOLS * bucketMax);
    this.#table = new Uint32Array(tableEntries(bucketMax));
  }

  rows(): ArrangedRows {
    return {
      count: this.#staged.count,
      vettedCount: this.#poolCounts[POOL_VETTED]!,
      newCount: this.#poolCounts[POOL_NEW]!,
      networkCount: this.#networkCount,
      wideCount: this.#wideCount,
      networks: this.#memory.networks,
      idHashes: this.#memory.idHashes,
      passes: this.#memory.passes,
    };
  }

  arrange(bucket: number): void {
    const count = this.#staged.recordsOf(bucket, this.#records);
    const groups = this.#group(count);
    this.#place(groups);
    this.#write(count);
    this.#networkCount += groups;
  }

  /** Finds the group of each record, and counts; returns the number of groups. */
  #group(count: number): number {
    const { words } = this.#staged;
    const records = this.#records;
    const groupOf = this.#groupOf;
    const table = this.#table;
    const keys = this.#keys;
    const named = this.#named;
    const places = this.#places;
    const entries = tableEntries(count);
    const shift = Math.clz32(entries) + 1;
    const mask = entries - 1;
    table.fill(0, 0, entries);
    let groups = 0;
    for (let i = 0; i < count; i++) {
      const at = records[i]!;
      const key = words[at + STAGED.NETWORK]!;
      const flags = words[at + STAGED.FLAGS]!;
      const name = flags & NAMED_FLAG;
      // The bucket took the highest bits of this product: its lowest ones are the same for many.
      let entry = Math.imul(Math.imul(key, NETWORK_FACTOR) ^ name, NETWORK_FACTOR) >>> shift;
      let group = 0;
      for (;;) {
        group = table[entry]!;
        if (group === 0) {
          group = ++groups;
          table[entry] = group;
          keys[group - 1] = key;
          named[group - 1] = name;
          places[POOLS * (group - 1) + POOL_VETTED] = 0;
          places[POOLS * (group - 1) + POOL_NEW] = 0;
          places[POOLS * (group - 1) + POOL_INELIGIBLE] = 0;
          break;
        }
        if (keys[group - 1] === key && named[group - 1] === name) break;
        entry = (entry + 1) & mask;
      }
      groupOf[i] = group - 1;
      places[POOLS * (group - 1) + ((flags >>> POOL_SHIFT) & POOL_MASK)]!++;
    }
    return groups;
  }

  /** Gives each group its rows in each pool: turns counts into places. */
  #place(groups: number): void {
    const places = this.#places;
    for (let pool = POOL_VETTED; pool <= POOL_INELIGIBLE; pool++) {
      let end = this.#poolEnds[pool]!;
      for (let at = pool; at < POOLS * groups; at += POOLS) {
        const count = places[at]!;
        places[at] = end;
        end += count;
      }
      this.#poolEnds[pool] = end;
    }
  }

  #write(count: number): void {
    const { words, codes, longs } = this.#staged;
    const { rowLongs, rowWords, attributeCodes } = this.#views;
    const writer = this.#writer;
    const { networks, idHashes, passes } = this.#memory;
    const filtered = passes.length > 0;
    for (let i = 0; i < count; i++) {
      const at = this.#records[i]!;
      const group = this.#groupOf[i]!;
      const flags = words[at + STAGED.FLAGS]!;
      const row = this.#places[POOLS * group + ((flags >>> POOL_SHIFT) & POOL_MASK)]!++;
      const long = row * ROW_LONGS;
      const id = at / 2;
      rowLongs[long] = longs[id]!;
      rowLongs[long + 1] = longs[id + 1]!;
      rowLongs[long + 2] = longs[id + 2]!;
      rowLongs[long + 3] = longs[id + 3]!;
      if ((flags & WIDE_FLAG) === 0) writer.writeIpv4(row, words[at + STAGED.ADDRESS]!, flags & PORT_MASK);
      else this.#writeWide(row, words[at + STAGED.ADDRESS]!, flags & PORT_MASK);
      const network = this.#networkCount + group;
      rowWords[row * ROW_WORDS + ROW_NETWORK_WORD] = network;
      networks[row] = network;
      idHashes[row] = words[at + STAGED.ID_HASH]!;
      if (filtered) passes[row] = words[at + STAGED.PASSES]!;
      for (let attribute = 0; attribute < attributeCodes.length; attribute++) {
        attributeCodes[attribute]![row] = codes[2 * (at + STAGED.ATTRIBUTES) + attribute]!;
      }
    }
  }

  #writeWide(row: number, staged: number, port: number): void {
    const number = this.#wideCount++;
    const { wideAddresses } = this.#staged;
    writeWideAddress(this.#views.wideAddressBytes, number, wideAddresses, staged * ADDRESS_BYTES);
    this.#writer.writeWide(row, number, port);
  }
}

function tableEntries(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, TABLE_RATIO * count)));
}
