/** The long form of the kill test: `npm run kill-test -- --times 1000`. */
import { parseArgs } from 'node:util';
import { KillStorm, killLines } from './kill-storm.ts';
import { SEED } from './property.ts';

const NODES = 100_000;
const SAY_EVERY = 50;

const { values } = parseArgs({ options: { times: { type: 'string', default: '1000' } } });
let starts = 0;
await using storm = new KillStorm({
  times: Number(values.times),
  nodes: NODES,
  seed: SEED,
  onStart: () => {
    if (++starts % SAY_EVERY === 0) console.info(killLines(storm.figures()).join('\n'));
  },
});
const figures = await storm.run();
for (const line of killLines(figures)) console.info(line);
console.info(`replay with SEED=${SEED}`);
if (figures.problems.length > 0) process.exitCode = 1;
