/**
 * Numbers of wide addresses in the next snapshot: a row keeps its number, and one that nobody has any more is
 * given to the next row that needs one. What changes belongs to one delta, until its snapshot is current
 * (`accept`) or given up (`begin`).
 */
import { ROW_ADDRESS_WORD, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import { CacheError } from '../errors.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';
import { isWideRow } from './wide-row.ts';

export class WideNumbers {
  #count = 0;
  /** Numbers below `#count` that no row has. */
  #free: number[] = [];
  #nextCount = 0;
  #nextFree: number[] = [];

  /** Numbers in the next snapshot. */
  get count(): number {
    return this.#nextCount;
  }

  /** Those that no row has. */
  get freeNumbers(): readonly number[] {
    return this.#nextFree;
  }

  /**
   * Takes the rows of `snapshot`, of `wideCount` wide addresses. Throws SNAPSHOT_CORRUPT when two share one.
   */
  takeRows({ views: { rowWords }, rowCount }: Snapshot, wideCount: number): void {
    this.#count = wideCount;
    this.#free = [];
    if (wideCount === 0) return;
    const used = new Uint8Array(wideCount);
    for (let row = 0; row < rowCount; row++) {
      if (!isWideRow(rowWords, row)) continue;
      const number = rowWords[row * ROW_WORDS + ROW_ADDRESS_WORD]!;
      if (used[number] !== 0) {
        throw new CacheError('SNAPSHOT_CORRUPT', `row ${row} has wide address ${number} of another row`);
      }
      used[number] = 1;
    }
    // The lowest is taken first.
    for (let number = wideCount - 1; number >= 0; number--) if (used[number] === 0) this.#free.push(number);
  }

  begin(): void {
    this.#nextCount = this.#count;
    this.#nextFree = [...this.#free];
  }

  accept(): void {
    this.#count = this.#nextCount;
    this.#free = this.#nextFree;
  }

  /** The row that had `number` goes, or has an IPv4 address now. */
  free(number: number): void {
    this.#nextFree.push(number);
  }

  /** A number for a row that had none. */
  take(): number {
    return this.#nextFree.pop() ?? this.#nextCount++;
  }
}
