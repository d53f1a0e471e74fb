/**
 * `npm run verify:all`: runs the tests of every goal in their long form, and prints what each has reached,
 * with the seed and the commit. `npm run verify:all -- G1 G7`: of those only. `--short`: as they run with all
 * others.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { GoalId } from '../support/figures.ts';
import { GOALS } from './goals.ts';

const ROOT = resolve(import.meta.dirname, '../..');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { short: { type: 'boolean', default: false }, seed: { type: 'string' } },
});
const unknown = positionals.filter(name => !(name in GOALS));
if (unknown.length > 0) {
  process.stderr.write(`there is no goal ${unknown.join(', ')}: ${Object.keys(GOALS).join(', ')}\n`);
  process.exit(2);
}
const goals = (positionals.length > 0 ? positionals : Object.keys(GOALS)) as GoalId[];
const tests = [...new Set(goals.flatMap(goal => GOALS[goal]!.tests))];
const missing = tests.filter(path => !existsSync(resolve(ROOT, path)));
if (missing.length > 0) throw new Error(`not there: ${missing.join(', ')}`);

const seed = values.seed ?? String(randomInt(2 ** 31));
const form = values.short ? 'short form' : 'long form';
const { status } = spawnSync('vitest', ['run', ...tests], {
  cwd: ROOT,
  stdio: 'inherit',
  env: {
    ...process.env,
    SEED: seed,
    VERIFIED_GOALS: goals.join(),
    ...(values.short ? {} : { PROOF: 'long' }),
  },
});
const commit = execFileSync('git', ['describe', '--always', '--dirty'], { cwd: ROOT, encoding: 'utf8' });
const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`;
process.stdout.write(
  `\n${form} · seed ${seed} · commit ${commit.trim()} · node ${process.version} · ${machine}\n`,
);
process.exit(status ?? 1);
