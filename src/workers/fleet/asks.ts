/**
 * The revocations, and ends of revocations, that this replica was asked for and that the log does not say
 * yet. They go to the leader with the heartbeats, or into the log by this replica's own hand when it leads,
 * until the log says that they are in it. Loader thread.
 *
 * **Order.** What counts is the order of the log, which is the one in which the leader hears of them. As long
 * as a node is to be out by what was asked for here last, no record lets it in, or shortens that: whoever
 * asked for that may not have known.
 */
import { REVOKED_ROWS_MAX } from '../../../native-layout/snapshot-layout.ts';
import type { FleetClock } from './clock.ts';
import type { Ask } from './wire/beat.ts';
import { type Answer, idText, type Revocation } from './wire/records.ts';

interface Asked {
  readonly number: number;
  readonly id: Uint8Array;
  readonly untilMs: number;
  /** Asks for the end of a revocation. */
  readonly isEnd: boolean;
}

export class Asks {
  readonly #clock: FleetClock;
  /** What the answers call this replica. */
  readonly #tag: string;
  /** Of each node what was asked for last; oldest first. */
  readonly #asked = new Map<string, Asked>();
  #count = 0;

  /** `tag`: `replicaTag` of this one. */
  constructor(clock: FleetClock, tag: string) {
    this.#clock = clock;
    this.#tag = tag;
  }

  get count(): number {
    return this.#asked.size;
  }

  /** Something is asked for this node. */
  has(id: Uint8Array): boolean {
    return this.#asked.has(idText(id));
  }

  /** Somebody asks for them here. Returns them as they are to be told. */
  ask(revocations: readonly Revocation[]): Ask[] {
    const nowMs = this.#clock.nowMs();
    const asks = revocations.map(({ id, holdMs }) => ({ id, holdMs, number: ++this.#count }));
    for (const { number, id, holdMs } of asks) {
      const text = idText(id);
      this.#asked.delete(text);
      this.#asked.set(text, { number, id, untilMs: nowMs + holdMs, isEnd: holdMs === 0 });
    }
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size <= REVOKED_ROWS_MAX) break;
      this.#asked.delete(oldest);
    }
    return asks;
  }

  /** What is known here, to whoever may not know of it; of what is asked for already the leader will hear. */
  tell(revocations: readonly Revocation[]): void {
    const news = revocations.filter(({ id }) => !this.has(id));
    // What was asked for stays.
    this.ask(news.slice(0, Math.max(0, REVOKED_ROWS_MAX - this.#asked.size)));
  }

  /** The log says that these are in it. True when some of them were asked for here. */
  answered(answers: readonly Answer[]): boolean {
    const own = answers.find(({ replica }) => replica === this.#tag);
    if (own === undefined) return false;
    const { size } = this.#asked;
    for (const [text, { number }] of this.#asked) if (number <= own.number) this.#asked.delete(text);
    return this.#asked.size < size;
  }

  /** What a revocation of the log comes to here; undefined: it is an end, and the node is to be out. */
  asHere(revocation: Revocation): Revocation | undefined {
    const asked = this.#asked.get(idText(revocation.id));
    const leftMs = asked === undefined || asked.isEnd ? 0 : asked.untilMs - this.#clock.nowMs();
    if (leftMs <= 0 || leftMs <= revocation.holdMs) return revocation;
    return revocation.holdMs === 0 ? undefined : { ...revocation, holdMs: leftMs };
  }

  /** With the time that is left; oldest first. */
  list(): Ask[] {
    const nowMs = this.#clock.nowMs();
    const asks: Ask[] = [];
    for (const [text, { number, id, untilMs, isEnd }] of this.#asked) {
      if (untilMs <= nowMs && !isEnd) this.#asked.delete(text);
      else asks.push({ number, id, holdMs: isEnd ? 0 : untilMs - nowMs });
    }
    return asks;
  }
}
