/**
 * The leader's process is killed, again and again: when is there another one, when does a commit reach the
 * replicas again, and does any of them ever go back in the log?
 */
import type { BenchResult } from '../harness/result.ts';
import { nowUs } from './clock.ts';
import { spread } from './latency.ts';
import { Fleet, type ReplicaProcess } from './replicas.ts';
import { randomPause, type Stage } from './stage.ts';

export interface FailoverPlan {
  readonly rounds: number;
  readonly replicas: number;
  readonly nodes: number;
}

const LEASE_MS = 2_000;
const LIMIT_US = 3_000_000;
/** So that the leader dies at any moment between two of its records. */
const PAUSE_MS_MAX = 1_500;
const WATCH_PAUSE_MS = 2;

interface Round {
  readonly leaderUs: number;
  readonly reachedUs: number;
}

export async function failoverResults(stage: Stage, plan: FailoverPlan): Promise<BenchResult[]> {
  const { rounds, nodes } = plan;
  const bus = await stage.startBus('redis');
  const { connectionString } = stage.postgres;
  const fleet = { name: stage.fleetName(), bus: bus.options, leaseMs: LEASE_MS };
  try {
    await stage.restoreProbes();
    const replicas = await Fleet.start({ connectionString, fleet, nodes }, plan.replicas);
    try {
      const times: Round[] = [];
      let retreats = 0;
      for (let number = 0; number < rounds; number++) {
        times.push(await oneRound(stage, replicas, number, rounds));
        for (const replica of replicas.replicas) retreats += (await replica.status()).retreats;
      }
      if (retreats > 0) throw new Error(`replicas went back in the log ${retreats} times`);
      return resultsOf(times, { replicas: plan.replicas, retreats });
    } finally {
      await replicas.end();
    }
  } finally {
    await stage.restoreProbes();
    await bus.stop();
  }
}

async function oneRound(stage: Stage, fleet: Fleet, number: number, count: number): Promise<Round> {
  const { leader, followers } = await fleet.roles();
  const before = (await leader.status()).fleet!.epoch;
  const order = { from: number, count, pauseMs: WATCH_PAUSE_MS };
  await Promise.all(followers.map(follower => follower.watch(order)));
  await randomPause(0, PAUSE_MS_MAX);
  const killedUs = nowUs();
  await fleet.kill(leader);
  await stage.disqualify(number);
  await Promise.all(followers.map(follower => follower.gone(number)));
  const reports = (await Promise.all(followers.map(follower => follower.stop()))).flat();
  const reachedUs = Math.max(...reports.map(({ goneAtUs }) => goneAtUs[0]!)) - killedUs;
  const ledFromUs = firstLedUs(followers, before);
  if (ledFromUs === undefined) throw new Error('a commit reached the replicas, and none of them leads');
  if (number + 1 < count) await fleet.add();
  await fleet.settled();
  return { leaderUs: ledFromUs - killedUs, reachedUs };
}

/** When one of them first led an epoch above `before`. */
function firstLedUs(replicas: readonly ReplicaProcess[], before: number): number | undefined {
  const times = replicas.flatMap(({ ledFromUs }) =>
    [...ledFromUs].filter(([epoch]) => epoch > before).map(([, us]) => us),
  );
  return times.length === 0 ? undefined : Math.min(...times);
}

function resultsOf(
  times: readonly Round[],
  { replicas, retreats }: { readonly replicas: number; readonly retreats: number },
): BenchResult[] {
  const name = `another leader after kill -9, lease of ${LEASE_MS} ms, ${replicas} replicas`;
  const leader = spread(times.map(({ leaderUs }) => leaderUs));
  return [
    { name, ...leader, limit_max_us: LIMIT_US, within_limits: leader.max_us <= LIMIT_US ? 'yes' : 'no' },
    {
      name: 'from the kill until a commit made right after it has reached all that are left',
      ...spread(times.map(({ reachedUs }) => reachedUs)),
      floor: name,
      went_back: retreats,
    },
  ];
}
