/** The number set and the id index against the sets and maps of the language. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { indexEntriesFor } from '../../native-layout/snapshot-header.ts';
import { ID_WORDS, ROW_WORDS } from '../../native-layout/snapshot-row.ts';
import { NumberSet } from '../../src/engine/selection/number-set.ts';
import { findRow, indexKeys, insertRow, NO_ROW } from '../../src/engine/snapshot/id-index.ts';
import { checkProperty } from '../support/property.ts';

const CAPACITY = 40;
const LIMIT = 5_000;

/** Few different numbers, near and far, so that they meet and share words. */
const numbers = fc.oneof(
  fc.nat(70),
  fc.nat(15).map(n => n * 300),
  fc.constantFrom(0, 31, 32, LIMIT - 1),
);

test('the number set is emptied for each round, also after more numbers than it expects', () => {
  const rounds = fc.array(
    fc.tuple(fc.constantFrom(LIMIT, 2 * LIMIT), fc.array(numbers, { maxLength: 2 * CAPACITY })),
    { maxLength: 12 },
  );
  checkProperty(
    fc.property(rounds, list => {
      const set = new NumberSet(CAPACITY);
      for (const [limit, round] of list) {
        const model = new Set<number>();
        set.clear(limit);
        expect(set.size).toBe(0);
        for (const number of round) {
          expect(set.has(number), `${number}`).toBe(model.has(number));
          expect(set.add(number), `${number}`).toBe(!model.has(number));
          model.add(number);
          expect(set.has(number)).toBe(true);
          expect(set.size).toBe(model.size);
        }
        for (const [, others] of list) {
          for (const number of others) expect(set.has(number)).toBe(model.has(number));
        }
      }
    }),
    { runs: 500 },
  );
});

/** Ids that differ in one word at the most from few others. */
const ids = fc
  .tuple(fc.nat(ID_WORDS - 1), fc.constantFrom(0, 1, 0xffff_ffff, 0x8000_0000), fc.nat(3))
  .map(([word, value, base]) =>
    Uint32Array.from({ length: ID_WORDS }, (_, i) => (i === word ? value : base)),
  );

test('the id index finds every id at its row, refuses a second one, and knows no other', () => {
  checkProperty(
    fc.property(
      fc.array(ids, { maxLength: 60 }),
      fc.array(ids, { maxLength: 20 }),
      fc.nat(),
      (list, others, seed) => {
        const entries = indexEntriesFor(list.length);
        const index = new Uint32Array(entries);
        const words = new Uint32Array(list.length * ROW_WORDS);
        const model = new Map<string, number>();
        const keys = indexKeys(seed);
        let rows = 0;
        for (const id of list) {
          words.set(id, rows * ROW_WORDS);
          expect(insertRow(index, entries, keys, words, rows)).toBe(!model.has(id.join()));
          if (!model.has(id.join())) model.set(id.join(), rows++);
        }
        for (const id of [...list, ...others]) {
          expect(findRow(index, entries, keys, words, id, 0)).toBe(model.get(id.join()) ?? NO_ROW);
        }
        expect(index.filter(entry => entry !== 0).length).toBe(model.size);
      },
    ),
    { runs: 500 },
  );
});

test('no differences between ids meet in the index under every key', () => {
  // Flips that cancelled in an earlier hash, whatever its key: bit 31 of a word, bits 31 and 16 of the next.
  const id = new Uint32Array(ID_WORDS).fill(7);
  const words = new Uint32Array(2 * ROW_WORDS);
  const entries = indexEntriesFor(2);
  let met = 0;
  for (let seed = 0; seed < 1000; seed++) {
    words.set(id, 0);
    words.set(id, ROW_WORDS);
    words[ROW_WORDS] = words[ROW_WORDS]! ^ 0x8000_0000;
    words[ROW_WORDS + 1] = words[ROW_WORDS + 1]! ^ 0x8001_0000;
    const index = new Uint32Array(entries);
    insertRow(index, entries, indexKeys(seed), words, 0);
    const first = index.findIndex(entry => entry !== 0);
    const other = new Uint32Array(entries);
    insertRow(other, entries, indexKeys(seed), words, 1);
    if (other.findIndex(entry => entry !== 0) === first) met++;
  }
  // By chance alone one in `entries`.
  expect(met).toBeGreaterThan((1000 / entries) * 0.5);
  expect(met).toBeLessThan((1000 / entries) * 2);
});
