/** How the memory of prepared answers is cut: some for each thread, and never more than there is. */
import { expect, test } from 'vitest';
import { checkRingShape, ringAnswerBytes } from '../../src/engine/prepared/ring-layout.ts';
import { ringShape, ringsPerThread } from '../../src/server/answers/ring-plan.ts';

const MIB = 1_048_576;

test('the memory is a bound, whatever the number of threads', () => {
  for (const mib of [8, 9, 33, 64, 4_096]) {
    for (let threads = 1; threads <= 64; threads++) {
      const shape = ringShape(mib * MIB, threads);
      checkRingShape(shape);
      expect(ringAnswerBytes(shape)).toBeLessThanOrEqual(mib * MIB);
      expect(shape.rings).toBe(threads * ringsPerThread(mib * MIB, threads));
    }
  }
});

test('a ring is long where there is memory', () => {
  expect(ringShape(64 * MIB, 1)).toMatchObject({ rings: 16, slots: 128 });
  expect(ringShape(64 * MIB, 8)).toMatchObject({ rings: 16, slots: 128 });
  expect(ringShape(64 * MIB, 17)).toMatchObject({ rings: 17, slots: 120 });
});
