/**
 * Nobody who sees picks can name the next ones: the attack that breaks `Math.random` finds nothing in ours.
 */
import { expect, test } from 'vitest';
import { RECORD_TAIL_WORD, RECORD_WORDS } from '../../native-layout/node-record.ts';
import { figure, LONG } from '../support/figures.ts';
import { LocalCache } from '../support/local-cache.ts';
import { networksOf, TEST_SETTINGS, testPort, testRow } from '../support/population.ts';
import { foretell } from '../support/xorshift-attack.ts';

const NODES = 50_000;
const SEEN = 24;
/** More would be named wrongly where a block of V8's ends between them. */
const NAMED = 1;
/** The attack is right when it breaks what can be broken. */
const MATH_TRIALS = 50;
const MATH_WINS_MIN = 45;
const OUR_TRIALS = LONG ? 1_000 : 200;

function wins(trials: number, pick: () => number): number {
  let won = 0;
  for (let trial = 0; trial < trials; trial++) {
    const seen = Array.from({ length: SEEN }, pick);
    const named = foretell(seen, NODES, NAMED);
    const next = Array.from({ length: NAMED }, pick);
    if (named !== undefined && named.join() === next.join()) won++;
  }
  return won;
}

test(`${SEEN} picks by Math.random tell the next ones`, () => {
  const won = wins(MATH_TRIALS, () => Math.floor(Math.random() * NODES));
  figure('G13', `of ${MATH_TRIALS} attacks on Math.random won`, won);
  expect(won).toBeGreaterThanOrEqual(MATH_WINS_MIN);
});

test('picks of ours do not', () => {
  const nodes = networksOf(Array<number>(NODES).fill(1), 'vetted');
  const cache = new LocalCache({ capacity: NODES, settings: TEST_SETTINGS });
  cache.publish(nodes.map(testRow));
  const reader = cache.reader();
  // In the order in which the kernel draws them: any other is a permutation, which would only be harder.
  const indexOf = new Map(nodes.map((node, i) => [testPort(node), i]));
  const words = new Uint32Array(RECORD_WORDS);
  const bytes = new Uint8Array(words.buffer);
  const won = wins(OUR_TRIALS, () => {
    reader.selectRecords({ count: 1 }, bytes);
    return indexOf.get(words[RECORD_TAIL_WORD]! & 0xffff)!;
  });
  figure('G13', `of ${OUR_TRIALS} attacks on ours won`, won);
  expect(won).toBe(0);
});
