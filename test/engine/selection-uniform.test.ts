/**
 * Every node equally often, over very many picks, for numbers of nodes at and around the borders of how
 * random numbers are drawn.
 */
import { describe, expect, test } from 'vitest';
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { figure, LONG } from '../support/figures.ts';
import { LocalCache } from '../support/local-cache.ts';
import { networksOf, TEST_SETTINGS, testRow } from '../support/population.ts';
import { chiSquareP, withoutReplacement } from '../support/statistics.ts';

const SEED = 20_261_122;
const COUNT = 100;
const PICKS = LONG ? 100_000_000 : 12_000_000;
/** Of nine tests a right implementation fails one with a chance of one in five hundred. */
const P_LIMIT = 1e-4;
const IP_BYTE = 44;

describe(`${PICKS} picks are of every node equally often`, () => {
  test.each([1, 2, 3, 7, 1_000, 65_535, 65_536, 65_537, 100_000])(
    'of %d',
    size => {
      // A network and so an address for each: it says which node it is.
      const nodes = networksOf(Array<number>(size).fill(1), 'vetted');
      const cache = new LocalCache({ capacity: size, settings: TEST_SETTINGS, seed: SEED });
      cache.publish(nodes.map(testRow));
      const reader = cache.reader();
      const count = Math.min(COUNT, Math.max(1, size - 1));
      const bytes = new Uint8Array(count * RECORD_BYTES);
      const picked = new Float64Array(size);
      for (let left = PICKS; left > 0; left -= count) {
        const { found } = reader.selectRecords({ count }, bytes);
        for (let at = IP_BYTE; at < found * RECORD_BYTES; at += RECORD_BYTES) {
          picked[((bytes[at]! - 20) << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!]!++;
        }
      }
      figure('G13', 'picks', PICKS);
      const even = Array<number>(size).fill(1);
      const p =
        size === 1
          ? 1
          : chiSquareP({ observed: [...picked], expected: even, scale: withoutReplacement(size, count) });
      figure('G13', 'sizes of populations', 1);
      expect(p).toBeGreaterThan(P_LIMIT);
      if (size > 100) expect(p).toBeLessThan(1 - P_LIMIT);
    },
    600_000,
  );
});
