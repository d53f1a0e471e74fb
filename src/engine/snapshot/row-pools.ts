// @hotpath
/**
 * Judges which pool a row belongs to, and counts rows by the criterion that keeps them out of selections.
 */
import { POOL_INELIGIBLE, POOL_NEW, POOL_VETTED } from '../../../native-layout/node-record.ts';
import { ByteDictionary, FULL } from '../byte-dictionary.ts';
import { ABSENT, FIELD, type FieldRows } from './field-rows.ts';
import { CRITERION_SHIFT, POOL_MASK, POOL_SHIFT } from './staged-rows.ts';

/** Criteria that are counted by name: a replaced query may yield any text. The rest is counted together. */
const CRITERIA_MAX = 64;
const CRITERION_OTHER = CRITERIA_MAX + 1;
const OTHER_CRITERIA = 'other';

export class RowPools {
  /** Rows of each pool that were counted. */
  readonly counts = new Uint32Array(POOL_MASK + 1);
  readonly #criteria: ByteDictionary;
  readonly #criterionCounts = new Uint32Array(CRITERION_OTHER + 1);

  constructor(seed: number) {
    this.#criteria = new ByteDictionary(seed, CRITERIA_MAX);
  }

  /** Pool and criterion of the row whose places begin at `at`, as flags of a staged row. */
  judge({ bytes, places }: FieldRows, at: number): number {
    const reason = places[at + 2 * FIELD.ineligible]!;
    if (reason === ABSENT) {
      // Absent is not vetted: what is not known never leads into the pool that is trusted.
      const vetted = bytes[places[at + 2 * FIELD.vetted]!] ?? 0;
      return (vetted === 0 ? POOL_NEW : POOL_VETTED) << POOL_SHIFT;
    }
    const code = this.#criteria.codeOf(bytes, reason, places[at + 2 * FIELD.ineligible + 1]!);
    const criterion = code === FULL ? CRITERION_OTHER : code;
    return (POOL_INELIGIBLE << POOL_SHIFT) | (criterion << CRITERION_SHIFT);
  }

  /** Counts a row of these flags. */
  count(flags: number): void {
    const pool = (flags >>> POOL_SHIFT) & POOL_MASK;
    this.counts[pool]!++;
    if (pool === POOL_INELIGIBLE) this.#criterionCounts[flags >>> CRITERION_SHIFT]!++;
  }

  /** Takes such a row out of the counts again. */
  uncount(flags: number): void {
    const pool = (flags >>> POOL_SHIFT) & POOL_MASK;
    this.counts[pool]!--;
    if (pool === POOL_INELIGIBLE) this.#criterionCounts[flags >>> CRITERION_SHIFT]!--;
  }

  /** Ineligible rows by criterion. */
  ineligible(): Record<string, number> {
    const ineligible: Record<string, number> = {};
    const add = (name: string, count: number) => {
      if (count > 0) ineligible[name] = (ineligible[name] ?? 0) + count;
    };
    this.#criteria.texts().forEach((name, i) => {
      add(name, this.#criterionCounts[i + 1]!);
    });
    add(OTHER_CRITERIA, this.#criterionCounts[CRITERION_OTHER]!);
    return ineligible;
  }
}
