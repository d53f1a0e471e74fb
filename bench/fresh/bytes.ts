/**
 * Bytes that go to one replica while the relays change, counted on its connections by a proxy between it and
 * the bus; beside them the same changes packed, and the bytes of a fleet in which nothing happens.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import type { BusOptions } from '../../src/workers/bus/options.ts';
import { churnOf } from '../../test/support/relay-table.ts';
import { relayChurn } from '../../test/support/relays.ts';
import { TcpFaultProxy } from '../../test/support/tcp-fault-proxy.ts';
import { type BenchResult, median, rounded } from '../harness/result.ts';
import { Fleet, type ReplicaProcess } from './replicas.ts';
import type { BusKind, Changed, Stage, StageBus } from './stage.ts';

export interface BytesPlan {
  readonly hours: number;
  /** Of them, whose changes come one by one, each in a transaction of its own. */
  readonly singleHours: number;
  readonly idleMs: number;
  readonly nodes: number;
}

const RATIO_MAX = 1.5;
const HOUR_MS = 3_600_000;
const ID_BYTES = 32;
const PORT_BYTES = 2;
const FLAG_BYTES = 1;

interface Traffic {
  toReplica: number;
  toBus: number;
}

/** What was sent for some changes. */
interface Sent extends Traffic {
  readonly packed: number;
  readonly changes: number;
}

export async function bytesResults(stage: Stage, kind: BusKind, plan: BytesPlan): Promise<BenchResult[]> {
  const bus = await stage.startBus(kind);
  try {
    const proxy = await TcpFaultProxy.open({ host: bus.host, port: bus.port });
    const traffic = countedTraffic(proxy);
    const { connectionString } = stage.postgres;
    const fleet = { name: stage.fleetName(), bus: bus.options };
    const replicas = await Fleet.start({ connectionString, nodes: plan.nodes, fleet }, 1);
    try {
      const replica = await replicas.add({ bus: throughProxy(bus, proxy), mayLead: false });
      return await measured(stage, kind, plan, { leader: replicas.replicas[0]!, replica, traffic });
    } finally {
      await replicas.end();
      await proxy.close();
    }
  } finally {
    await bus.stop();
  }
}

async function measured(
  stage: Stage,
  kind: BusKind,
  { hours, singleHours, idleMs }: BytesPlan,
  counted: { leader: ReplicaProcess; replica: ReplicaProcess; traffic: Traffic },
): Promise<BenchResult[]> {
  const { leader, replica, traffic } = counted;
  const idle = await sentFor(traffic, async () => {
    await delay(idleMs);
    return { gone: [], rows: [] };
  });
  const perIdleMs = idle.toReplica / idleMs;
  const sent: Sent[] = [];
  const one = async (gone: readonly string[], rows: readonly NodeRow[]) => {
    const startedMs = performance.now();
    const result = await sentFor(traffic, async () => {
      const { digest: before } = (await leader.status()).fleet!;
      const changed = await stage.apply(gone, rows);
      if (changed.gone.length + changed.rows.length > 0) {
        await leader.until('the leader has it', s => s.fleet?.digest !== before);
        // It may be published in two parts: what comes of the second one later counts with the next.
        const isThere = async (digest: string | undefined) =>
          digest === (await leader.status()).fleet?.digest;
        await replica.until('the replica has it', s => isThere(s.fleet?.digest));
      }
      return changed;
    });
    const idleBytes = Math.round(perIdleMs * (performance.now() - startedMs));
    return { ...result, toReplica: Math.max(0, result.toReplica - idleBytes) };
  };
  const churn = relayChurn().map(churnOf);
  for (const { gone, rows } of churn.slice(0, hours)) sent.push(await one(gone, rows));
  const singles: Sent[] = [];
  for (const { gone, rows } of churn.slice(hours, hours + singleHours)) {
    for (const id of gone) singles.push(await one([id], []));
    for (const row of rows) singles.push(await one([], [row]));
  }
  const results: BenchResult[] = [
    ...resultsOf(`a transaction an hour of churn, over ${kind}`, sent, RATIO_MAX),
    ...(singles.length === 0 ? [] : resultsOf(`a transaction a changed row, over ${kind}`, singles)),
  ];
  const idleBytes = (bytes: number) => Math.round((bytes * HOUR_MS) / idleMs);
  results.push({
    name: `an hour in which nothing changes, over ${kind}`,
    bytes_to_replica: idleBytes(idle.toReplica),
    bytes_from_replica: idleBytes(idle.toBus),
  });
  return results;
}

function resultsOf(name: string, sent: readonly Sent[], limit?: number): BenchResult[] {
  const all = (key: keyof Sent) => sent.reduce((sum, one) => sum + one[key], 0);
  const ratios = sent.filter(({ packed }) => packed > 0).map(one => one.toReplica / one.packed);
  const ratio = all('toReplica') / all('packed');
  const floor = `floor: the changed rows packed, ${name}`;
  const limits = { limit_ratio: limit, within_limits: limit !== undefined && ratio <= limit ? 'yes' : 'no' };
  return [
    { name: floor, bytes_to_replica: all('packed'), changed_rows: all('changes') },
    {
      name,
      bytes_to_replica: all('toReplica'),
      bytes_from_replica: all('toBus'),
      changed_rows: all('changes'),
      transactions: sent.length,
      floor,
      ratio: rounded(ratio),
      median_ratio: rounded(median(ratios)),
      ...(limit === undefined ? {} : limits),
    },
  ];
}

async function sentFor(traffic: Traffic, work: () => Promise<Changed>): Promise<Sent> {
  const before = { ...traffic };
  const { gone, rows } = await work();
  return {
    toReplica: traffic.toReplica - before.toReplica,
    toBus: traffic.toBus - before.toBus,
    packed: gone.length * ID_BYTES + rows.reduce((sum, row) => sum + packedBytes(row), 0),
    changes: gone.length + rows.length,
  };
}

/** Id, address, port, a byte of flags, and the texts of the attributes. */
function packedBytes({ ip, attributes = [] }: NodeRow): number {
  const addressBytes = ip.includes(':') ? 16 : 4;
  const textBytes = attributes.reduce((sum, text) => sum + Buffer.byteLength(text ?? ''), 0);
  return ID_BYTES + addressBytes + PORT_BYTES + FLAG_BYTES + textBytes;
}

function countedTraffic(proxy: TcpFaultProxy): Traffic {
  const traffic: Traffic = { toReplica: 0, toBus: 0 };
  proxy.transform('toClient', () => chunk => {
    traffic.toReplica += chunk.byteLength;
    return chunk;
  });
  proxy.transform('toServer', () => chunk => {
    traffic.toBus += chunk.byteLength;
    return chunk;
  });
  return traffic;
}

function throughProxy({ options }: StageBus, proxy: TcpFaultProxy): BusOptions {
  const url = new URL(options.url!);
  url.host = `${proxy.host}:${proxy.port}`;
  return { ...options, url: url.href };
}
