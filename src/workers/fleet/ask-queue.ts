/**
 * The revocations, and ends of revocations, that a leader has heard of and is to write: of each node in the
 * order in which it heard of them, and what many ask for once. Knows which asks of which replica are in the
 * log. Loader thread.
 */
import { REVOKED_ROWS_MAX } from '../../../native-layout/snapshot-layout.ts';
import type { FleetClock } from './clock.ts';
import { replicaTag } from './name-hash.ts';
import type { Ask } from './wire/beat.ts';
import { type Answer, idText, type Revocation } from './wire/records.ts';

interface Waiting {
  readonly asked: Revocation;
  /** By its holding time. */
  readonly untilMs: number;
  /** For the first time. */
  readonly heardMs: number;
  /** Who asks for it: of each replica, by its tag, the oldest ask. */
  readonly by: Map<string, number>;
}

/** Ends of one revocation, as different replicas reckon them, are no farther apart. */
const SAME_MS = 2_000;
/** Replicas whose asks are remembered. Those that were heard longest ago are forgotten. */
const REPLICAS_MAX = 10_000;

export class AskQueue {
  readonly #clock: FleetClock;
  /** Of each node, oldest first. */
  readonly #waiting = new Map<string, Waiting[]>();
  /** Revocations that the log says and the source has not confirmed. */
  readonly #written = new Map<string, { readonly untilMs: number; readonly heardMs: number }>();
  /** Of each replica, by its tag, the newest ask that was heard, and up to which the log has answered. */
  readonly #replicas = new Map<string, { heard: number; answered: number }>();
  /** Nodes, by the text of their ids, whose revocations end with content that is not in the log yet. */
  #confirmed: { readonly ids: Map<string, Uint8Array>; readonly to: string }[] = [];
  /** Something was heard that may not be answered yet. */
  #isDue = false;

  /** `answered`: what the log says already, by leaders before this one. */
  constructor(clock: FleetClock, answered: readonly Answer[]) {
    this.#clock = clock;
    for (const { replica, number } of answered)
      this.#replicas.set(replica, { heard: number, answered: number });
  }

  /**
   * The source, asked at `askedAtMs`, has confirmed that these nodes are out, in content `to`: revocations
   * that were heard before end when that is in the log.
   */
  confirm(ids: readonly Uint8Array[], to: string, askedAtMs: number): void {
    const byText = new Map(ids.map(id => [idText(id), id]));
    for (const text of byText.keys()) {
      if (this.#heardMs(text) >= askedAtMs) byText.delete(text);
      else this.#written.delete(text);
    }
    const last = this.#confirmed.at(-1)?.to === to ? [...this.#confirmed.pop()!.ids] : [];
    this.#confirmed.push({ ids: newest([...last, ...byText]), to });
  }

  /** When this node's newest revocation was first heard of; negative infinity when none is known. */
  #heardMs(text: string): number {
    const waiting = (this.#waiting.get(text) ?? []).filter(({ asked }) => asked.holdMs > 0);
    const written = this.#written.get(text)?.heardMs ?? Number.NEGATIVE_INFINITY;
    return Math.max(written, ...waiting.map(({ heardMs }) => heardMs));
  }

  /** Content `digest` comes next, instead of what it was to be. */
  skipTo(digest: string): void {
    this.#confirmed = [{ ids: newest(this.#confirmed.flatMap(({ ids }) => [...ids])), to: digest }];
  }

  /** This content is in the log, and so is what was confirmed before it. */
  wrote(digest: string): void {
    const count = this.#confirmed.findIndex(({ to }) => to === digest) + 1;
    for (const { ids } of this.#confirmed.splice(0, count))
      for (const id of ids.values()) this.#add({ id, holdMs: 0 });
  }

  /** A heartbeat has these asks, in their order. */
  hear(replica: string, asks: readonly Ask[]): void {
    if (asks.length === 0) return;
    const tag = replicaTag(replica);
    this.#isDue = true;
    const known = this.#replicas.get(tag) ?? { heard: 0, answered: 0 };
    for (const ask of asks) if (ask.number > known.heard) this.#add(ask, { tag, number: ask.number });
    this.#replicas.delete(tag);
    this.#replicas.set(tag, { ...known, heard: Math.max(known.heard, asks.at(-1)!.number) });
    if (this.#replicas.size > REPLICAS_MAX) this.#replicas.delete(this.#replicas.keys().next().value!);
  }

  /** What is to be written next, no node twice, with the time that is left of each. */
  next(countMax: number): Revocation[] {
    const nowMs = this.#clock.nowMs();
    const next: Revocation[] = [];
    for (const [first] of this.#waiting.values()) {
      if (next.length === countMax) break;
      const { asked, untilMs } = first!;
      const holdMs = asked.holdMs === 0 ? 0 : Math.max(1, untilMs - nowMs);
      next.push({ id: asked.id, holdMs });
    }
    return next;
  }

  /** These of `next` are about to be written. */
  take(revocations: readonly Revocation[]): void {
    const nowMs = this.#clock.nowMs();
    for (const { id, holdMs } of revocations) {
      const text = idText(id);
      const [first, ...left] = this.#waiting.get(text)!;
      if (left.length === 0) this.#waiting.delete(text);
      else this.#waiting.set(text, left);
      this.#written.delete(text);
      if (holdMs > 0) this.#written.set(text, { untilMs: nowMs + holdMs, heardMs: first!.heardMs });
      if (this.#written.size > REVOKED_ROWS_MAX) this.#written.delete(this.#written.keys().next().value!);
    }
  }

  /** What the log is to say of asks when all that was taken is in it; `isAll`: also what it says already. */
  answers({ isAll }: { readonly isAll: boolean }): Answer[] {
    if (!isAll && !this.#isDue) return [];
    const oldestWaiting = new Map<string, number>();
    for (const { by } of [...this.#waiting.values()].flat()) {
      for (const [tag, number] of by)
        oldestWaiting.set(tag, Math.min(number, oldestWaiting.get(tag) ?? Number.POSITIVE_INFINITY));
    }
    const answers: Answer[] = [];
    for (const [replica, { heard, answered }] of this.#replicas) {
      const number = Math.min(heard, (oldestWaiting.get(replica) ?? Number.POSITIVE_INFINITY) - 1);
      if (number > (isAll ? 0 : answered)) answers.push({ replica, number });
    }
    return answers;
  }

  /** The log says these. */
  answered(answers: readonly Answer[]): void {
    for (const { replica, number } of answers) {
      const known = this.#replicas.get(replica);
      if (known !== undefined) known.answered = number;
    }
    this.#isDue = [...this.#replicas.values()].some(known => known.answered < known.heard);
  }

  #add(asked: Revocation, by?: { readonly tag: string; readonly number: number }): void {
    const text = idText(asked.id);
    if (asked.holdMs > 0) for (const { ids } of this.#confirmed) ids.delete(text);
    const nowMs = this.#clock.nowMs();
    const untilMs = nowMs + asked.holdMs;
    const before = this.#waiting.get(text) ?? [];
    const last = before.at(-1);
    if (last === undefined) {
      const written = this.#written.get(text);
      if (asked.holdMs > 0 && written !== undefined && isClose(written.untilMs, untilMs)) return;
    } else if (asked.holdMs === 0 ? last.asked.holdMs === 0 : isSame(last, asked, untilMs)) {
      if (by !== undefined && !last.by.has(by.tag)) last.by.set(by.tag, by.number);
      return;
    }
    const first = by === undefined ? [] : [[by.tag, by.number] as const];
    this.#waiting.set(text, [...before, { asked, untilMs, heardMs: nowMs, by: new Map(first) }]);
  }
}

/** Of more than can be revoked at once, the oldest stay out for their time. */
function newest(ids: readonly (readonly [text: string, id: Uint8Array])[]): Map<string, Uint8Array> {
  return new Map(ids.slice(-REVOKED_ROWS_MAX));
}

function isSame(waiting: Waiting, { holdMs }: Revocation, untilMs: number): boolean {
  return holdMs > 0 && waiting.asked.holdMs > 0 && isClose(waiting.untilMs, untilMs);
}

function isClose(aMs: number, bMs: number): boolean {
  return Math.abs(aMs - bMs) <= SAME_MS;
}
