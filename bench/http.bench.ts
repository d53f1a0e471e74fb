/**
 * Question: how many answers a second does one HTTP thread give, and what does one cost it, beside sending
 * constant bytes of the same size? Workload: 110 relay nodes as JSON over keep-alive connections on loopback;
 * closed loop.
 * Run: npm run bench:http [-- --json] [--toy] [--large] [--only text] [--save]
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodedBytesMax, fileSource, openCache } from '../src/index.ts';
import { environment } from './harness/environment.ts';
import { type BenchOptions, benchOptions } from './harness/options.ts';
import { relayCount, temporaryFolder, writeRelayFile } from './harness/population.ts';
import { type BenchResult, emit, median, rounded, withRatios } from './harness/result.ts';
import type { LoadOrder, LoadOutcome } from './http/load-generator.ts';
import { type RunningServer, startOurs, startPeer } from './http/servers.ts';
import { COUNT, NEW_COUNT } from './select/cases.ts';

const LOAD_URL = new URL('./http/load-generator.ts', import.meta.url);
const PATH = `/v1/selection?count=${COUNT}&newFraction=${(NEW_COUNT / COUNT).toFixed(4)}`;

interface Plan {
  readonly rounds: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly connections: readonly number[];
}

const PLAN: Plan = { rounds: 5, warmupMs: 300, durationMs: 2_000, connections: [1, 64] };
const LARGE: Plan = { ...PLAN, rounds: 11, connections: [1, 8, 64, 256] };
const TOY: Plan = { rounds: 1, warmupMs: 50, durationMs: 100, connections: [1, 4] };

interface Outcome extends LoadOutcome {
  readonly mainThreadUs: number | undefined;
  readonly processUs: number | undefined;
}

/** Floors first; then ours; then what programs do without it. */
async function startAll(
  folder: string,
  bodyFile: string,
  rows: number,
  only: string,
): Promise<RunningServer[]> {
  const source = ['--source', join(folder, 'relays.csv')];
  const starts: Readonly<Record<string, (name: string) => Promise<RunningServer>>> = {
    'Fastify, constant bytes': name => startPeer(name, 'fastify-constant', bodyFile, rows),
    'node:http, constant bytes': name => startPeer(name, 'node-constant', bodyFile, rows),
    'sortition, in place': name => startOurs(name, source),
    'sortition, from the pool': name => startOurs(name, [...source, '--serve-from', 'pool']),
    'Fastify, objects and JSON.stringify': name => startPeer(name, 'fastify-objects', bodyFile, rows),
  };
  const servers: RunningServer[] = [];
  try {
    for (const [name, start] of Object.entries(starts)) {
      if (servers.length === 0 || name.includes(only)) servers.push(await start(name));
    }
    return servers;
  } catch (error) {
    await stopAll(servers);
    throw error;
  }
}

async function stopAll(servers: readonly RunningServer[]): Promise<void> {
  await Promise.all(servers.map(server => server.stop()));
}

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

async function measureAll(servers: readonly RunningServer[], plan: Plan): Promise<BenchResult[]> {
  const load = fork(fileURLToPath(LOAD_URL));
  try {
    const results: BenchResult[] = [];
    for (const connections of plan.connections) {
      const outcomes = servers.map((): Outcome[] => []);
      for (let round = 0; round < plan.rounds; round++) {
        for (const [i, server] of servers.entries()) {
          outcomes[i]!.push(
            await loadOnce(load, server, { ...plan, port: server.port, path: PATH, connections }),
          );
        }
      }
      results.push(
        ...servers.map((server, i) => summary(server.name, connections, outcomes[i]!, servers[0]!.name)),
      );
    }
    return results;
  } finally {
    load.kill();
  }
}

async function loadOnce(load: ChildProcess, server: RunningServer, order: LoadOrder): Promise<Outcome> {
  load.send(order);
  await messageOf(load);
  const before = server.cpu();
  const outcome = (await messageOf(load)) as LoadOutcome;
  const after = server.cpu();
  const perRequest = (key: 'mainThreadUs' | 'processUs') =>
    before === undefined || after === undefined ? undefined : (after[key] - before[key]) / outcome.requests;
  return { ...outcome, mainThreadUs: perRequest('mainThreadUs'), processUs: perRequest('processUs') };
}

/** The next message of the load generator; rejects when it ends instead. */
async function messageOf(load: ChildProcess): Promise<unknown> {
  const done = new AbortController();
  const { signal } = done;
  const ended = once(load, 'exit', { signal }).then(([code]) => {
    throw new Error(`the load generator ended with code ${code}`);
  });
  try {
    const [message] = await Promise.race([once(load, 'message', { signal }), ended]);
    return message;
  } finally {
    // Takes the listeners away; nobody waits for the loser any more.
    ended.catch(() => {});
    done.abort();
  }
}

function summary(
  name: string,
  connections: number,
  outcomes: readonly Outcome[],
  floorName: string,
): BenchResult {
  const over = (pick: (outcome: Outcome) => number | undefined) =>
    rounded(median(outcomes.map(outcome => pick(outcome) ?? Number.NaN)));
  const suffix = `${connections} connection${connections === 1 ? '' : 's'}`;
  const floor = `${floorName}, ${suffix}`;
  const full = `${name}, ${suffix}`;
  return {
    name: full,
    requests_per_second: Math.round(median(outcomes.map(o => (1000 * o.requests) / o.elapsedMs))),
    p50_us: over(o => o.p50_us),
    mean_us: over(o => o.mean_us),
    p99_us: over(o => o.p99_us),
    http_thread_cpu_us: over(o => o.mainThreadUs),
    process_cpu_us: over(o => o.processUs),
    failures: outcomes.reduce((sum, o) => sum + o.failures, 0),
    ...(full === floor ? {} : { floor }),
  };
}

async function main(options: BenchOptions): Promise<void> {
  const folder = temporaryFolder();
  const rows = options.toy ? 2_000 : relayCount();
  const bodyFile = join(folder.path, 'body.json');
  const relayFile = join(folder.path, 'relays.csv');
  try {
    await writeRelayFile(relayFile, rows);
    const bytes = await writeBody(bodyFile, relayFile);
    const about = environment(options.toy, { nodes: rows, bytes });
    const servers = await startAll(folder.path, bodyFile, rows, options.only);
    try {
      const plan = options.toy ? TOY : options.large ? LARGE : PLAN;
      const results = await measureAll(servers, plan);
      emit('http', { environment: about, results: withRatios(results) }, options);
    } finally {
      await stopAll(servers);
    }
  } finally {
    folder.remove();
  }
}

await main(benchOptions());
