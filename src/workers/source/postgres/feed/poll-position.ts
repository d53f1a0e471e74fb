/**
 * How far the polling of a time column has come, and which rows are new to it. Times are those of the rows;
 * no clock is read here. A transaction that commits late, a row with a time in the future, and a clock that
 * was set back cost time at the most: what is missed all the same, the next full load finds.
 */
import type { PollBound } from '../../sql/updated-nodes.ts';

export interface UpdatedRow {
  readonly id: string;
  readonly micros: string;
  readonly out: boolean;
}

export interface PollLimits {
  readonly overlapMicros: number;
  /** Rows of one poll; more are everything. */
  readonly rowsMax: number;
}

export class PollPosition {
  readonly #limits: PollLimits;
  /** The newest time seen that was not in the future then. */
  #newest: number;
  /** After too many rows at once: they are not looked at again. */
  #floor: number | undefined;
  /** Id → time, of the rows that the last poll found. */
  #seen = new Map<string, string>();

  /** `newestMicros`: of the rows that are there already, if there are any. */
  constructor(limits: PollLimits, newestMicros: number | undefined, nowMicros: number) {
    this.#limits = limits;
    this.#newest = Math.min(newestMicros ?? nowMicros, nowMicros);
  }

  bound(): PollBound {
    const from = this.#newest - this.#limits.overlapMicros;
    return this.#floor !== undefined && this.#floor >= from
      ? { fromMicros: this.#floor, exclusive: true }
      : { fromMicros: from, exclusive: false };
  }

  /** Takes what a poll from `bound()` found; returns the rows that are new, or undefined: too many to say. */
  take(rows: readonly UpdatedRow[], nowMicros: number): UpdatedRow[] | undefined {
    // A clock that was set back: what is written now is older than what was seen.
    this.#newest = Math.min(this.#newest, nowMicros);
    if (this.#floor !== undefined && this.#floor > nowMicros) this.#floor = undefined;
    if (rows.length > this.#limits.rowsMax) {
      this.#newest = nowMicros;
      this.#floor = nowMicros;
      this.#seen.clear();
      return undefined;
    }
    const fresh = rows.filter(({ id, micros }) => this.#seen.get(id) !== micros);
    this.#seen = new Map(rows.map(({ id, micros }) => [id, micros]));
    for (const { micros } of rows) {
      const time = Number(micros);
      if (time > this.#newest && time <= nowMicros) this.#newest = time;
    }
    return fresh;
  }
}
