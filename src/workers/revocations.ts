/**
 * The nodes that were revoked and are held out of selections until the source says otherwise, over any
 * number of generations. Loader thread. Each generation has the rows of its own in its slot
 * (`engine/live-column.ts`); here stands why, and until when.
 *
 * A revocation ends
 * - when the source was read after it and the node is not eligible there any more: it is fulfilled. One that
 *   came from the source itself ends with any read of the node since. That a node has changed is no answer to
 *   an operator: its address is the node's own to change;
 * - when its time is over, or somebody restores the node. Then the node comes back.
 * On replicas that follow, the leader's log says so.
 */
import { REVOKED_ROWS_MAX } from '../../native-layout/snapshot-layout.ts';
import { ID_BYTES, ID_WORDS, ROW_BYTES } from '../../native-layout/snapshot-row.ts';
import { CacheError } from '../engine/errors.ts';
import { revokedRows, revokeRows } from '../engine/live-column.ts';
import { invalidId } from '../engine/selection/selection-request.ts';
import type { NodeId } from '../engine/selection/selection-types.ts';
import { findRow, NO_ROW } from '../engine/snapshot/id-index.ts';
import { bytesOf, nodeIdText, parseNodeId } from '../engine/snapshot/node-id.ts';
import type { Snapshot } from '../engine/snapshot/snapshot.ts';

/**
 * Who took the node out: the source told of it itself, or somebody else did, who may know more. Of what a
 * loader before this one took out nobody knows: it is held as an operator's, and told to nobody.
 */
export type RevocationOrigin = 'source' | 'operator' | 'recovered';

/** How long a revocation is held that the source never confirms, unless it is said. */
export const HOLD_DEFAULT_MS = 3_600_000;
export const HOLD_MAX_MS = 30 * 24 * 3_600_000;

interface Held {
  /** Eight words. */
  readonly id: Uint32Array;
  readonly origin: RevocationOrigin;
  /** Monotonic milliseconds. */
  readonly sinceMs: number;
  readonly untilMs: number;
}

export interface RevokeOptions {
  readonly origin: RevocationOrigin;
  readonly holdMs: number;
  /** What is held for longer stays so: in a fleet, until the log says that it is not. */
  readonly keepsLonger?: boolean;
}

export interface RevokeResult {
  /** Nodes that are out of selections now and were not before. */
  readonly revoked: number;
  /** Nodes that are not in the current generation, or not eligible there; held out should they come. */
  readonly notEligible: number;
  /** Nodes that had been revoked before; their time starts anew. */
  readonly already: number;
}

/** When a generation was read, and what the source said in it. */
export interface ReadMoment {
  /** Monotonic milliseconds when the read began. */
  readonly beganMs: number;
  /** The read was about these nodes, 32 bytes each, because they had changed; absent: about all. */
  readonly changedIds?: Uint8Array;
  /** It was a read of all before its time, because of changes. */
  readonly isForced?: boolean;
}

export class Revocations {
  readonly #held = new Map<string, Held>();
  /**
   * What the source has confirmed, in generations that no snapshot file has yet. The oldest are forgotten.
   */
  readonly #ended = new Map<string, Held & { readonly generation: number }>();
  #changeCount = 0;
  readonly #now: () => number;

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  get count(): number {
    return this.#held.size;
  }

  /** Grows whenever `kept()` becomes another, but for the time that goes by. */
  get changeCount(): number {
    return this.#changeCount;
  }

  /**
   * Takes the nodes out of `current` at once, and holds them. `ids`: 32 bytes each, one behind the other.
   * Throws CAPACITY_EXCEEDED, and then nothing is changed, when more would be held than a slot has room for.
   */
  revoke(
    ids: Uint8Array,
    current: Snapshot | undefined,
    { origin, holdMs, keepsLonger }: RevokeOptions,
  ): RevokeResult {
    const wanted = idsByText(ids);
    this.#checkRoom(wanted);
    const sinceMs = this.#now();
    const result = { revoked: 0, notEligible: 0, already: 0 };
    const rows: number[] = [];
    const taken = new Set(current === undefined ? [] : revokedRows(current.views));
    for (const [text, id] of wanted) {
      const row = current === undefined ? NO_ROW : eligibleRow(current, id);
      const held = this.#held.get(text);
      if (held !== undefined) result.already++;
      else if (row === NO_ROW) result.notEligible++;
      else result.revoked++;
      if (row !== NO_ROW && !taken.has(row)) rows.push(row);
      // An operator's stays one: its end is told to the fleet, and it is held for the operator's time.
      if (held !== undefined && held.origin !== 'source' && origin === 'source') continue;
      const longestMs = keepsLonger === true ? (held?.untilMs ?? 0) : 0;
      this.#held.set(text, { id, origin, sinceMs, untilMs: Math.max(sinceMs + holdMs, longestMs) });
      if (origin === 'operator') this.#changeCount++;
    }
    if (current !== undefined && rows.length > 0) revokeRows(current.views, rows);
    return result;
  }

  /** Nodes of `snapshot` that could be picked but for a revocation. */
  countIn(snapshot: Snapshot): number {
    let count = 0;
    for (const { id } of this.#held.values()) if (eligibleRow(snapshot, id) !== NO_ROW) count++;
    return count;
  }

  /** Those of `ids` that can be revoked: all that are held already, and of the others the first that fit. */
  fitting(ids: Uint8Array): Uint8Array {
    let room = REVOKED_ROWS_MAX - this.#held.size;
    const fitting: Uint8Array[] = [];
    for (const [text, id] of idsByText(ids)) {
      if (this.#held.has(text) || room-- > 0) fitting.push(bytesOf(id));
    }
    return Buffer.concat(fitting);
  }

  /** True when one of the nodes is held. */
  holdsAny(ids: Uint8Array): boolean {
    if (this.#held.size === 0) return false;
    for (const text of idsByText(ids).keys()) if (this.#held.has(text)) return true;
    return false;
  }

  /** Holds the nodes no longer; they come back with the next generation. Returns how many there were. */
  restore(ids: Uint8Array): number {
    let restored = 0;
    for (const text of idsByText(ids).keys()) {
      if (this.#forget(text)) restored++;
      if (this.#ended.delete(text)) this.#changeCount++;
    }
    return restored;
  }

  /**
   * Ends what is over, and revokes the rest in `next`, which is not published yet. Returns the ids of those
   * that an operator had revoked and the source has confirmed.
   */
  carryOver(next: Snapshot, read: ReadMoment): Uint8Array {
    const now = this.#now();
    const changed = read.changedIds === undefined ? undefined : idsByText(read.changedIds);
    const rows: number[] = [];
    const ended: Uint8Array[] = [];
    for (const [text, held] of this.#held) {
      const row = eligibleRow(next, held.id);
      const asked = held.sinceMs < read.beganMs && (changed === undefined || changed.has(text));
      const answered = asked && (row === NO_ROW || held.origin === 'source');
      if (answered || held.untilMs <= now) {
        this.#forget(text);
        if (answered && held.origin === 'operator') {
          ended.push(bytesOf(held.id));
          this.#end(text, held, next.generation);
        }
      } else if (row !== NO_ROW) rows.push(row);
    }
    if (rows.length > 0) revokeRows(next.views, rows);
    return Buffer.concat(ended);
  }

  /**
   * Takes over what a loader before this one had revoked, and is not known otherwise: it is gone, and why it
   * did so with it. Held for the default time.
   */
  recover({ views }: Snapshot): void {
    const sinceMs = this.#now();
    for (const row of revokedRows(views)) {
      const id = views.rowWords.slice((row * ROW_BYTES) / 4, (row * ROW_BYTES) / 4 + ID_WORDS);
      const text = nodeIdText(id, 0);
      if (this.#held.has(text)) continue;
      this.#held.set(text, { id, origin: 'recovered', sinceMs, untilMs: sinceMs + HOLD_DEFAULT_MS });
    }
  }

  /**
   * Holds what operators had revoked before, as many as there is room for, for the time that is left; out of
   * `current` at once. Nothing that is held already is held for a shorter time by it.
   */
  takeOver(
    kept: readonly { readonly id: Uint8Array; readonly holdMs: number }[],
    current: Snapshot | undefined,
  ): void {
    const sinceMs = this.#now();
    const taken = new Set(current === undefined ? [] : revokedRows(current.views));
    const rows: number[] = [];
    for (const { id: bytes, holdMs } of kept) {
      const [[text, id]] = [...idsByText(bytes)] as [[string, Uint32Array]];
      const known = this.#held.get(text);
      const untilMs = sinceMs + Math.min(holdMs, HOLD_MAX_MS);
      if (holdMs <= 0 || (known?.origin === 'operator' && known.untilMs >= untilMs)) continue;
      if (known === undefined && this.#held.size >= REVOKED_ROWS_MAX) continue;
      this.#held.set(text, { id, origin: 'operator', sinceMs, untilMs });
      const row = current === undefined ? NO_ROW : eligibleRow(current, id);
      if (row !== NO_ROW && !taken.has(row)) rows.push(row);
    }
    if (current !== undefined && rows.length > 0) revokeRows(current.views, rows);
  }

  /** What is to be held after a restart: `left()`, and what has ended since the snapshot file was written. */
  kept(): { readonly id: Uint8Array; readonly holdMs: number }[] {
    const now = this.#now();
    const ended = [...this.#ended].filter(([text, { untilMs }]) => untilMs > now && !this.#held.has(text));
    const left = ended.map(([, { id, untilMs }]) => ({
      id: new Uint8Array(bytesOf(id)),
      holdMs: untilMs - now,
    }));
    return [...this.left(), ...left];
  }

  /** A snapshot file of this generation is written: what it says needs no revocation. */
  forgetEnded(generation: number): void {
    for (const [text, ended] of this.#ended) {
      if (ended.generation > generation) continue;
      this.#ended.delete(text);
      this.#changeCount++;
    }
  }

  /** What is held, with the time that is left. */
  left(): { readonly id: Uint8Array; readonly holdMs: number }[] {
    const now = this.#now();
    // Those of the source are for the moment until its delta; of those that were recovered the log tells.
    const asked = [...this.#held.values()].filter(({ origin }) => origin === 'operator');
    return asked.map(({ id, untilMs }) => ({
      id: new Uint8Array(bytesOf(id)),
      holdMs: Math.max(1, Math.round(untilMs - now)),
    }));
  }

  /** When the next revocation is over by time, monotonic milliseconds; Infinity when there is none. */
  nextEndMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#held.values()) next = Math.min(next, untilMs);
    return next;
  }

  #end(text: string, held: Held, generation: number): void {
    this.#ended.delete(text);
    this.#ended.set(text, { ...held, generation });
    if (this.#ended.size > REVOKED_ROWS_MAX) this.#ended.delete(this.#ended.keys().next().value!);
  }

  #forget(text: string): boolean {
    if (this.#held.get(text)?.origin === 'operator') this.#changeCount++;
    return this.#held.delete(text);
  }

  #checkRoom(wanted: ReadonlyMap<string, unknown>): void {
    let fresh = 0;
    for (const text of wanted.keys()) if (!this.#held.has(text)) fresh++;
    if (this.#held.size + fresh <= REVOKED_ROWS_MAX) return;
    throw new CacheError(
      'CAPACITY_EXCEEDED',
      `${this.#held.size} nodes are revoked already; ${fresh} more would be over ${REVOKED_ROWS_MAX}. ` +
        'Mark them in the source and refresh',
      { field: 'ids' },
    );
  }
}

/** The ids one behind the other. Throws REQUEST_INVALID naming the one that is none. */
export function packedIds(ids: readonly NodeId[]): Uint8Array {
  if (!Array.isArray(ids)) throw new CacheError('REQUEST_INVALID', 'ids is not an array', { field: 'ids' });
  if (ids.length > REVOKED_ROWS_MAX) {
    const detail = `ids has ${ids.length} entries; ${REVOKED_ROWS_MAX} at the most can be revoked`;
    throw new CacheError('REQUEST_INVALID', detail, { field: 'ids' });
  }
  const packed = Buffer.alloc(ids.length * ID_BYTES);
  ids.forEach((id, i) => {
    if (!parseNodeId(id, packed, i * ID_BYTES)) throw invalidId('ids', i, id);
  });
  return packed;
}

/** The ids, 32 bytes each, one behind the other. */
export function packedIdBytes(nodes: readonly { readonly id: Uint8Array }[]): Uint8Array {
  return Buffer.concat(nodes.map(({ id }) => id));
}

/** Each id once, by its text. */
function idsByText(ids: Uint8Array): Map<string, Uint32Array> {
  // A copy: words have to be aligned, and a Buffer's own `slice` is none.
  const words = new Uint32Array(new Uint8Array(ids).buffer);
  const found = new Map<string, Uint32Array>();
  for (let at = 0; at + ID_WORDS <= words.length; at += ID_WORDS) {
    const id = words.slice(at, at + ID_WORDS);
    found.set(nodeIdText(id, 0), id);
  }
  return found;
}

/** The node's row where it can be picked, or NO_ROW. */
function eligibleRow(
  { views, indexEntries, indexKeys, vettedCount, newCount }: Snapshot,
  id: Uint32Array,
): number {
  const row = findRow(views.idIndex, indexEntries, indexKeys, views.rowWords, id, 0);
  return row < vettedCount + newCount ? row : NO_ROW;
}
