/** `npm run fuzz -- --requests 1000000 --seed N`: the long run. Exits with 1 at the first wrong answer. */
import { parseArgs } from 'node:util';
import { runFuzzer } from './run.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    first: { type: 'string', default: '0' },
  },
});
const seed = Number(values.seed);
console.log(`seed ${seed}`);
try {
  const report = await runFuzzer({
    seed,
    requests: Number(values.requests),
    first: Number(values.first),
    onProgress: requests => console.log(`${requests.toLocaleString('en')} requests`),
  });
  for (const [what, count] of [...report.answers].toSorted()) {
    console.log(`${String(count).padStart(9)}  ${what}`);
  }
  const seconds = report.elapsedMs / 1_000;
  console.log(
    `${report.requests.toLocaleString('en')} requests in ${seconds.toFixed(1)} s: all as documented`,
  );
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
