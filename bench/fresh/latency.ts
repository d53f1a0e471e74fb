/**
 * From a commit in Postgres to the moment since when nobody picks the node: on all threads of the process
 * that reads the source, and on other replicas over each bus. The last thread counts. Floor: the arrival of
 * the same notification at a session that only listens.
 */
import { type BenchResult, median, rounded } from '../harness/result.ts';
import type { WatchReport } from './probe-watch.ts';
import { Fleet, ReplicaProcess } from './replicas.ts';
import { type BusKind, type Commit, randomPause, type Stage } from './stage.ts';

export interface LatencyPlan {
  /** Probes of a round, taken out one after the other; rounds begin with all of them. */
  readonly probes: number;
  readonly rounds: number;
  readonly pauseMsMax: number;
  /** Probes that are taken out before anything counts: the first deltas of a process run uncompiled. */
  readonly warmup: number;
  readonly followers: number;
  readonly leaseMs: number;
  readonly nodes: number;
}

/** How much the readers ask of the machine. */
const PACED = { name: 'paced readers', pauseMs: 0.25 } as const;
const LOADS = [PACED, { name: 'readers at full speed', pauseMs: 0 }] as const;
const PAUSE_MS_MIN = 5;
const MS = 1_000;

const OWN_LIMITS = { limit_p50_us: 5 * MS, limit_p99_us: 25 * MS };
const BUS_LIMITS: Record<BusKind, { readonly limit_p99_us: number }> = {
  redis: { limit_p99_us: 60 * MS },
  nats: { limit_p99_us: 60 * MS },
  postgres: { limit_p99_us: 100 * MS },
};

/** The process that reads the source: its main thread and one more. */
export async function ownLatency(stage: Stage, plan: LatencyPlan): Promise<BenchResult[]> {
  const { connectionString } = stage.postgres;
  const replica = new ReplicaProcess({ connectionString, threads: 1, nodes: plan.nodes });
  try {
    await replica.ready;
    const results: BenchResult[] = [];
    for (const load of LOADS) {
      const about = { name: `same process, 2 threads, ${load.name}`, ...OWN_LIMITS };
      results.push(...(await measured(stage, [replica], { ...plan, pauseMs: load.pauseMs }, about)));
    }
    return results;
  } finally {
    await replica.kill();
  }
}

/** Three replicas, none of which reads the source. */
export async function busLatency(stage: Stage, kind: BusKind, plan: LatencyPlan): Promise<BenchResult[]> {
  const bus = await stage.startBus(kind);
  try {
    const fleet = await Fleet.start(
      {
        connectionString: stage.postgres.connectionString,
        fleet: { name: stage.fleetName(), bus: bus.options, leaseMs: plan.leaseMs },
        nodes: plan.nodes,
      },
      plan.followers + 1,
    );
    try {
      const { followers } = await fleet.roles();
      const name = `${plan.followers} other replicas over ${kind}, ${PACED.name}`;
      const about = { name, ...BUS_LIMITS[kind] };
      return await measured(stage, followers, { ...plan, pauseMs: PACED.pauseMs }, about);
    } finally {
      await fleet.end();
    }
  } finally {
    await bus.stop();
  }
}

interface About {
  readonly name: string;
  readonly limit_p50_us?: number;
  readonly limit_p99_us: number;
}

async function measured(
  stage: Stage,
  replicas: readonly ReplicaProcess[],
  plan: LatencyPlan & { readonly pauseMs: number },
  about: About,
): Promise<BenchResult[]> {
  const { rounds, warmup } = plan;
  const first = await oneRound(stage, replicas, { ...plan, probes: warmup });
  const all: Round = { commits: [], goneUs: [], perSecond: 0 };
  for (let round = 0; round < rounds; round++) {
    const { commits, goneUs, perSecond } = await oneRound(stage, replicas, plan);
    all.commits.push(...commits);
    all.goneUs.push(...goneUs);
    all.perSecond += perSecond / rounds;
  }
  await stage.restoreProbes();
  const floor = `floor: a bare LISTEN hears of it: ${about.name}`;
  const since = (key: keyof Commit) => spread(all.commits.map((commit, i) => all.goneUs[i]! - commit[key]));
  const latency = since('sentUs');
  const returned = since('returnedUs');
  return [
    { name: floor, ...spread(all.commits.map(({ sentUs, notifiedUs }) => notifiedUs - sentUs)) },
    {
      ...about,
      ...latency,
      floor,
      within_limits: isWithin(latency, about) ? 'yes' : 'no',
      since_commit_returned_p50_us: returned.p50_us,
      since_commit_returned_p99_us: returned.p99_us,
      since_notified_p50_us: since('notifiedUs').p50_us,
      since_notified_p99_us: since('notifiedUs').p99_us,
      first_ever_us: rounded(first.goneUs[0]! - first.commits[0]!.sentUs),
      selections_per_second: Math.round(all.perSecond),
    },
  ];
}

interface Round {
  readonly commits: Commit[];
  readonly goneUs: number[];
  perSecond: number;
}

/** Takes the probes out one after the other. Throws when one has come back. */
async function oneRound(
  stage: Stage,
  replicas: readonly ReplicaProcess[],
  { probes, pauseMsMax, pauseMs }: LatencyPlan & { readonly pauseMs: number },
): Promise<Round> {
  await stage.restoreProbes();
  await Promise.all(replicas.map(replica => replica.watch({ from: 0, count: probes, pauseMs })));
  const commits: Commit[] = [];
  for (let number = 0; number < probes; number++) {
    await randomPause(PAUSE_MS_MIN, pauseMsMax);
    commits.push(await stage.disqualify(number));
  }
  await Promise.all(replicas.map(replica => replica.gone(probes - 1)));
  const reports = (await Promise.all(replicas.map(replica => replica.stop()))).flat();
  const comebacks = reports.reduce((sum, report) => sum + report.comebacks, 0);
  if (comebacks > 0) throw new Error(`${comebacks} selections had a node that had been gone before`);
  return {
    commits,
    goneUs: commits.map((_, number) => lastOf(reports, number)),
    perSecond: reports.reduce((sum, { selections, seconds }) => sum + selections / seconds, 0),
  };
}

function lastOf(reports: readonly WatchReport[], number: number): number {
  return Math.max(...reports.map(report => report.goneAtUs[number]!));
}

export interface Spread {
  readonly p50_us: number;
  readonly mean_us: number;
  readonly p99_us: number;
  readonly max_us: number;
  readonly samples: number;
}

export function spread(us: readonly number[]): Spread {
  const sorted = us.toSorted((a, b) => a - b);
  return {
    p50_us: rounded(median(sorted)),
    mean_us: rounded(sorted.reduce((sum, one) => sum + one, 0) / sorted.length),
    // The nearest rank: of few samples it is the worst.
    p99_us: rounded(sorted[Math.ceil(0.99 * sorted.length) - 1]!),
    max_us: rounded(sorted.at(-1)!),
    samples: sorted.length,
  };
}

function isWithin(
  { p50_us, p99_us }: Spread,
  limits: { readonly limit_p50_us?: number; readonly limit_p99_us: number },
): boolean {
  return p50_us <= (limits.limit_p50_us ?? Number.POSITIVE_INFINITY) && p99_us <= limits.limit_p99_us;
}
