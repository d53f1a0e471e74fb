/**
 * Question: what does an answer of 110 nodes (5 new, distinct networks) cost, beside plain JavaScript, beside
 * C and beside moving its bytes? Workload: the relay population through a real `openCache`; repeated for
 * larger and smaller sizes (`--large`: also 1 M and 10 M, whose file takes 1.2 GB of the temporary folder
 * meanwhile).
 * Run: npm run bench:select [-- --json] [--toy] [--large] [--only text] [--save]
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Cache, fileSource, openCache } from '../src/index.ts';
import { until } from '../test/support/until.ts';
import { FLOOR_BUILDS, Floor } from './floor/floor.ts';
import { environment } from './harness/environment.ts';
import { type BenchCase, MEASURE, MEASURE_TOY, measure } from './harness/measure.ts';
import { type BenchOptions, benchOptions } from './harness/options.ts';
import { relayCount, relayRows, temporaryFolder, writeRelayFile } from './harness/population.ts';
import { type BenchResult, emit, withRatios } from './harness/result.ts';
import { answerCases, blockedCases, countCases, sizeCases } from './select/cases.ts';
import { plainPools } from './select/peers.ts';
import { readerThreadResults } from './select/reader-threads.ts';

const SIZES = [1_000, 10_000, 100_000];
const LARGE_SIZES = [...SIZES, 1_000_000, 10_000_000];
const TOY_SIZES = [6_000];
/** More objects than these do not fit into V8's heap as it comes. */
const OBJECTS_MAX = 1_000_000;
const READER_TIMES = { ms: 500, rounds: 9 };
const TOY_READER_TIMES = { ms: 5, rounds: 1 };
const NEVER_MS = 2 ** 31 - 1;
const LOAD_TIMEOUT_MS = 600_000;
const WRITE_TIMEOUT_MS = 120_000;

/** A cache of `rows` nodes, read from a file in `folder`; it never loads a second time. */
async function openRelays(folder: string, rows: number): Promise<Cache> {
  const path = join(folder, `${rows}.csv`);
  await writeRelayFile(path, rows);
  const snapshotFile = snapshotPath(folder, rows);
  const cache = await openCache({
    source: fileSource(path),
    refresh: { everyMs: NEVER_MS, timeoutMs: LOAD_TIMEOUT_MS },
    readyTimeoutMs: LOAD_TIMEOUT_MS,
    capacity: { nodes: rows },
    snapshotFile,
  });
  // The floor reads it; it is written while the cache is already served.
  await until(
    'the snapshot file',
    () => cache.status().snapshotFile?.writtenAt !== undefined,
    WRITE_TIMEOUT_MS,
  );
  // 1.2 GB of 10 M nodes; nobody reads it a second time.
  rmSync(path);
  return cache;
}

/** Where the cache of `rows` nodes keeps its snapshot, which the floor maps. */
function snapshotPath(folder: string, rows: number): string {
  return join(folder, `${rows}.snapshot`);
}

async function measureSize(folder: string, rows: number, options: BenchOptions): Promise<BenchResult[]> {
  const cache = await openRelays(folder, rows);
  const floor = new Floor('native', snapshotPath(folder, rows), folder);
  try {
    const pools = rows > OBJECTS_MAX ? undefined : plainPools(relayRows(rows));
    return run(sizeCases(cache, rows, pools, [floor]), options);
  } finally {
    floor.close();
    await cache.close();
    rmSync(snapshotPath(folder, rows), { force: true });
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
  const sizes = options.toy ? TOY_SIZES : options.large ? LARGE_SIZES : SIZES;
  try {
    const cache = await openRelays(folder.path, rows);
    const snapshotBytes = cache.status().lastLoad?.snapshotBytes ?? 0;
    const about = environment(options.toy, { nodes: rows, snapshotBytes });
    const pools = plainPools(relayRows(rows));
    const floors = FLOOR_BUILDS.map(build => new Floor(build, snapshotPath(folder.path, rows), folder.path));
    const native = floors.slice(0, 1);
    const results = run(answerCases({ cache, pools, rows: [...relayRows(rows)], floors }), options);
    results.push(...run(countCases(cache, native), options));
    results.push(...run(blockedCases(cache, pools, native), options));
    for (const floor of floors) floor.close();
    if ('threads'.includes(options.only)) {
      results.push(...(await readerThreadResults(cache, options.toy ? TOY_READER_TIMES : READER_TIMES)));
    }
    await cache.close();
    for (const size of sizes) results.push(...(await measureSize(folder.path, size, options)));
    emit('select', { environment: about, results: withRatios(results) }, options);
  } finally {
    folder.remove();
  }
}

await main(benchOptions());
