import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PollPosition, type UpdatedRow } from '../../../src/workers/source/postgres/feed/poll-position.ts';
import { checkProperty } from '../../support/property.ts';

const OVERLAP = 100;
const ROWS_MAX = 50;

/** A table of one column that is polled, with a clock that a test sets. */
class PolledTable {
  readonly rows = new Map<string, { micros: number; version: number }>();
  readonly known = new Map<string, number>();
  now = 1_000_000;
  missedCount = 0;
  readonly #position: PollPosition;

  constructor() {
    this.#position = new PollPosition({ overlapMicros: OVERLAP, rowsMax: ROWS_MAX }, undefined, this.now);
  }

  write(id: string, micros: number): void {
    this.rows.set(id, { micros, version: (this.rows.get(id)?.version ?? 0) + 1 });
  }

  poll(): UpdatedRow[] {
    const { fromMicros, exclusive } = this.#position.bound();
    const found = [...this.rows].filter(
      ([, { micros }]) => micros > fromMicros || (!exclusive && micros === fromMicros),
    );
    const rows = found.map(([id, { micros }]) => ({ id, micros: String(micros), out: false }));
    const fresh = this.#position.take(rows.slice(0, ROWS_MAX + 1), this.now);
    if (fresh === undefined) {
      this.missedCount++;
      for (const [id, { version }] of this.rows) this.known.set(id, version);
    }
    for (const { id } of fresh ?? []) this.known.set(id, this.rows.get(id)!.version);
    return fresh ?? [];
  }

  upToDate(): boolean {
    return [...this.rows].every(([id, { version }]) => this.known.get(id) === version);
  }
}

describe('a poll', () => {
  test('reports each write once, and none that it has seen', () => {
    const table = new PolledTable();
    table.write('a', table.now);
    table.write('b', table.now - 1);
    expect(table.poll().map(({ id }) => id)).toEqual(['a', 'b']);
    expect(table.poll()).toEqual([]);
    table.now += 10;
    table.write('a', table.now);
    expect(table.poll().map(({ id }) => id)).toEqual(['a']);
  });

  test('finds what was committed late, within the overlap', () => {
    const table = new PolledTable();
    table.write('a', table.now);
    table.poll();
    table.now += 60;
    table.write('b', table.now);
    table.poll();
    table.write('late', table.now - OVERLAP);
    expect(table.poll().map(({ id }) => id)).toEqual(['late']);
  });

  test('goes on after a row of the far future', () => {
    const table = new PolledTable();
    table.write('future', table.now * 1_000);
    table.poll();
    table.now += 5;
    table.write('a', table.now);
    expect(table.poll().map(({ id }) => id)).toEqual(['a']);
    expect(table.poll()).toEqual([]);
  });

  test('goes on after the clock was set back, and forward', () => {
    const table = new PolledTable();
    table.write('a', table.now);
    table.poll();
    table.now -= 50_000;
    table.poll();
    table.write('b', table.now);
    expect(table.poll().map(({ id }) => id)).toContain('b');
    table.now += 900_000;
    table.write('c', table.now);
    expect(table.poll().map(({ id }) => id)).toEqual(['c']);
  });

  test('of too many rows is everything, once', () => {
    const table = new PolledTable();
    for (let i = 0; i <= ROWS_MAX; i++) table.write(`n${i}`, table.now);
    expect(table.poll()).toEqual([]);
    expect(table.missedCount).toBe(1);
    expect(table.poll()).toEqual([]);
    expect(table.missedCount).toBe(1);
    table.now += 1;
    table.write('n1', table.now);
    expect(table.poll().map(({ id }) => id)).toEqual(['n1']);
  });

  test('after poll, everything that was written within the overlap is known', () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('write' as const),
        id: fc.integer({ min: 0, max: 70 }),
        late: fc.nat(OVERLAP),
      }),
      fc.record({ kind: fc.constant('time' as const), by: fc.nat(80) }),
      fc.record({ kind: fc.constant('poll' as const) }),
      fc.record({ kind: fc.constant('back' as const), by: fc.nat(300_000) }),
    );
    const property = fc.property(fc.array(step, { maxLength: 120 }), steps => {
      const table = new PolledTable();
      // Two writes of a row at the very same time cannot be told apart: here there are none.
      let unique = 0;
      for (const each of steps) {
        unique += 1e-6;
        // Time passes between two writes: a poll looks as far back as its overlap from the newest of them.
        if (each.kind === 'write')
          table.write(String(each.id), table.now - Math.floor(each.late / 2) + unique);
        else if (each.kind === 'time') table.now += Math.floor(each.by / 2);
        else if (each.kind === 'poll') table.poll();
        else {
          // Whoever sets a clock back is seen by the next poll, and not before.
          table.poll();
          table.now -= each.by;
          table.poll();
        }
        if (each.kind === 'time') table.poll();
      }
      table.poll();
      expect(table.upToDate()).toBe(true);
    });
    checkProperty(property, { runs: 400 });
  });
});
