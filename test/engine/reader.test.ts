/**
 * A reader while generations change under it, at every point at which they can: between any two of its
 * accesses.
 */
import { describe, expect, test } from 'vitest';
import type { ControlWords } from '../../src/engine/publication.ts';
import { Lease } from '../../src/engine/publication.ts';
import { Reader } from '../../src/engine/reader.ts';
import { LocalCache } from '../support/local-cache.ts';
import { ROWS_MAX, rowsOfGeneration, selfDescribingRows } from '../support/self-describing.ts';

const LIMITS = { countMax: ROWS_MAX + 1, idsMax: ROWS_MAX };
const ALL = { count: ROWS_MAX + 1, newFraction: 1, fillWithNew: true };

/** A cache of self-describing generations, and a reader whose every access can be preceded by publishes. */
class Interrupted {
  readonly cache = new LocalCache({ capacity: ROWS_MAX, readers: 1, limits: LIMITS });
  readonly reader: Reader;
  /** `publishes[n]`: generations that appear before the reader's access number n. */
  publishes: readonly number[] = [];
  accesses = 0;
  newest = 0;

  constructor() {
    const { words, seats, slots, layout, plan } = this.cache;
    const interrupted: ControlWords = {
      load: word => {
        this.interrupt();
        return words.load(word);
      },
      store: (word, value) => {
        this.interrupt();
        words.store(word, value);
      },
      compareExchange: (word, expected, replacement) => words.compareExchange(word, expected, replacement),
    };
    this.reader = new Reader({
      lease: Lease.claim(interrupted, seats, 1),
      slots,
      layout,
      plan,
      limits: LIMITS,
      kernel: this.cache.kernel(7),
      now: () => {
        // Read between picking and encoding: a good moment for a generation to be replaced.
        this.interrupt();
        return 5000;
      },
    });
  }

  publish(): void {
    this.newest++;
    this.cache.publish(selfDescribingRows(this.newest));
  }

  interrupt(): void {
    for (let times = this.publishes[this.accesses++] ?? 0; times > 0; times--) this.publish();
  }
}

/** All lists of `length` numbers from 0 to `largest`. */
function lists(length: number, largest: number): number[][] {
  if (length === 0) return [[]];
  return lists(length - 1, largest).flatMap(list =>
    Array.from({ length: largest + 1 }, (_, last) => [...list, last]),
  );
}

function expectGeneration(
  answer: { generation: number; nodes: readonly { id: string; ip: string; port: number; pool: string }[] },
  publishes: readonly number[],
): void {
  const nodes = answer.nodes.map(({ id, ip, port, pool }) => ({ id, ip, port, vetted: pool === 'vetted' }));
  const rows = selfDescribingRows(answer.generation).map(({ id, ip, port, vetted }) => ({
    id,
    ip,
    port,
    vetted,
  }));
  const byId = (a: { id: unknown }, b: { id: unknown }) => String(a.id).localeCompare(String(b.id));
  expect(nodes.sort(byId), `generations published before each access: ${publishes}`).toEqual(rows.sort(byId));
}

describe('a reader under which generations are published', () => {
  test.each([0, 1, 2])(
    'gives one whole generation, never an earlier one, wherever they appear (call %i)',
    call => {
      for (const publishes of lists(4, 2)) {
        const world = new Interrupted();
        world.publish();
        // The interruptions fall into the call under test; those before it only move the reader on.
        let newest = 0;
        for (let before = 0; before < call; before++) {
          newest = world.reader.select(ALL).generation;
          world.publish();
        }
        world.accesses = 0;
        world.publishes = publishes;
        for (let after = 0; after < 2; after++) {
          const selection = world.reader.select(ALL);
          expectGeneration(selection, publishes);
          expect(selection.generation).toBeGreaterThanOrEqual(newest);
          newest = selection.generation;
        }
      }
    },
  );

  test('looks ids up in the generation that it says the answer is of', () => {
    for (const publishes of lists(3, 2)) {
      const world = new Interrupted();
      world.publish();
      world.reader.select(ALL);
      world.publish();
      world.accesses = 0;
      world.publishes = publishes;
      const asked = Array.from({ length: 10 }, (_, generation) => selfDescribingRows(generation)[0]!.id);
      for (const id of asked) {
        const { generation, nodes } = world.reader.lookup([id]);
        const expected = selfDescribingRows(generation)[0]!.id;
        expect(nodes[0]?.id, `generations published before each access: ${publishes}`).toBe(
          id === expected ? id : undefined,
        );
      }
    }
  });
});

describe('a reader', () => {
  test('says that nothing is published, and serves as soon as something is', () => {
    const cache = new LocalCache({ capacity: ROWS_MAX, limits: LIMITS });
    const reader = cache.reader();
    expect(reader.generation()).toBe(0);
    expect(reader.ageMs()).toBe(Number.POSITIVE_INFINITY);
    for (const call of [() => reader.select(ALL), () => reader.lookup([])]) {
      expect(call).toThrow(expect.objectContaining({ code: 'SNAPSHOT_NOT_READY' }));
    }
    cache.publish(selfDescribingRows(1));
    expect(reader.generation()).toBe(1);
    expect(reader.select(ALL).length).toBe(rowsOfGeneration(1).all);
  });

  test('counts the age from the moment the read of the generation began, rounded up', () => {
    const cache = new LocalCache({ capacity: ROWS_MAX, limits: LIMITS });
    cache.clockMs = 1000.25;
    cache.publish(selfDescribingRows(1));
    const reader = cache.reader();
    cache.clockMs = 1000.25;
    expect(reader.ageMs()).toBe(0);
    cache.clockMs = 1234.5;
    expect(reader.ageMs()).toBe(235);
    expect(reader.select(ALL).ageMs).toBe(235);
    expect(reader.lookup([]).ageMs).toBe(235);
  });

  test('gives answers that later generations and later answers do not change', () => {
    const cache = new LocalCache({ capacity: ROWS_MAX, limits: LIMITS });
    cache.publish(selfDescribingRows(1));
    const reader = cache.reader();
    const selection = reader.select(ALL);
    for (let generation = 2; generation < 40; generation++) {
      cache.publish(selfDescribingRows(generation));
      for (let i = 0; i < 200; i++) reader.select(ALL);
    }
    expectGeneration({ generation: 1, nodes: [...selection.nodes] }, []);
  });

  test('frees its seat on release, and its lease with it', () => {
    const cache = new LocalCache({ capacity: ROWS_MAX, limits: LIMITS, readers: 1 });
    for (let generation = 1; generation < 6; generation++) {
      cache.publish(selfDescribingRows(generation));
      const reader = cache.reader();
      expect(reader.generation()).toBe(generation);
      expect(() => cache.reader()).toThrow(expect.objectContaining({ code: 'SEATS_EXHAUSTED' }));
      reader.release();
    }
  });

  test('refuses a slot whose content is damaged when it is told to verify', () => {
    const cache = new LocalCache({ capacity: ROWS_MAX, limits: LIMITS });
    const { snapshot } = cache.publish(selfDescribingRows(5));
    const reader = cache.reader();
    reader.verify();
    snapshot.views.rowWords[0]! ^= 1;
    expect(() => reader.verify()).toThrow(expect.objectContaining({ code: 'SNAPSHOT_CORRUPT' }));
  });
});
