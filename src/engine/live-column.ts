/**
 * The live column: what changes in a slot while it is current. The loader takes nodes out of the generation
 * that is being served, at once and without a new one, and says that it is still what the source has. The
 * only file that touches `Atomics` on the words of a slot (I3).
 *
 * **Protocol.** The loader writes revoked rows behind the end of their list and then stores their new number,
 * by one atomic store; readers load the number and look at no row beyond it. The list only grows while the
 * slot is current or leased; a slot that is written anew begins with none.
 *
 * **Orderings.** The store of the number puts the rows before every load that sees it; rows below the number
 * never change. So no plain access races, in a slot that is otherwise never written (I4). A selection takes
 * the number once, at its start: one that begins after the store leaves the rows out.
 */
import { LIVE_WORD, REVOKED_ROWS_MAX } from '../../native-layout/snapshot-layout.ts';
import type { SnapshotViews } from '../../native-layout/snapshot-views.ts';
import { assert } from './assert.ts';

/** What the word of the confirmation counts by. */
const UNIT_MS = 16;
/** What 32 bits of them count to: about two years. */
const TURN_MS = 2 ** 32 * UNIT_MS;
/** A confirmation may be so much earlier than the read that it corrects, and no more: half a year. */
export const CORRECTION_MS_MAX = TURN_MS / 4;

/** For a slot that is being written. A file has none. */
export function clearLive({ live }: SnapshotViews): void {
  if (live.length === 0) return;
  // Nobody sees the slot: the publish orders these before every reader.
  live[LIVE_WORD.REVOKED_COUNT] = 0;
  live[LIVE_WORD.CONFIRMED_AT] = 0;
}

/** Rows that are revoked now. */
export function revokedCount({ live }: SnapshotViews): number {
  if (live.length === 0) return 0;
  // Puts the rows that the loader wrote before it ahead of our reads of them.
  return Atomics.load(live, LIVE_WORD.REVOKED_COUNT);
}

/** The rows, `revokedCount` of them: a view of the slot. */
export function revokedRows(views: SnapshotViews): Uint32Array {
  return views.live.subarray(LIVE_WORD.REVOKED_ROWS, LIVE_WORD.REVOKED_ROWS + revokedCount(views));
}

/** Takes `rows`, which are not revoked yet, out of all selections that begin from now on. The loader only. */
export function revokeRows(views: SnapshotViews, rows: readonly number[]): void {
  const { live } = views;
  const count = revokedCount(views);
  assert(count + rows.length <= REVOKED_ROWS_MAX, () => `${count} + ${rows.length} rows are revoked`);
  live.set(rows, LIVE_WORD.REVOKED_ROWS + count);
  // The one store: everything written before it is seen by whoever sees it.
  Atomics.store(live, LIVE_WORD.REVOKED_COUNT, count + rows.length);
}

/**
 * The content was still that of the source at `atMs`, milliseconds on the machine's monotonic clock, and it
 * is not known to be younger: from now on its age counts from there. Later than the read says, because the
 * source has been asked since; or earlier, by at most CORRECTION_MS_MAX, because the time of the read was
 * reckoned from clocks that were wrong. The loader only.
 */
export function confirmContent({ live }: SnapshotViews, atMs: number): void {
  // Rounded down: an age is never below the true one. 0 means none, so it is taken for the one before.
  const units = Math.floor(atMs / UNIT_MS) % 2 ** 32;
  const word = (units < 0 ? units + 2 ** 32 : units) || 2 ** 32 - 1;
  // One word by itself: it is said of this slot alone, whatever generation that is.
  Atomics.store(live, LIVE_WORD.CONFIRMED_AT, word);
}

/** The age of the content: since it was confirmed; else `readAgeMs`, since it was read. `nowMs` as above. */
export function contentAgeMs({ live }: SnapshotViews, nowMs: number, readAgeMs: number): number {
  if (live.length === 0) return readAgeMs;
  // One word by itself.
  const word = Atomics.load(live, LIVE_WORD.CONFIRMED_AT);
  if (word === 0) return readAgeMs;
  const turned = (nowMs - word * UNIT_MS) % TURN_MS;
  const sinceMs = turned < 0 ? turned + TURN_MS : turned;
  // Beyond this the word may have turned over since: it could be read as younger than it is.
  return readAgeMs < TURN_MS - CORRECTION_MS_MAX ? sinceMs : Math.max(sinceMs, readAgeMs) + CORRECTION_MS_MAX;
}
