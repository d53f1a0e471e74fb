/**
 * Question: what does an answer of 110 nodes (5 new, distinct networks) cost, beside plain JavaScript and
 * beside moving its bytes? Workload: the relay population through a real `openCache`; repeated for larger
 * sizes (`--large`: 1 M).
 * Run: npm run bench:select [-- --json] [--toy] [--large] [--only text] [--save]
 */
import { join } from 'node:path';
import { type Cache, fileSource, openCache } from '../src/index.ts';
import { environment } from './harness/environment.ts';
import { type BenchCase, MEASURE, MEASURE_TOY, measure } from './harness/measure.ts';
import { type BenchOptions, benchOptions } from './harness/options.ts';
import { relayCount, relayRows, temporaryFolder, writeRelayFile } from './harness/population.ts';
import { type BenchResult, emit, withRatios } from './harness/result.ts';
import { answerCases, blockedCases, countCases, sizeCases } from './select/cases.ts';
import { plainPools } from './select/peers.ts';

/** A cache of `rows` nodes, read from a file in `folder`; it never loads a second time. */
async function openRelays(folder: string, rows: number): Promise<Cache> {
  const path = join(folder, `${rows}.csv`);
  await writeRelayFile(path, rows);
  return openCache({ source: fileSource(path), refresh: { everyMs: 2 ** 31 - 1 } });
}

async function measureSize(folder: string, rows: number, options: BenchOptions): Promise<BenchResult[]> {
  const cache = await openRelays(folder, rows);
  try {
    const pools = plainPools(relayRows(rows));
    return run(sizeCases(cache, rows, pools), options);
  } finally {
    await cache.close();
  }
}

function run(cases: readonly BenchCase[], options: BenchOptions): BenchResult[] {
  const wanted = cases.filter(({ name }) => name.startsWith('floor') || name.includes(options.only));
  if (wanted.every(({ name }) => name.startsWith('floor'))) return [];
  return measure(wanted, options.toy ? MEASURE_TOY : MEASURE);
}

async function main(options: BenchOptions): Promise<void> {
  const folder = temporaryFolder();
  const rows = options.toy ? 5_000 : relayCount();
  const sizes = options.toy ? [6_000] : options.large ? [10_000, 100_000, 1_000_000] : [10_000, 100_000];
  try {
    const cache = await openRelays(folder.path, rows);
    const snapshotBytes = cache.status().lastLoad?.snapshotBytes ?? 0;
    const about = environment(options.toy, { nodes: rows, snapshotBytes });
    const pools = plainPools(relayRows(rows));
    const results = run(answerCases(cache, pools), options);
    results.push(...run(countCases(cache), options));
    results.push(...run(blockedCases(cache, pools), options));
    await cache.close();
    for (const size of sizes) results.push(...(await measureSize(folder.path, size, options)));
    emit('select', { environment: about, results: withRatios(results) }, options);
  } finally {
    folder.remove();
  }
}

await main(benchOptions());
