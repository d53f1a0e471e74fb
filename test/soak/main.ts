/**
 * `npm run soak`: the long run; prints what came of it, and ends with 1 when something failed.
 *
 *   --minutes 60   how long
 *   --seed N       repeats what is done to the process, if not when
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { demoRandom } from '../../src/server/demo/random.ts';
import { soakProblems, soakTable } from './report.ts';
import { runSoak } from './soak.ts';

const MINUTES_DEFAULT = '60';
const SEED_BELOW = 2 ** 31;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: MINUTES_DEFAULT }, seed: { type: 'string' } },
});
const minutes = Number(values.minutes);
const seed = values.seed === undefined ? randomInt(SEED_BELOW) : Number(values.seed);
if (!(minutes > 0) || !Number.isInteger(seed)) throw new Error('--minutes and --seed take numbers');

console.log(`seed ${seed}, ${minutes} min`);
const result = await runSoak({
  seconds: minutes * 60,
  random: demoRandom(seed),
  onMinute: text => console.log(text),
});
const problems = soakProblems(result, true);
console.log(`\n${soakTable(result)}\n`);
console.log(
  problems.length === 0 ? `passed (seed ${seed})` : `failed: ${problems.join('; ')} (seed ${seed})`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
