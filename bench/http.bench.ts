/**
 * Question: how many answers a second does one HTTP thread give, and what does one cost it, beside sending
 * constant bytes of the same size? What do several threads cost, and do connections spread? Workload: 110
 * relay nodes as JSON over keep-alive connections on loopback; closed loop. Run: npm run bench:http [--
 * --json] [--toy] [--large] [--only text] [--save]
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodedBytesMax, fileSource, openCache } from '../src/index.ts';
import { environment } from './harness/environment.ts';
import { type BenchOptions, benchOptions } from './harness/options.ts';
import { relayCount, temporaryFolder, writeRelayFile } from './harness/population.ts';
import { type BenchResult, emit, median, rounded, withRatios } from './harness/result.ts';
import {
  type CaseFiles,
  FASTIFY_FLOOR,
  NODE_FLOOR,
  type ServedCase,
  startCases,
  stopCases,
} from './http/cases.ts';
import { Load, type Outcome } from './http/load.ts';
import { type ThreadsPlan, threadResults } from './http/threads.ts';
import { COUNT, NEW_COUNT } from './select/cases.ts';

interface Plan {
  readonly rounds: number;
  /** Long enough for a request to become hot. */
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly connections: readonly number[];
  readonly threads: ThreadsPlan;
  /** Nodes of the population by which memory is measured. */
  readonly largeNodes: number;
}

const PLAN: Plan = {
  rounds: 5,
  warmupMs: 800,
  durationMs: 2_000,
  connections: [1, 64, 512],
  threads: { threads: 3, spread: 512, connections: 32, rounds: 3, warmupMs: 500, durationMs: 1_500 },
  largeNodes: 300_000,
};
const LARGE: Plan = { ...PLAN, rounds: 11, largeNodes: 1_000_000 };
const TOY: Plan = {
  rounds: 1,
  warmupMs: 50,
  durationMs: 100,
  connections: [1, 4],
  threads: { threads: 2, spread: 32, connections: 2, rounds: 1, warmupMs: 20, durationMs: 50 },
  largeNodes: 3_000,
};

/** One answer of ours as it goes over the wire, to be the constant of the floors. */
async function writeBody(path: string, relayFile: string): Promise<number> {
  const cache = await openCache({ source: fileSource(relayFile) });
  try {
    const target = new Uint8Array(encodedBytesMax('json', COUNT));
    const { bytes } = cache.selectEncoded('json', { count: COUNT, newFraction: NEW_COUNT / COUNT }, target);
    writeFileSync(path, target.subarray(0, bytes));
    return bytes;
  } finally {
    await cache.close();
  }
}

async function measureAll(
  load: Load,
  cases: readonly ServedCase[],
  { rounds, warmupMs, durationMs, connections: steps }: Plan,
): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const connections of steps) {
    const outcomes = new Map(cases.map(({ name }) => [name, [] as Outcome[]]));
    for (let round = 0; round < rounds; round++) {
      for (const { name, server, requests } of cases) {
        const order = { connections, warmupMs, durationMs, requests };
        outcomes.get(name)!.push(await load.run(server, order));
      }
    }
    results.push(...cases.map(({ name }) => summary(name, connections, outcomes)));
  }
  return results;
}

/** Medians over the rounds; ratios are those of a round, so that a slow phase of the machine meets both. */
function summary(
  name: string,
  connections: number,
  outcomes: ReadonlyMap<string, readonly Outcome[]>,
): BenchResult {
  const mine = outcomes.get(name)!;
  const over = (pick: (outcome: Outcome) => number | undefined) =>
    rounded(median(mine.map(outcome => pick(outcome) ?? Number.NaN)));
  const beside = (floor: string, pick: (outcome: Outcome) => number | undefined) =>
    rounded(
      median(
        mine.map((o, round) => (pick(o) ?? Number.NaN) / (pick(outcomes.get(floor)![round]!) ?? Number.NaN)),
      ),
    );
  const perSecond = (o: Outcome) => (1000 * o.requests) / o.elapsedMs;
  const suffix = `${connections} connection${connections === 1 ? '' : 's'}`;
  const floor = `${FASTIFY_FLOOR}, ${suffix}`;
  const full = `${name}, ${suffix}`;
  return {
    name: full,
    requests_per_second: Math.round(median(mine.map(perSecond))),
    p50_us: over(o => o.p50_us),
    p99_us: over(o => o.p99_us),
    http_thread_cpu_us: over(o => o.mainThreadUs),
    process_cpu_us: over(o => o.processUs),
    of_fastify: beside(FASTIFY_FLOOR, perSecond),
    of_node: beside(NODE_FLOOR, perSecond),
    p99_of_fastify: beside(FASTIFY_FLOOR, o => o.p99_us),
    cpu_of_fastify: beside(FASTIFY_FLOOR, o => o.mainThreadUs),
    failures: mine.reduce((sum, o) => sum + o.failures, 0),
    ...(full === floor ? {} : { floor }),
  };
}

/** `--only threads` leaves everything else out, any other `--only` the threads. */
async function main(options: BenchOptions): Promise<void> {
  const folder = temporaryFolder();
  const load = new Load();
  const plan = options.toy ? TOY : options.large ? LARGE : PLAN;
  const rows = options.toy ? 2_000 : relayCount();
  const relayFile = join(folder.path, 'relays.csv');
  const results: BenchResult[] = [];
  try {
    await writeRelayFile(relayFile, rows);
    const bodyFile = join(folder.path, 'body.json');
    const bytes = await writeBody(bodyFile, relayFile);
    const about = environment(options.toy, { nodes: rows, bytes });
    if (options.only !== 'threads') {
      results.push(...(await casesResults(load, { relayFile, bodyFile, rows }, options.only, plan)));
    }
    if (options.only === '' || options.only === 'threads') {
      const largeFile = join(folder.path, 'large.csv');
      await writeRelayFile(largeFile, plan.largeNodes);
      results.push(...(await threadResults(load, relayFile, largeFile, plan.threads)));
    }
    emit('http', { environment: about, results: withRatios(results) }, options);
  } finally {
    load.stop();
    folder.remove();
  }
}

async function casesResults(load: Load, files: CaseFiles, only: string, plan: Plan): Promise<BenchResult[]> {
  const cases = await startCases(files, only);
  try {
    return await measureAll(load, cases, plan);
  } finally {
    await stopCases(cases);
  }
}

await main(benchOptions());
