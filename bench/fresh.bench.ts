/**
 * Questions: how long after a commit in Postgres does the last thread stop picking a node, in the process
 * that reads the source and on other replicas? What does a fleet ask the database? How soon is there another
 * leader, how soon is a new replica ready, what does a change cost on the wire? Workload: the relays, and
 * nodes that are taken out one by one; real Postgres, Redis and NATS, started here. The delta by itself, of
 * a million nodes: bench:refresh.
 * Run: npm run bench:fresh [-- --json] [--toy] [--save] [--only <part>], a part of own, redis, nats,
 * postgres, failover, queries, bytes, joining.
 */
import { type BytesPlan, bytesResults } from './fresh/bytes.ts';
import { type FailoverPlan, failoverResults } from './fresh/failover.ts';
import { type JoiningPlan, joiningResults } from './fresh/joining.ts';
import { busLatency, type LatencyPlan, ownLatency } from './fresh/latency.ts';
import { type QueriesPlan, queryResults } from './fresh/queries.ts';
import { BUS_KINDS, type BusKind, Stage } from './fresh/stage.ts';
import { environment } from './harness/environment.ts';
import { type BenchOptions, benchOptions } from './harness/options.ts';
import { type BenchResult, emit, withRatios } from './harness/result.ts';

const RELAYS_MAX = 20_000;

interface Plans {
  readonly latency: LatencyPlan;
  readonly failover: FailoverPlan;
  readonly queries: QueriesPlan;
  readonly bytes: BytesPlan & { readonly buses: readonly BusKind[] };
  readonly joining: JoiningPlan;
}

const PLANS: Plans = {
  latency: {
    probes: 200,
    rounds: 3,
    pauseMsMax: 95,
    warmup: 60,
    followers: 3,
    leaseMs: 2_000,
    nodes: RELAYS_MAX,
  },
  failover: { rounds: 10, replicas: 3, nodes: RELAYS_MAX },
  queries: {
    replicaCounts: [1, 12],
    windowMs: 60_000,
    changeEveryMs: 500,
    settleMs: 5_000,
    nodes: RELAYS_MAX,
  },
  bytes: { hours: 30, singleHours: 1, idleMs: 20_000, nodes: RELAYS_MAX, buses: BUS_KINDS },
  joining: { nodes: 100_000, rounds: 10, buses: BUS_KINDS },
};
const TOY_PLANS: Plans = {
  latency: {
    probes: 3,
    rounds: 1,
    pauseMsMax: 6,
    warmup: 1,
    followers: 1,
    leaseMs: 1_000,
    nodes: RELAYS_MAX,
  },
  failover: { rounds: 1, replicas: 2, nodes: RELAYS_MAX },
  queries: { replicaCounts: [1, 2], windowMs: 500, changeEveryMs: 250, settleMs: 300, nodes: RELAYS_MAX },
  bytes: { hours: 2, singleHours: 0, idleMs: 200, nodes: RELAYS_MAX, buses: ['redis'] },
  joining: { nodes: 10_000, rounds: 1, buses: ['redis'] },
};

async function run(stage: Stage, { toy, only }: BenchOptions): Promise<BenchResult[]> {
  const plans = toy ? TOY_PLANS : PLANS;
  const parts: Readonly<Record<string, () => Promise<BenchResult[]>>> = {
    own: () => ownLatency(stage, plans.latency),
    ...Object.fromEntries(BUS_KINDS.map(kind => [kind, () => busLatency(stage, kind, plans.latency)])),
    failover: () => failoverResults(stage, plans.failover),
    queries: () => queryResults(stage, plans.queries),
    bytes: async () => {
      const results: BenchResult[] = [];
      for (const kind of plans.bytes.buses) results.push(...(await bytesResults(stage, kind, plans.bytes)));
      return results;
    },
    joining: () => joiningResults(stage, plans.joining),
  };
  const results: BenchResult[] = [];
  for (const [name, part] of Object.entries(parts)) {
    if (!name.includes(only)) continue;
    try {
      results.push(...(await part()));
    } catch (error) {
      // What the other parts have measured is not lost by it.
      process.stderr.write(`${name}: ${(error as Error).stack}\n`);
      process.exitCode = 1;
    }
  }
  return results;
}

async function main(options: BenchOptions): Promise<void> {
  const about = environment(options.toy, {});
  const stage = await Stage.open();
  try {
    const results = await run(stage, options);
    emit('fresh', { environment: about, results: withRatios(results) }, options);
  } finally {
    await stage.close();
  }
}

await main(benchOptions());
// Left to itself, Node 24 has been seen to spin for ever in its own cleanup, over one closed socket.
process.exit();
