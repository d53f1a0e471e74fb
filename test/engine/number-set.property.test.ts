/** The number set and the id index against the sets and maps of the language. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { indexEntriesFor } from '../../native-layout/snapshot-header.ts';
import { ID_WORDS, ROW_WORDS } from '../../native-layout/snapshot-row.ts';
import { NumberSet } from '../../src/engine/selection/number-set.ts';
import { fillIndex, findRow, hashNodeId, indexKeys, NO_ROW } from '../../src/engine/snapshot/id-index.ts';
import { checkProperty } from '../support/property.ts';

const CAPACITY = 10;
const LIMIT = 5_000;

/** Few different numbers, near and far, so that they meet and share words. */
const numbers = fc.oneof(
  fc.nat(70),
  fc.nat(15).map(n => n * 300),
  fc.constantFrom(0, 31, 32, LIMIT - 1),
);

test('the number set is emptied for each round, also after more numbers than it expects', () => {
  const rounds = fc.array(
    fc.tuple(
      fc.constantFrom(LIMIT, 2 * LIMIT),
      fc.array(fc.tuple(numbers, fc.boolean()), { maxLength: 5 * CAPACITY, size: 'max' }),
    ),
    { maxLength: 12 },
  );
  let overfull = 0;
  checkProperty(
    fc.property(rounds, list => {
      const set = new NumberSet(CAPACITY);
      for (const [limit, round] of list) {
        const model = new Set<number>();
        set.clear(limit);
        expect(set.size).toBe(0);
        let added = 0;
        for (const [number, removes] of round) {
          expect(set.has(number), `${number}`).toBe(model.has(number));
          if (removes && model.delete(number)) {
            set.remove(number);
            expect(set.has(number)).toBe(false);
          } else {
            if (!model.has(number)) added++;
            expect(set.add(number), `${number}`).toBe(!model.has(number));
            model.add(number);
            expect(set.has(number)).toBe(true);
          }
          expect(set.size).toBe(model.size);
        }
        if (added > CAPACITY) overfull++;
        for (const [, others] of list) {
          for (const [number] of others) expect(set.has(number)).toBe(model.has(number));
        }
      }
    }),
    { runs: 500 },
  );
  expect(overfull).toBeGreaterThan(100);
});

/** Ids that differ in one word at the most from few others. */
const ids = fc
  .tuple(fc.nat(ID_WORDS - 1), fc.constantFrom(0, 1, 0xffff_ffff, 0x8000_0000), fc.nat(3))
  .map(([word, value, base]) =>
    Uint32Array.from({ length: ID_WORDS }, (_, i) => (i === word ? value : base)),
  );

test('the id index finds every id at its row, knows no other, and says when one comes twice', () => {
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
        for (const id of list) {
          if (model.has(id.join())) continue;
          words.set(id, model.size * ROW_WORDS);
          model.set(id.join(), model.size);
        }
        expect(fillIndex(index, entries, hashesOf(words, model.size, keys), words, model.size)).toBe(true);
        for (const id of [...list, ...others]) {
          expect(findRow(index, entries, keys, words, id, 0)).toBe(model.get(id.join()) ?? NO_ROW);
        }
        expect(index.filter(entry => entry !== 0).length).toBe(model.size);
        if (list.length === 0) return;
        const twice = new Uint32Array([...words.subarray(0, model.size * ROW_WORDS), ...list.at(-1)!]);
        const hashes = hashesOf(twice, model.size + 1, keys);
        expect(fillIndex(new Uint32Array(4 * entries), 4 * entries, hashes, twice, model.size + 1)).toBe(
          false,
        );
      },
    ),
    { runs: 500 },
  );
});

function hashesOf(words: Uint32Array, rows: number, keys: Int32Array): Uint32Array {
  return Uint32Array.from({ length: rows }, (_, row) => hashNodeId(words, row * ROW_WORDS, keys));
}

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
    const hashes = hashesOf(words, 2, indexKeys(seed));
    fillIndex(index, entries, hashes, words, 1);
    const first = index.findIndex(entry => entry !== 0);
    const other = new Uint32Array(entries);
    fillIndex(other, entries, hashes.subarray(1), words.subarray(ROW_WORDS), 1);
    if (other.findIndex(entry => entry !== 0) === first) met++;
  }
  // By chance alone one in `entries`.
  expect(met).toBeGreaterThan((1000 / entries) * 0.5);
  expect(met).toBeLessThan((1000 / entries) * 2);
});
