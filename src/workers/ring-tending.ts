/**
 * How a selection worker keeps rings of prepared answers full: round by round, a few answers for each, and a
 * short sleep when all are full. Sleeping by the clock instead of being woken leaves the HTTP threads nothing
 * to do for their refills. Selection workers only; synchronous.
 */
import { answerRestStart } from '../engine/encoding/answer-head.ts';
import { CacheError } from '../engine/errors.ts';
import {
  Filler,
  fillerCalls,
  NO_ANSWER,
  type RingMemory,
  type RingWords,
  restFiller,
  sharedRingWords,
} from '../engine/prepared/ring.ts';
import { type RingShape, ROOM_BYTES, slotByteOffset } from '../engine/prepared/ring-layout.ts';
import type { CacheReader } from './cache-types.ts';
import type { RingTenant, TendResult, TendTask } from './messages.ts';

/** Answers for one ring before the next has its turn. */
const ROUND_ANSWERS = 16;
/**
 * Shortest and longest sleep; it doubles while nothing is taken. 60,000 requests a second take 18 in the
 * first.
 */
const REST_MIN_MS = 0.3;
const REST_MAX_MS = 5;

interface Tending extends RingTenant {
  /** Slot behind the one filled last, and the hint that was followed last. */
  next: number;
  hint: number;
}

export class RingTending {
  readonly #memory: RingMemory;
  readonly #words: RingWords;
  readonly #shape: RingShape;
  readonly #filler: Filler;
  readonly #cache: Pick<CacheReader, 'selectEncoded'>;
  /** Each slot's bytes behind its room, made when first used. */
  readonly #views: Uint8Array[] = [];

  constructor(memory: RingMemory, cache: Pick<CacheReader, 'selectEncoded'>, threadId: number) {
    const { words, shape } = sharedRingWords(memory);
    this.#memory = memory;
    this.#words = words;
    this.#shape = shape;
    this.#filler = new Filler(words, shape, threadId);
    this.#cache = cache;
  }

  /** One round at least, also when it has been called away before it began: no load keeps rings empty. */
  tend({ tenants, durationMs, calls }: TendTask): TendResult {
    const until = performance.now() + durationMs;
    const unfit: Pick<RingTenant, 'ring' | 'tenancy'>[] = [];
    let tended: Tending[] = tenants.map(tenant => ({ ...tenant, next: 0, hint: -1 }));
    let filled = 0;
    let restMs = REST_MIN_MS;
    while (tended.length > 0) {
      let round = 0;
      tended = tended.filter(tenant => {
        const answers = this.#fill(tenant);
        if (answers === undefined) unfit.push({ ring: tenant.ring, tenancy: tenant.tenancy });
        round += answers ?? 0;
        return answers !== undefined && this.#filler.tenancy(tenant.ring) === tenant.tenancy;
      });
      filled += round;
      if (performance.now() >= until || fillerCalls(this.#words) !== calls) break;
      if (round > 0) restMs = REST_MIN_MS;
      else {
        restFiller(this.#words, calls, restMs);
        restMs = Math.min(2 * restMs, REST_MAX_MS);
      }
    }
    return { filled, unfit };
  }

  /** A round for one ring; returns the answers put in, undefined when the request has no whole answer. */
  #fill(tenant: Tending): number | undefined {
    const { ring, tenancy } = tenant;
    const hint = this.#filler.hint(ring);
    if (hint !== tenant.hint) tenant.next = hint;
    tenant.hint = hint;
    for (let answers = 0; answers < ROUND_ANSWERS; answers++) {
      if (this.#filler.tenancy(ring) !== tenancy) return answers;
      const slot = this.#filler.claim(ring, tenant.next);
      if (slot === NO_ANSWER) return answers;
      if (!this.#put(tenant, slot)) return undefined;
      tenant.next = slot + 1;
    }
    return ROUND_ANSWERS;
  }

  /** Puts one answer into a slot that has been claimed, or gives the slot back; false when there is none. */
  #put({ format, request, ring, tenancy }: RingTenant, slot: number): boolean {
    // Before the selection, so that a revocation from now on makes the answer void.
    const seen = this.#filler.revocations();
    const view = this.#view(ring, slot);
    let published = false;
    try {
      const { bytes, generation, shortage } = this.#cache.selectEncoded(format, request, view);
      if (shortage !== undefined) return false;
      const start = ROOM_BYTES + answerRestStart(format, view, 0);
      this.#filler.publish(ring, slot, { generation, seen, tenancy, start, end: ROOM_BYTES + bytes });
      published = true;
      return true;
    } catch (error) {
      // Met again by whoever asks, who is told.
      if (error instanceof CacheError) return false;
      throw error;
    } finally {
      // Whatever was thrown: this thread lives on, so nobody would reap the slot.
      if (!published) this.#filler.abandon(ring, slot);
    }
  }

  #view(ring: number, slot: number): Uint8Array {
    const { slots, slotBytes } = this.#shape;
    const offset = slotByteOffset(this.#shape, ring, slot) + ROOM_BYTES;
    this.#views[ring * slots + slot] ??= new Uint8Array(this.#memory.answers, offset, slotBytes - ROOM_BYTES);
    return this.#views[ring * slots + slot]!;
  }
}
