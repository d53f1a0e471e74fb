/**
 * Times designs in turn: a short while for each in every round, with one answer in flight or with several, so
 * that a change of the machine's mood meets them all. What is reported is the median over rounds.
 */
import { collectGarbage } from '../harness/garbage.ts';
import { Latencies } from '../harness/hiccups.ts';
import { cpuOf } from '../harness/process-cpu.ts';
import { median, rounded } from '../harness/result.ts';
import type { Design } from './peer.ts';

export interface Plan {
  readonly rounds: number;
  readonly warmupMs: number;
  readonly roundMs: number;
  readonly inFlight: readonly number[];
}

export interface Timing {
  readonly p50_us: number;
  readonly p99_us: number;
  readonly requests_per_second: number;
  /** CPU time an answer, in the process that asks and in those that it asks. */
  readonly client_cpu_us: number;
  readonly server_cpu_us: number;
}

const SAMPLES_MAX = 1_000_000;
/** Calls between two looks at the clock, of designs that never leave the thread. */
const SYNCHRONOUS_CALLS = 64;

/** Keeps answers alive: without a place to go, work without effect may be left out. */
let sink: unknown;

/** Timings of each design; absent where it cannot have so many answers in flight. */
export async function measureDesigns(
  designs: readonly Design[],
  inFlight: number,
  plan: Plan,
): Promise<Map<Design, Timing>> {
  const measured = designs.filter(design => inFlight === 1 || design.synchronous !== true);
  const rounds = new Map(measured.map(design => [design, [] as Timing[]]));
  for (let round = 0; round < plan.rounds; round++) {
    for (const design of measured) {
      await run(design, inFlight, plan.warmupMs);
      // What one has left must not be swept up in another one's time.
      collectGarbage();
      rounds.get(design)!.push(await timed(design, inFlight, plan.roundMs));
    }
  }
  return new Map([...rounds].map(([design, timings]) => [design, overRounds(timings)]));
}

function overRounds(timings: readonly Timing[]): Timing {
  const over = (key: keyof Timing) => rounded(median(timings.map(timing => timing[key])));
  return {
    p50_us: over('p50_us'),
    p99_us: over('p99_us'),
    requests_per_second: Math.round(over('requests_per_second')),
    client_cpu_us: over('client_cpu_us'),
    server_cpu_us: over('server_cpu_us'),
  };
}

async function timed(design: Design, inFlight: number, ms: number): Promise<Timing> {
  const serverBefore = serverCpuUs(design);
  const clientBefore = process.cpuUsage();
  const started = performance.now();
  const latencies = await run(design, inFlight, ms);
  const elapsedMs = performance.now() - started;
  const { user, system } = process.cpuUsage(clientBefore);
  const server = serverCpuUs(design) - serverBefore;
  const { p50_us, p99_us, samples } = latencies.summary();
  return {
    p50_us,
    p99_us,
    requests_per_second: (1000 * samples) / elapsedMs,
    client_cpu_us: (user + system) / samples,
    server_cpu_us: server / samples,
  };
}

function serverCpuUs(design: Design): number {
  return design.processes.reduce((total, pid) => total + (cpuOf(pid)?.processUs ?? Number.NaN), 0);
}

/** Asks for `ms` milliseconds, each time `inFlight` times at once, and at least once. */
async function run(design: Design, inFlight: number, ms: number): Promise<Latencies> {
  const latencies = new Latencies(SAMPLES_MAX);
  const until = performance.now() + ms;
  if (design.synchronous === true) {
    const call = () => {
      sink = design.answer();
      return 0;
    };
    do latencies.record(call, SYNCHRONOUS_CALLS);
    while (performance.now() < until);
    return latencies;
  }
  const ask = async () => {
    let before = performance.now();
    do {
      sink = await design.answer();
      const after = performance.now();
      latencies.add(1000 * (after - before));
      before = after;
    } while (before < until);
  };
  await Promise.all(Array.from({ length: inFlight }, ask));
  return latencies;
}

/** The last answer, for whoever wants to be sure that there was one. */
export function lastAnswer(): unknown {
  return sink;
}
