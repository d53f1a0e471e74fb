/**
 * The fault matrix in its short form: each fault once, for half a second, against a real served process or a
 * small fleet, one after the other. `npm run faults -- --seconds 30` is the long form.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { demoRandom } from '../../src/server/demo/random.ts';
import { figure, LONG } from '../support/figures.ts';
import { SEED } from '../support/property.ts';
import { PHASES } from './http-load.ts';
import { FLEET_FAULTS, type MatrixResult, runMatrix, SERVED_FAULTS } from './matrix.ts';
import type { FaultResult } from './run-faults.ts';
import { STEP_NAMES } from './steps.ts';
import { closingLine, faultTable, stepTable } from './table.ts';

const SECONDS = LONG ? 30 : 0.5;
const TIMEOUT_MS = LONG ? 10_800_000 : 900_000;
/** The matrix of the design: each number has a fault at least. */
const NUMBERS = Array.from({ length: 50 }, (_, i) => `F${i + 1}`);

let matrix: MatrixResult;
beforeAll(async () => {
  const options = { only: [], seconds: SECONDS, bus: 'redis', random: demoRandom(SEED) } as const;
  matrix = await runMatrix(options);
}, TIMEOUT_MS);
afterAll(() => {
  if (matrix === undefined) return;
  const { hits, results } = matrix;
  console.log(`${faultTable(results)}\n\n${stepTable(hits)}\n\n${closingLine(results)} (SEED=${SEED})`);
});

function resultOf(number: string, name: string): FaultResult | undefined {
  return matrix.results.find(result => result.number === number && result.name === name);
}

describe(`under steady load (SEED=${SEED})`, () => {
  const faults = [...SERVED_FAULTS, ...FLEET_FAULTS].map(({ number, name }) => [number, name] as const);

  test.each(faults)('%s, %s: what is right happens, and no request fails', (number, name) => {
    const { verdict, detail, counts, counted } = resultOf(number, name)!;
    if (verdict !== 'not run') figure('G4', 'faults injected', 1);
    for (const phase of PHASES) {
      figure('G4', 'requests', counts[phase].requests);
      figure('G4', 'requests failed', counts[phase].failed);
    }
    for (const [what, times] of Object.entries(counted)) figure('G11', what, times);
    // What a machine cannot do is said, and is no failure.
    if (verdict === 'not run') expect(detail).not.toBe('');
    else
      expect({ verdict, detail: verdict === 'passed' ? '' : detail }).toEqual({
        verdict: 'passed',
        detail: '',
      });
  });

  test('every number of the matrix has a fault', () => {
    const numbers = new Set(faults.map(([number]) => number));
    expect(NUMBERS.filter(number => !numbers.has(number))).toEqual([]);
  });

  test.each(STEP_NAMES)('the step "%s" of the load cycle is hit by a fault', step => {
    expect(matrix.hits.of(step)).not.toEqual([]);
  });
});
