/**
 * `npm run faults`: injects the fault matrix, prints what came of it, and ends with 1 when a fault failed.
 *
 *   --only F3,F17   these faults; all of them when absent
 *   --seconds 5     how long each is injected
 *   --seed N        repeats a run: places of cuts, rows, moments
 *   --bus redis     engine of the fleet: redis, nats or postgres
 *   --json FILE     writes the results there too
 */
import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { demoRandom } from '../../src/server/demo/random.ts';
import { BUS_KINDS } from '../support/fleet-scene.ts';
import { runMatrix } from './matrix.ts';
import { closingLine, faultLine, faultTable, stepTable } from './table.ts';

const SECONDS_DEFAULT = '5';
const SEED_BELOW = 2 ** 31;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    seconds: { type: 'string', default: SECONDS_DEFAULT },
    seed: { type: 'string' },
    bus: { type: 'string', default: 'redis' },
    json: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const seed = values.seed === undefined ? randomInt(SEED_BELOW) : Number(values.seed);
if (!(seconds > 0) || !Number.isInteger(seed)) throw new Error('--seconds and --seed take numbers');
const bus = BUS_KINDS.find(kind => kind === values.bus);
if (bus === undefined) throw new Error(`--bus is one of ${BUS_KINDS.join(', ')}`);
const only = values.only.split(',').filter(name => name !== '');

console.log(`seed ${seed}, ${seconds} s a fault`);
const { results, hits } = await runMatrix({
  only,
  seconds,
  bus,
  random: demoRandom(seed),
  onResult: result => console.log(faultLine(result)),
});
console.log(`\n${faultTable(results)}\n`);
// Some faults alone do not hit every step.
const isWhole = only.length === 0;
if (isWhole) console.log(`${stepTable(hits)}\n`);
const missed = isWhole ? hits.missed : [];
if (missed.length > 0) console.log(`steps that no fault has hit: ${missed.join(', ')}`);
console.log(`${closingLine(results)} (seed ${seed})`);
if (values.json !== undefined) {
  await writeFile(values.json, `${JSON.stringify({ seed, seconds, results }, undefined, 2)}\n`);
}
const isGood = results.every(({ verdict }) => verdict === 'passed' || verdict === 'not run');
process.exitCode = isGood && missed.length === 0 ? 0 : 1;
