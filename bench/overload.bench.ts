/**
 * Question: what becomes of a server that is asked for five times what it can give? Is as much answered as at
 * its peak, how fast are refusals, and do probes and metrics still get through? Workloads: one selection of
 * 110 nodes by GET, over few and over many connections, and batches of a hundred of them. Each step goes at a
 * multiple of the peak that was measured before, in an open loop: what is due does not wait for answers. The
 * peak is that of a closed loop over as many connections (bench:http has that of few, which is higher: many
 * cost Node.js and the kernel more), of batches over as many as find room in the queue. Run:
 * npm run bench:overload [-- --json] [--toy] [--only text] [--save]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../src/server/demo/free-port.ts';
import { environment } from './harness/environment.ts';
import { type BenchOptions, benchOptions } from './harness/options.ts';
import { relayCount, temporaryFolder, writeRelayFile } from './harness/population.ts';
import { type BenchResult, emit, median, rounded } from './harness/result.ts';
import { PATH } from './http/cases.ts';
import { ready, startOurs } from './http/servers.ts';
import type { OpenOrder, OpenOutcome } from './overload/open-load.ts';
import { type ProbedServer, type ProbeOutcome, probed } from './overload/probes.ts';

const BATCH = JSON.stringify({ requests: Array.from({ length: 100 }, () => ({ count: 110 })) });

interface Workload {
  readonly name: string;
  readonly request: string;
  /** Connections by which the peak is found, and those of the overload. */
  readonly peakConnections: number;
  readonly connections: number;
}

const SELECTION = `GET ${PATH} HTTP/1.1\r\nHost: bench\r\n\r\n`;
const WORKLOADS: readonly Workload[] = [
  { name: 'selection', request: SELECTION, peakConnections: 512, connections: 512 },
  { name: 'selection, many connections', request: SELECTION, peakConnections: 5_000, connections: 5_000 },
  {
    name: 'batch of 100',
    request:
      'POST /v1/selections HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n' +
      `Content-Length: ${BATCH.length}\r\n\r\n${BATCH}`,
    peakConnections: 64,
    connections: 512,
  },
];

/** Of the peak. */
const STEPS = [0.5, 1, 2, 5] as const;
/** More than any server here answers: then each connection always has one under way. */
const CLOSED_LOOP_RATE = 10_000_000;

interface Plan {
  /** The speed of a machine drifts: the peak is measured anew before each series of steps. */
  readonly rounds: number;
  readonly durationMs: number;
  readonly warmupMs: number;
  /** No workload takes more connections. */
  readonly connectionsMax: number;
}

const PLAN: Plan = { rounds: 3, durationMs: 5_000, warmupMs: 2_000, connectionsMax: 5_000 };
const TOY: Plan = { rounds: 1, durationMs: 150, warmupMs: 50, connectionsMax: 16 };

type Send = (order: Omit<OpenOrder, 'port'>) => Promise<OpenOutcome>;

/** One step of one round: the closed loop, or a multiple of its rate. */
type Row = Readonly<Record<string, number | null>>;

async function measure(
  server: ProbedServer,
  send: Send,
  { name, request, peakConnections, connections }: Workload,
  { rounds, connectionsMax, ...times }: Plan,
): Promise<BenchResult[]> {
  const ask = async (ratePerSecond: number, over: number): Promise<Row> => {
    const order = { request, ratePerSecond, connections: Math.min(over, connectionsMax), ...times };
    return row(...(await probed(server, send(order))));
  };
  const rows = new Map<string, Row[]>();
  const add = (step: string, measured: Row) => rows.set(step, [...(rows.get(step) ?? []), measured]);
  for (let round = 0; round < rounds; round++) {
    const peak = await ask(CLOSED_LOOP_RATE, peakConnections);
    const peakPerSecond = peak.requests_per_second!;
    add('peak', peak);
    for (const step of STEPS) {
      const measured = await ask(Math.max(1, step * peakPerSecond), connections);
      add(`${step} × peak`, { of_peak: measured.requests_per_second! / peakPerSecond, ...measured });
    }
  }
  return [...rows].map(([step, measured]) => ({ name: `${name}: ${step}`, ...middle(measured) }));
}

function row(outcome: OpenOutcome, probes: ProbeOutcome): Row {
  const perSecond = (count: number) => Math.round((1_000 * count) / outcome.elapsedMs);
  return {
    requests_per_second: perSecond(outcome.good),
    p50_us: outcome.good_p50_us,
    p99_us: outcome.good_p99_us,
    refused_per_second: perSecond(outcome.refused),
    refused_p99_us: outcome.refused_p99_us,
    unsent_per_second: perSecond(outcome.unsent),
    failed: outcome.failed,
    ...probes,
  };
}

/** The median of each figure over the rounds. */
function middle(rows: readonly Row[]): Row {
  const figures = Object.keys(rows[0]!).map(figure => {
    const values = rows.map(row => row[figure]).filter(value => typeof value === 'number');
    return [figure, values.length === 0 ? null : rounded(median(values))] as const;
  });
  return Object.fromEntries(figures);
}

async function main(options: BenchOptions): Promise<void> {
  const folder = temporaryFolder();
  const plan = options.toy ? TOY : PLAN;
  const rows = options.toy ? 2_000 : relayCount();
  const load = fork(fileURLToPath(new URL('./overload/open-load.ts', import.meta.url)));
  const results: BenchResult[] = [];
  try {
    const relayFile = join(folder.path, 'relays.csv');
    await writeRelayFile(relayFile, rows);
    const about = environment(options.toy, { nodes: rows });
    for (const workload of WORKLOADS.filter(({ name }) => name.includes(options.only))) {
      const probesPort = await freePort();
      const server = await startOurs('sortition', [
        ...['--probes-address', `127.0.0.1:${probesPort}`],
        ...['--source', relayFile, '--http-threads', '1'],
        // As shipped; the other benches switch it off.
        ...['--http-event-loop-delay-max-ms', '50'],
      ]);
      const send: Send = async order => {
        load.send({ ...order, port: server.port } satisfies OpenOrder);
        const [outcome] = (await once(load, 'message')) as [OpenOutcome];
        return outcome;
      };
      try {
        await ready(probesPort, 'the probes');
        results.push(...(await measure({ ...server, probesPort }, send, workload, plan)));
      } finally {
        await server.stop();
      }
    }
    emit('overload', { environment: about, results }, options);
  } finally {
    load.kill();
    folder.remove();
  }
}

await main(benchOptions());
