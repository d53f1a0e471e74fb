/**
 * Probes and metrics asked for while a server is under load, each over a connection of its own: of the data
 * listener, and of the one that the watchdog has.
 */

import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Latencies } from '../harness/hiccups.ts';

const EVERY_MS = 20;
const SAMPLES_MAX = 100_000;
const PATHS = ['/livez', '/readyz', '/metrics'] as const;

export interface ProbeOutcome {
  readonly probes: number;
  readonly probes_failed: number;
  readonly probe_p50_us: number;
  readonly probe_p99_us: number;
  readonly own_probes: number;
  readonly own_probes_failed: number;
  readonly own_probe_p50_us: number;
  readonly own_probe_p99_us: number;
  readonly rss_MiB: number;
}

export interface ProbedServer {
  readonly port: number;
  /** Of the listener for probes. */
  readonly probesPort: number;
  readonly pid: number;
}

/** Asks until `work` is done. */
export async function probed<T>(server: ProbedServer, work: Promise<T>): Promise<readonly [T, ProbeOutcome]> {
  let rssBytes = 0;
  let isDone = false;
  const ask = async (port: number) => {
    const latencies = new Latencies(SAMPLES_MAX);
    let failed = 0;
    for (let turn = 0; !isDone; turn++) {
      const started = performance.now();
      const ok = await answered(port, PATHS[turn % PATHS.length]!);
      latencies.add(1_000 * (performance.now() - started));
      if (!ok) failed++;
      rssBytes = Math.max(rssBytes, rssOf(server.pid));
      await sleep(EVERY_MS);
    }
    return { failed, count: latencies.count, ...latencies.summary() };
  };
  const asking = Promise.all([ask(server.port), ask(server.probesPort)]);
  const result = await work;
  isDone = true;
  const [data, own] = await asking;
  const outcome = {
    probes: data.count,
    probes_failed: data.failed,
    probe_p50_us: data.p50_us,
    probe_p99_us: data.p99_us,
    own_probes: own.count,
    own_probes_failed: own.failed,
    own_probe_p50_us: own.p50_us,
    own_probe_p99_us: own.p99_us,
    rss_MiB: Math.round(rssBytes / 2 ** 20),
  };
  return [result, outcome];
}

function answered(port: number, path: string): Promise<boolean> {
  return new Promise(resolve => {
    const outgoing = request({ port, path, host: '127.0.0.1', agent: false });
    outgoing.once('error', () => resolve(false));
    outgoing.once('response', response => {
      response.resume();
      response.once('end', () => resolve(response.statusCode === 200));
    });
    outgoing.end();
  });
}

/** 0 where the system does not say. */
function rssOf(pid: number): number {
  try {
    const kibibytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kibibytes ?? 0) * 1_024;
  } catch {
    return 0;
  }
}
