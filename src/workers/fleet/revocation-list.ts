/**
 * With a snapshot the leader writes all revocations that it knows of, directly before the record that
 * announces it: from them a replica that has missed the end of one learns that it is over. Loader thread.
 */
import { type FleetRecord, idText } from './wire/records.ts';

export class RevocationList {
  /** Nodes that are out by revocations that came one behind the other; undefined: some may be missing. */
  #out: Set<string> | undefined;

  /** Records are missing before the one that comes next. */
  interrupted(): void {
    this.#out = undefined;
  }

  /** No list has begun before the record that comes next. */
  begins(): void {
    this.#out = new Set();
  }

  /**
   * The next record of the log. Returns what is out, by `idText`, where that is the whole list of a snapshot,
   * or more than that.
   */
  read(record: FleetRecord): ReadonlySet<string> | undefined {
    const out = this.#out;
    if (record.kind !== 'revoke' || record.outSinceMs !== undefined) {
      this.#out = new Set();
      return record.kind === 'snapshot' ? out : undefined;
    }
    for (const { id, holdMs } of record.revocations) {
      if (holdMs === 0) out?.delete(idText(id));
      else out?.add(idText(id));
    }
    return undefined;
  }
}
