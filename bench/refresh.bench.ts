/**
 * Questions: how long does a load take, from a file and from Postgres, and where does the time go? How fast
 * are rows built that are in memory, and how fast is a change of one percent applied? Do readers notice
 * generations that are published back to back? Does memory grow with publishes? Workload: relay rows,
 * repeated; for Postgres a table of its own making. Run: npm run bench:refresh [-- --json] [--toy] [--large]
 * [--save] [--only <part>], a part of build, delta, stages, postgres, latency, memory. `--large`: also ten
 * million rows, from Postgres and by deltas.
 */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { environment } from './harness/environment.ts';
import { type BenchOptions, benchOptions } from './harness/options.ts';
import { temporaryFolder, writeRelayFile } from './harness/population.ts';
import { type BenchResult, emit, rounded, withRatios } from './harness/result.ts';
import { buildResults } from './refresh/build.ts';
import { deltaResults } from './refresh/delta.ts';
import { latencyResults } from './refresh/latency.ts';
import type { MemoryMark } from './refresh/memory.ts';
import { postgresResults } from './refresh/postgres.ts';
import { stageResults } from './refresh/stages.ts';

const MEMORY_URL = new URL('./refresh/memory.ts', import.meta.url);
const MIB = 1_048_576;
/** The last mark may be so much above that of ten publishes before it counts as growth. */
const FLAT_RATIO_MAX = 1.1;
const FLAT_FROM_PUBLISHES = 10;

const LOADS = [
  { rows: 10_000, loads: 20 },
  { rows: 100_000, loads: 10 },
  { rows: 1_000_000, loads: 3 },
];
const TOY_LOADS = [{ rows: 2_000, loads: 2 }];

const BUILDS = [
  { rows: 10_830, loads: 200 },
  { rows: 100_000, loads: 30 },
  { rows: 1_000_000, loads: 10 },
];
const TOY_BUILDS = [{ rows: 2_000, loads: 2 }];

const DELTAS = [
  { rows: 10_830, deltas: 200 },
  { rows: 100_000, deltas: 50 },
  { rows: 1_000_000, deltas: 20 },
];
const LARGE_DELTAS = [...DELTAS, { rows: 10_000_000, deltas: 5 }];
const TOY_DELTAS = [{ rows: 2_000, deltas: 2 }];

const POSTGRES = { rows: 1_000_000, loads: 9, withMemory: false };
const LARGE_POSTGRES = { rows: 10_000_000, loads: 3, withMemory: true };
const TOY_POSTGRES = { rows: 2_000, loads: 2, withMemory: true };

const LATENCY = { rows: 100_000, samples: 200_000, rounds: 5 };
const TOY_LATENCY = { rows: 2_000, samples: 2_000, rounds: 1 };

const MEMORY = { rows: 100_000, publishes: 100 };
const LARGE_MEMORY = { rows: 100_000, publishes: 1_000 };
const TOY_MEMORY = { rows: 2_000, publishes: 12 };

async function memoryResults(folder: string, rows: number, publishes: number): Promise<BenchResult[]> {
  const path = join(folder, `memory-${rows}.csv`);
  await writeRelayFile(path, rows);
  const marks = await memoryMarks(path, publishes);
  const base = marks.find(mark => mark.publishes === FLAT_FROM_PUBLISHES) ?? marks[0];
  return marks.map(({ publishes: count, residentBytes }) => {
    const ratio = residentBytes / (base?.residentBytes ?? residentBytes);
    return {
      name: `resident memory after ${count} publishes of ${rows}`,
      resident_mib: rounded(residentBytes / MIB),
      against_tenth: Math.round(ratio * 1000) / 1000,
      ...(count > FLAT_FROM_PUBLISHES ? { flat: ratio <= FLAT_RATIO_MAX ? 'yes' : 'no' } : {}),
    };
  });
}

async function memoryMarks(path: string, publishes: number): Promise<MemoryMark[]> {
  const marks: MemoryMark[] = [];
  const child = fork(fileURLToPath(MEMORY_URL), [path, String(publishes)]);
  child.on('message', message => marks.push(message as MemoryMark));
  const code = await new Promise<number | null>(resolve => child.once('exit', resolve));
  if (code !== 0) throw new Error(`the memory bench ended with code ${code}`);
  return marks;
}

async function run(folder: string, options: BenchOptions): Promise<BenchResult[]> {
  const { toy, large } = options;
  const wanted = (part: string) => part.includes(options.only);
  const results: BenchResult[] = [];
  if (wanted('build')) {
    for (const { rows, loads } of toy ? TOY_BUILDS : BUILDS) results.push(...buildResults(rows, loads));
  }
  if (wanted('delta')) {
    for (const { rows, deltas } of toy ? TOY_DELTAS : large ? LARGE_DELTAS : DELTAS)
      results.push(...deltaResults(rows, deltas));
  }
  if (wanted('stages')) {
    for (const { rows, loads } of toy ? TOY_LOADS : LOADS)
      results.push(...(await stageResults(folder, rows, loads)));
  }
  if (wanted('postgres')) {
    for (const { rows, loads, withMemory } of toy
      ? [TOY_POSTGRES]
      : [POSTGRES, ...(large ? [LARGE_POSTGRES] : [])])
      results.push(...(await postgresResults(rows, loads, withMemory)));
  }
  if (wanted('latency')) results.push(...(await latencyResults(folder, toy ? TOY_LATENCY : LATENCY)));
  if (wanted('memory')) {
    const { rows, publishes } = toy ? TOY_MEMORY : large ? LARGE_MEMORY : MEMORY;
    results.push(...(await memoryResults(folder, rows, publishes)));
  }
  return results;
}

async function main(options: BenchOptions): Promise<void> {
  const folder = temporaryFolder();
  try {
    const about = environment(options.toy, {});
    const results = await run(folder.path, options);
    emit('refresh', { environment: about, results: withRatios(results) }, options);
  } finally {
    folder.remove();
  }
}

await main(benchOptions());
