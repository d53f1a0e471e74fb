/** Keeping rings full: by a worker's hand on one thread, and by the tender with a pool of the test's own. */
import { describe, expect, test } from 'vitest';
import { answerRestStart } from '../../src/engine/encoding/answer-head.ts';
import {
  callFillers,
  countRevocation,
  fillerCalls,
  NO_ANSWER,
  ownedSlots,
  reserveRings,
  sharedRingWords,
  Taker,
} from '../../src/engine/prepared/ring.ts';
import { type RingShape, ROOM_BYTES, slotByteOffset } from '../../src/engine/prepared/ring-layout.ts';
import type { RingTenant, TendOrder, TendResult } from '../../src/workers/messages.ts';
import { RingTender } from '../../src/workers/ring-tender.ts';
import { RingTending } from '../../src/workers/ring-tending.ts';
import { LocalCache } from '../support/local-cache.ts';
import { relayPopulation } from '../support/relays.ts';
import { until } from '../support/until.ts';

const SHAPE: RingShape = { rings: 2, slots: 20, slotBytes: 4_096 };
const REQUEST = { count: 10 };

function open(rows = 1_000) {
  const cache = new LocalCache({ capacity: 2_000, readers: 3 });
  cache.publish(relayPopulation().slice(0, rows));
  const memory = reserveRings(SHAPE);
  const { words } = sharedRingWords(memory);
  const worker = new RingTending(memory, cache.reader(5), 5);
  const tending = {
    tend: (order: TendOrder, calls = fillerCalls(words)) => worker.tend({ ...order, calls }),
  };
  const takers = [0, 1].map(ring => new Taker(words, SHAPE, ring, 9));
  for (const taker of takers) taker.adopt();
  const tenant = (ring: number, more: Partial<RingTenant> = {}): RingTenant => ({
    ring,
    tenancy: takers[ring]!.tenancy,
    format: 'json',
    request: REQUEST,
    ...more,
  });
  const answer = (ring: number, slot: number) => {
    const { answers } = memory;
    const bytes = Buffer.from(answers, slotByteOffset(SHAPE, ring, slot), SHAPE.slotBytes);
    const rest = takers[ring]!.start(slot);
    expect(answerRestStart('json', bytes, ROOM_BYTES)).toBe(rest);
    return JSON.parse(bytes.toString('utf8', ROOM_BYTES, takers[ring]!.end(slot)));
  };
  return { cache, memory, words, tending, takers, tenant, answer };
}

describe('a worker', () => {
  test('fills all rings that it is given, and says how much it did', () => {
    const { tending, takers, tenant, answer } = open();
    const result = tending.tend({ tenants: [tenant(0), tenant(1)], durationMs: 200 });
    expect(result).toEqual({ filled: 2 * SHAPE.slots, unfit: [] });
    const seen = new Set<string>();
    for (const [ring, taker] of takers.entries()) {
      for (let i = 0; i < SHAPE.slots; i++) {
        const slot = taker.take(() => 1);
        expect(answer(ring, slot)).toMatchObject({ generation: 1, nodes: { length: 10 } });
        seen.add(JSON.stringify(answer(ring, slot).nodes));
        taker.release(slot);
      }
      expect(taker.take(() => 1)).toBe(NO_ANSWER);
    }
    expect(seen.size).toBe(2 * SHAPE.slots);
  });

  test('names tenants that have no whole answer, and goes on with the others', () => {
    const { tending, tenant, takers } = open();
    const tenants = [tenant(0, { request: { count: 10, placement: 'nowhere' } }), tenant(1)];
    const { filled, unfit } = tending.tend({ tenants, durationMs: 5 });
    expect(unfit).toEqual([{ ring: 0, tenancy: takers[0]!.tenancy }]);
    expect(filled).toBe(SHAPE.slots);
    const few = open(5);
    const short = few.tending.tend({ tenants: [few.tenant(0)], durationMs: 5 });
    expect(short).toMatchObject({ filled: 0, unfit: [{ ring: 0 }] });
  });

  test('leaves a ring that has another tenant', () => {
    const { tending, tenant, takers } = open();
    const old = tenant(0);
    takers[0]!.adopt();
    expect(tending.tend({ tenants: [old], durationMs: 1_000 })).toEqual({ filled: 0, unfit: [] });
  });

  test('whose answers nobody wants any more has them counted as drops', () => {
    const { tending, tenant, takers } = open();
    tending.tend({ tenants: [tenant(0)], durationMs: 30 });
    takers[0]!.release(takers[0]!.take(() => 1));
    takers[0]!.adopt();
    expect(takers[0]!.drops).toEqual({ generation: 0, revoked: 0, tenancy: SHAPE.slots - 1 });
  });

  test('begins where the owner found nothing', () => {
    const { tending, tenant, takers, words } = open();
    const taker = takers[0]!;
    tending.tend({ tenants: [tenant(0)], durationMs: 1 });
    for (let i = 0; i < 7; i++) taker.release(taker.take(() => 1));
    countRevocation(words);
    // What is left is dropped, some at a time.
    for (let i = 0; i < 20; i++) taker.take(() => 1);
    tending.tend({ tenants: [tenant(0)], durationMs: 1 });
    expect(taker.take(() => 1)).not.toBe(NO_ANSWER);
  });

  test('stays for as long as it was told, and not longer', () => {
    const { tending, tenant } = open();
    const start = performance.now();
    tending.tend({ tenants: [tenant(0)], durationMs: 30 });
    expect(performance.now() - start).toBeGreaterThanOrEqual(30);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe('a worker that is called away', () => {
  test('between the giving of a task and its beginning, does one round and no more', () => {
    const { tending, tenant, words } = open();
    const calls = fillerCalls(words);
    callFillers(words);
    // Far less than a full ring, and than the time that it was given.
    expect(tending.tend({ tenants: [tenant(0)], durationMs: 60_000 }, calls).filled).toBeLessThan(
      SHAPE.slots,
    );
  });
});

test('a slot is given back whatever is thrown while its answer is prepared', () => {
  const { memory, words, tenant } = open();
  const broken = {
    selectEncoded: () => {
      throw new RangeError('a trap');
    },
  };
  const tending = new RingTending(memory, broken, 6);
  for (let i = 0; i < 3; i++) {
    expect(() => tending.tend({ tenants: [tenant(0)], durationMs: 1, calls: 0 })).toThrow('a trap');
    expect(ownedSlots(words, SHAPE)).toBe(0);
  }
});

describe('the tender', () => {
  /** A pool that remembers its tasks; each is ended by hand. */
  class Pool {
    readonly tasks: TendOrder[] = [];
    readonly #endings: ((result: TendResult | Error) => void)[] = [];

    tend(task: TendOrder): Promise<TendResult> {
      this.tasks.push(task);
      return new Promise((resolve, reject) => {
        this.#endings.push(result => (result instanceof Error ? reject(result) : resolve(result)));
      });
    }

    async end(result: TendResult | Error = { filled: 3, unfit: [] }): Promise<void> {
      this.#endings.shift()!(result);
      await new Promise(resolve => setImmediate(resolve));
    }
  }

  const tenant = (ring: number): RingTenant => ({ ring, tenancy: 1, format: 'json', request: REQUEST });
  const ringsOf = ({ tenants }: TendOrder) => tenants.map(({ ring }) => ring);

  test('has one task follow the other as long as there are tenants', async () => {
    const pool = new Pool();
    const tender = new RingTender({ tend: task => pool.tend(task), tasks: 1, onUnfit: () => {} });
    tender.set(3, tenant(3));
    tender.set(4, tenant(4));
    expect(pool.tasks.map(ringsOf)).toEqual([[3]]);
    await pool.end();
    expect(pool.tasks.map(ringsOf)).toEqual([[3], [3, 4]]);
    tender.set(3, undefined);
    await pool.end();
    expect(pool.tasks.map(ringsOf).at(-1)).toEqual([4]);
    tender.forget(0, 8);
    await pool.end();
    expect(pool.tasks).toHaveLength(3);
    expect(tender.counts()).toEqual({ tasks: 3, failed: 0, answers: 9 });
  });

  test('divides the rings among its tasks', async () => {
    const pool = new Pool();
    const tender = new RingTender({ tend: task => pool.tend(task), tasks: 2, onUnfit: () => {} });
    for (let ring = 0; ring < 4; ring++) tender.set(ring, tenant(ring));
    await pool.end();
    await pool.end();
    expect(pool.tasks.slice(2).map(ringsOf)).toEqual([
      [0, 2],
      [1, 3],
    ]);
    tender.stop();
  });

  test('tells the owner of a tenant that has no whole answer, and leaves it', async () => {
    const pool = new Pool();
    const unfit: unknown[] = [];
    const tender = new RingTender({
      tend: task => pool.tend(task),
      tasks: 1,
      onUnfit: one => unfit.push(one),
    });
    tender.set(0, tenant(0));
    await pool.end({ filled: 0, unfit: [{ ring: 0, tenancy: 1 }] });
    expect(unfit).toEqual([{ ring: 0, tenancy: 1 }]);
    expect(pool.tasks).toHaveLength(1);
  });

  test('tries again after a pause when the pool fails', async () => {
    const pool = new Pool();
    const tender = new RingTender({ tend: task => pool.tend(task), tasks: 1, onUnfit: () => {} });
    tender.set(0, tenant(0));
    await pool.end(new Error('no worker'));
    tender.set(1, tenant(1));
    expect(pool.tasks).toHaveLength(1);
    await until('it tries again', () => pool.tasks.length === 2);
    expect(tender.counts().failed).toBe(1);
    tender.stop();
  });
});
