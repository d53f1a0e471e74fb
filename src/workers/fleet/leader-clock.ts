/**
 * When things happened that the leader tells of, on this replica's own clock: so that an age is never below
 * the true one, whatever the wall clocks say and however long a record was on its way. Loader thread.
 *
 * **Proof.** The leader stamps records with its own monotonic clock; unknown is only the offset between that
 * and ours. Now and then we ask the bus for its newest position. A record above it was written after we
 * asked; so the leader's "acknowledged", which the record behind it carries, came after that too:
 *   offset ≥ when we asked (our clock) - when it was acknowledged (the leader's).
 * The largest such bound is used, less what two clocks may have drifted apart since. Until there is one for
 * an epoch, times are reckoned from the wall clocks and marked as not proven.
 */
import { comparePositions, LOG_START, type LogPosition } from '../bus/bus.ts';
import type { Stamp } from './wire/records.ts';

/** Two clocks of ordinary machines differ by less: 500 millionths. */
const DRIFT_RATIO_MAX = 0.0005;
/** Answers that are kept until a record tells more. */
const PROBES_MAX = 4;

export interface ReadTime {
  /** Local monotonic milliseconds. */
  readonly readAtMs: number;
  readonly isProven: boolean;
}

interface Probe {
  readonly atMs: number;
  readonly last: LogPosition;
}

export class LeaderClock {
  #epoch = 0;
  /** Oldest first. */
  #probes: Probe[] = [];
  /** Local time = leader's time + offset; the offset is at least `lowMs`, as found at local time `atMs`. */
  #offset: { readonly lowMs: number; readonly atMs: number } | undefined;

  /** The bus was asked at `atMs` and said that `last` was its newest position. */
  probed(atMs: number, last: LogPosition | undefined): void {
    this.#probes.push({ atMs, last: last ?? LOG_START });
    if (this.#probes.length > PROBES_MAX) this.#probes.shift();
  }

  /** The engine may have lost data: what it said proves nothing. */
  forgetProbe(): void {
    this.#probes = [];
  }

  /** A record was read from the log right after the one at `after`. True when its epoch is new. */
  heard(position: LogPosition, after: LogPosition, stamp: Stamp): boolean {
    const isNew = position.epoch !== this.#epoch;
    if (isNew) {
      this.#epoch = position.epoch;
      this.#offset = undefined;
    }
    const { previous, acknowledgedAtMs } = stamp;
    if (previous === undefined || acknowledgedAtMs === undefined) return isNew;
    if (previous.epoch === position.epoch && comparePositions(previous, after) === 0) {
      this.#prove(previous, acknowledgedAtMs);
    }
    return isNew;
  }

  /** The record at `position` was acknowledged then: by the leader's clock, after the probes before it. */
  #prove(position: LogPosition, acknowledgedAtMs: number): void {
    const at = this.#probes.findLastIndex(({ last }) => comparePositions(position, last) > 0);
    const probe = this.#probes[at];
    if (probe === undefined) return;
    // Later records would say less by it.
    this.#probes.splice(0, at + 1);
    const lowMs = probe.atMs - acknowledgedAtMs;
    if (this.#offset === undefined || lowMs > this.#lowMs(this.#offset, probe.atMs)) {
      this.#offset = { lowMs, atMs: probe.atMs };
    }
  }

  /** When the source was read for what the leader of `epoch` wrote; undefined where it does not say. */
  readTime(
    epoch: number,
    stamp: Stamp,
    now: { readonly nowMs: number; readonly unixMs: number },
  ): ReadTime | undefined {
    if (stamp.read === undefined) return undefined;
    const { isProven } = stamp.read;
    // Counted by a clock that may be slow.
    const agoMs = (1 + DRIFT_RATIO_MAX) * Math.max(0, stamp.read.agoMs);
    const offset = epoch === this.#epoch ? this.#offset : undefined;
    if (offset !== undefined) {
      const readAtMs = stamp.sentAtMs - agoMs + this.#lowMs(offset, now.nowMs);
      return { readAtMs: Math.min(readAtMs, now.nowMs), isProven };
    }
    const onTheWayMs = Math.max(0, now.unixMs - stamp.sentUnixMs);
    return { readAtMs: now.nowMs - onTheWayMs - agoMs, isProven: false };
  }

  #lowMs(offset: { readonly lowMs: number; readonly atMs: number }, nowMs: number): number {
    return offset.lowMs - DRIFT_RATIO_MAX * Math.max(0, nowMs - offset.atMs);
  }
}
