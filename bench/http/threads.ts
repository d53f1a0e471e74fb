/**
 * Several HTTP threads on one port: how connections spread, what memory a thread takes beside the one copy of
 * the cache, and what each thread answers while the others are idle. Two cores and a load beside them show no
 * gain of several threads at once.
 */
import { connect } from 'node:net';
import { setTimeout as elapsed } from 'node:timers/promises';
import { memoryOf } from '../harness/process-cpu.ts';
import { type BenchResult, median, rounded } from '../harness/result.ts';
import { getRequest, PATH } from './cases.ts';
import type { Load } from './load.ts';
import { type RunningServer, startOurs } from './servers.ts';

const HOST = '127.0.0.1';
const MIB = 1_048_576;
const POLL_MS = 20;
/** Ports to connect from: below those that the system gives out by itself. */
const FIRST_LOCAL_PORT = 20_000;

export interface ThreadsPlan {
  readonly threads: number;
  /** Connections whose spread is counted. */
  readonly spread: number;
  /** Connections that load one thread. */
  readonly connections: number;
  readonly rounds: number;
  readonly warmupMs: number;
  readonly durationMs: number;
}

interface ThreadStatus {
  readonly answers: number;
  readonly connections: number;
}

export async function threadResults(
  load: Load,
  relayFile: string,
  largeFile: string,
  plan: ThreadsPlan,
): Promise<BenchResult[]> {
  return [
    ...(await memoryResults(largeFile, plan)),
    ...(await withServer(relayFile, plan.threads, async server => [
      await spreadResult(server, plan),
      ...(await ceilingResults(load, server, plan)),
    ])),
  ];
}

async function withServer<T>(
  relayFile: string,
  threads: number,
  work: (server: RunningServer) => Promise<T>,
): Promise<T> {
  const flags = ['--source', relayFile, '--serve-from', 'in-place', '--http-threads', String(threads)];
  const server = await startOurs(`sortition, ${threads} HTTP threads`, flags);
  try {
    // The first of them answers before the last one listens.
    while (!(await statusOf(server)).httpThreads.every(({ answers }) => answers > 0)) {
      await answersOf(server, threads);
      await elapsed(POLL_MS);
    }
    return await work(server);
  } finally {
    await server.stop();
  }
}

/** A copy of the cache a thread would show: the population is large. */
async function memoryResults(relayFile: string, { threads }: ThreadsPlan): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const count of [1, threads]) {
    const [resident, snapshot] = await withServer(relayFile, count, async server => {
      await answersOf(server, 20 * count);
      const status = await statusOf(server);
      return [memoryOf([server.pid]) ?? Number.NaN, status.loader.lastLoad.snapshotBytes] as const;
    });
    results.push({
      name: `resident memory of ${count} HTTP ${count === 1 ? 'thread' : 'threads'}`,
      resident_mib: rounded(resident / MIB),
      snapshot_mib: rounded(snapshot / MIB),
    });
  }
  return results;
}

async function spreadResult(server: RunningServer, { spread, threads }: ThreadsPlan): Promise<BenchResult> {
  const sockets = await Promise.all(
    Array.from({ length: spread }, async () => {
      const socket = connect({ port: server.port, host: HOST });
      await answerOn(socket);
      return socket;
    }),
  );
  const { httpThreads } = await statusOf(server);
  for (const socket of sockets) socket.resetAndDestroy();
  const counts = httpThreads.map(({ connections }) => connections);
  return {
    name: `spread of ${spread} connections over ${threads} HTTP threads`,
    fewest: Math.min(...counts),
    most: Math.max(...counts),
    even: rounded(spread / threads),
  };
}

async function ceilingResults(load: Load, server: RunningServer, plan: ThreadsPlan): Promise<BenchResult[]> {
  const { connections, warmupMs, durationMs } = plan;
  const ports = await portsByThread(server, plan);
  const rates = ports.map((): number[] => []);
  const strays = ports.map(() => 0);
  for (let round = 0; round < plan.rounds; round++) {
    for (const [thread, localPorts] of ports.entries()) {
      const before = await statusOf(server);
      const order = { requests: [getRequest(PATH)], connections, warmupMs, durationMs, localPorts };
      const { requests, elapsedMs } = await load.run(server, order);
      rates[thread]!.push((1000 * requests) / elapsedMs);
      const after = await statusOf(server);
      strays[thread]! += after.httpThreads.reduce(
        (sum, { answers }, i) => sum + (i === thread ? 0 : answers - before.httpThreads[i]!.answers),
        0,
      );
    }
  }
  return rates.map((rate, thread) => ({
    name: `HTTP thread ${thread} of ${ports.length} alone, ${connections} connections`,
    requests_per_second: Math.round(median(rate)),
    answers_of_others: strays[thread],
  }));
}

/** For each thread, ports from which a connection comes to it: the kernel chooses by a hash of both ends. */
async function portsByThread(server: RunningServer, plan: ThreadsPlan): Promise<number[][]> {
  const ports = Array.from({ length: plan.threads }, (): number[] => []);
  for (let port = FIRST_LOCAL_PORT; ports.some(list => list.length < plan.connections); port++) {
    const before = (await statusOf(server)).httpThreads;
    try {
      const socket = connect({ port: server.port, host: HOST, localPort: port });
      await answerOn(socket);
      socket.resetAndDestroy();
    } catch {
      // Somebody has that port: the next one will do.
      continue;
    }
    const after = (await statusOf(server)).httpThreads;
    const thread = after.findIndex(({ answers }, i) => answers > before[i]!.answers);
    if (ports[thread]!.length < plan.connections) ports[thread]!.push(port);
  }
  return ports;
}

async function answersOf(server: RunningServer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const socket = connect({ port: server.port, host: HOST });
    await answerOn(socket);
    socket.resetAndDestroy();
  }
}

function answerOn(socket: ReturnType<typeof connect>): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.write(getRequest('/v1/selection?count=1'));
    socket.on('data', chunk => {
      text += chunk.toString('latin1');
      if (text.endsWith(']}')) resolve();
    });
    socket.once('error', reject);
  });
}

async function statusOf(server: RunningServer): Promise<{
  readonly httpThreads: readonly ThreadStatus[];
  readonly loader: { readonly lastLoad: { readonly snapshotBytes: number } };
}> {
  const answer = await fetch(`http://${HOST}:${server.port}/v1/status`);
  return answer.json() as ReturnType<typeof statusOf>;
}
