// @hotpath
/**
 * From staged rows to the rows of the slot, sorted by (pool, network). Some buckets at a time: number their
 * networks, count the rows of each pool by pool, and write each row to its place. Networks are numbered in
 * the order in which they are met, so those of a run of buckets follow each other, and so do its rows in a
 * pool.
 */
import { NETWORK_KEY_WORDS } from '../../../native-layout/network-key.ts';
import { POOL_INELIGIBLE, POOL_NEW, POOL_VETTED } from '../../../native-layout/node-record.ts';
import {
  ADDRESS_BYTES,
  ROW_LONGS,
  ROW_NETWORK_WORD,
  ROW_WORDS,
} from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import type { NetworkKeys } from '../address/network-keys.ts';
import { RowWriter, writeWideAddress } from '../address/row-writer.ts';
import type { BuildMemory } from './build-memory.ts';
import { hashRows } from './id-index.ts';
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
  /** What network numbers are below, and how many of them have rows. */
  readonly networkCount: number;
  readonly networksUsed: number;
  readonly wideCount: number;
  readonly networks: Uint32Array;
  readonly idHashes: Uint32Array;
  /** Bit f set where filter f lets the row pass. */
  readonly passes: Uint32Array;
}

const POOLS = POOL_INELIGIBLE + 1;
const NETWORK_FACTOR = 0x9e3779b1;
/** Rows worked on at once at the least, where there are so many: they fit into the second-level cache. */
const RUN_ROWS = 2048;
/** Entries that the table of networks has for each of those rows, at least. */
const TABLE_RATIO = 2;

/** What is known of staged rows beside their records. */
export interface StagedSummary {
  /** Rows of each pool. */
  readonly poolCounts: Uint32Array;
  /** Knows the sixteen bytes of each network that a row names. */
  readonly networkKeys: NetworkKeys;
  /** Keys of the id index's hash. */
  readonly hashKeys: Int32Array;
}

/** What is returned stands in `memory`. */
export function arrangeRows(
  staged: StagedRows,
  views: SnapshotViews,
  memory: BuildMemory,
  summary: StagedSummary,
): ArrangedRows {
  const arranger = new RowArranger(staged, views, memory, summary);
  for (let bucket = 0; bucket < BUCKETS; bucket++) arranger.take(bucket);
  arranger.arrange();
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
  readonly #networkKeys: NetworkKeys;
  readonly #hashKeys: Int32Array;
  #networkCount = 0;
  #wideCount = 0;

  /** Of the rows at hand: first words of their records, and the group (a network) of each. */
  #count = 0;
  readonly #records: Uint32Array;
  readonly #groupOf: Uint32Array;
  /** A hash table of groups, number plus one; and key and name mark of each group. */
  readonly #table: Uint32Array;
  readonly #keys: Uint32Array;
  readonly #named: Uint32Array;
  /** Rows of a group in a pool, then the place of the next one: POOLS words a group. */
  readonly #places: Uint32Array;

  constructor(
    staged: StagedRows,
    views: SnapshotViews,
    memory: BuildMemory,
    { poolCounts, networkKeys, hashKeys }: StagedSummary,
  ) {
    const rowsMax = RUN_ROWS + staged.bucketMax();
    this.#staged = staged;
    this.#views = views;
    this.#poolCounts = poolCounts;
    this.#writer = new RowWriter(views);
    this.#memory = memory;
    this.#networkKeys = networkKeys;
    this.#hashKeys = hashKeys;
    this.#poolEnds[POOL_NEW] = poolCounts[POOL_VETTED]!;
    this.#poolEnds[POOL_INELIGIBLE] = poolCounts[POOL_VETTED]! + poolCounts[POOL_NEW]!;
    this.#records = new Uint32Array(rowsMax);
    this.#groupOf = new Uint32Array(rowsMax);
    this.#keys = new Uint32Array(rowsMax);
    this.#named = new Uint32Array(rowsMax);
    this.#places = new Uint32Array(POOLS * rowsMax);
    this.#table = new Uint32Array(tableEntries(rowsMax));
  }

  rows(): ArrangedRows {
    return {
      count: this.#staged.count,
      vettedCount: this.#poolCounts[POOL_VETTED]!,
      newCount: this.#poolCounts[POOL_NEW]!,
      networkCount: this.#networkCount,
      networksUsed: this.#networkCount,
      wideCount: this.#wideCount,
      networks: this.#memory.networks,
      idHashes: this.#memory.idHashes,
      passes: this.#memory.passes,
    };
  }

  /** Takes the rows of a bucket, and arranges what has been taken when that is enough. */
  take(bucket: number): void {
    this.#count = this.#staged.recordsOf(bucket, this.#records, this.#count);
    if (this.#count >= RUN_ROWS) this.arrange();
  }

  /** Arranges the rows that have been taken. */
  arrange(): void {
    const count = this.#count;
    this.#count = 0;
    const groups = this.#group(count);
    const starts = this.#poolEnds.slice();
    this.#place(groups);
    this.#write(count);
    this.#writeKeys(groups);
    this.#hash(starts);
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
    const { networks, passes } = this.#memory;
    const filtered = passes.length > 0;
    const records = this.#records;
    const groupOf = this.#groupOf;
    const places = this.#places;
    const firstNetwork = this.#networkCount;
    for (let i = 0; i < count; i++) {
      const at = records[i]!;
      const group = groupOf[i]!;
      const flags = words[at + STAGED.FLAGS]!;
      const row = places[POOLS * group + ((flags >>> POOL_SHIFT) & POOL_MASK)]!++;
      const long = row * ROW_LONGS;
      const id = at >>> 1;
      rowLongs[long] = longs[id]!;
      rowLongs[long + 1] = longs[id + 1]!;
      rowLongs[long + 2] = longs[id + 2]!;
      rowLongs[long + 3] = longs[id + 3]!;
      if ((flags & WIDE_FLAG) === 0) writer.writeIpv4(row, words[at + STAGED.ADDRESS]!, flags & PORT_MASK);
      else this.#writeWide(row, words[at + STAGED.ADDRESS]!, flags & PORT_MASK);
      const network = firstNetwork + group;
      rowWords[row * ROW_WORDS + ROW_NETWORK_WORD] = network;
      networks[row] = network;
      if (filtered) passes[row] = words[at + STAGED.PASSES]!;
      for (let attribute = 0; attribute < attributeCodes.length; attribute++) {
        attributeCodes[attribute]![row] = codes[2 * (at + STAGED.ATTRIBUTES) + attribute]!;
      }
    }
  }

  /** Says which networks the groups are. */
  #writeKeys(groups: number): void {
    const { networkKeyWords } = this.#views;
    for (let group = 0; group < groups; group++) {
      const at = NETWORK_KEY_WORDS * (this.#networkCount + group);
      this.#networkKeys.writeKey(this.#keys[group]!, this.#named[group] !== 0, networkKeyWords, at);
    }
  }

  /** Hashes the ids of rows just written, which begin at `starts` in each pool. */
  #hash(starts: Uint32Array): void {
    const { idHashes } = this.#memory;
    for (let pool = POOL_VETTED; pool <= POOL_INELIGIBLE; pool++) {
      hashRows(this.#views.rowWords, starts[pool]!, this.#poolEnds[pool]!, this.#hashKeys, idHashes);
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
