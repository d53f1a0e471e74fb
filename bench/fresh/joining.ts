/**
 * A replica joins: from nothing to its first selection, with the snapshot from the bus. Beside it one without
 * a fleet, which loads from the database.
 */
import { relayRows } from '../harness/population.ts';
import type { BenchResult } from '../harness/result.ts';
import { spread } from './latency.ts';
import { Fleet, type ReadyTimes, ReplicaProcess } from './replicas.ts';
import { type BusKind, randomPause, type Stage } from './stage.ts';

export interface JoiningPlan {
  readonly nodes: number;
  readonly rounds: number;
  readonly buses: readonly BusKind[];
}

const LIMIT_US = 1_000_000;
const ROWS_PER_STATEMENT = 5_000;
const CAPACITY_RATIO = 1.2;
const PAUSE_MS_MAX = 200;

/** Fills the table up: comes last. */
export async function joiningResults(
  stage: Stage,
  { nodes, rounds, buses }: JoiningPlan,
): Promise<BenchResult[]> {
  const rows = [...relayRows(nodes)].slice(stage.table.size);
  for (let i = 0; i < rows.length; i += ROWS_PER_STATEMENT)
    await stage.apply([], rows.slice(i, i + ROWS_PER_STATEMENT));
  await stage.writer.query('VACUUM ANALYZE relays');
  const { connectionString } = stage.postgres;
  const common = { connectionString, nodes: Math.ceil(CAPACITY_RATIO * nodes), threads: 0 };
  const alone = `floor: ready from the database, without a fleet, ${nodes} nodes`;
  const floors = [];
  for (let round = 0; round < rounds; round++) floors.push(await timesOf(new ReplicaProcess(common)));
  const results: BenchResult[] = [resultOf(alone, floors)];
  for (const kind of buses) {
    const times = await joinTimes(stage, kind, { ...common, rounds });
    const result = resultOf(`ready from ${kind}, from the call of openCache, ${nodes} nodes`, times);
    const isWithin = result.max_us <= LIMIT_US;
    results.push({ ...result, floor: alone, limit_max_us: LIMIT_US, within_limits: isWithin ? 'yes' : 'no' });
  }
  return results;
}

async function joinTimes(
  stage: Stage,
  kind: BusKind,
  { rounds, ...common }: { rounds: number; connectionString: string; nodes: number },
): Promise<ReadyTimes[]> {
  const bus = await stage.startBus(kind);
  try {
    const own = { name: stage.fleetName(), bus: bus.options };
    // The second one is in step only when there is a snapshot on the bus.
    const fleet = await Fleet.start({ ...common, fleet: own }, 2);
    try {
      const times: ReadyTimes[] = [];
      for (let round = 0; round < rounds; round++) {
        const replica = await fleet.add();
        const { loads } = await replica.status();
        if (loads > 0) throw new Error('a replica that joined has loaded from the database');
        times.push(await replica.ready);
        await fleet.kill(replica);
        await randomPause(0, PAUSE_MS_MAX);
      }
      return times;
    } finally {
      await fleet.end();
    }
  } finally {
    await bus.stop();
  }
}

async function timesOf(replica: ReplicaProcess): Promise<ReadyTimes> {
  try {
    return await replica.ready;
  } finally {
    await replica.kill();
  }
}

function resultOf(name: string, times: readonly ReadyTimes[]) {
  const fromSpawn = spread(times.map(({ fromSpawnUs }) => fromSpawnUs));
  return {
    name,
    ...spread(times.map(({ fromOpenUs }) => fromOpenUs)),
    from_process_start_p50_us: fromSpawn.p50_us,
    from_process_start_max_us: fromSpawn.max_us,
  };
}
