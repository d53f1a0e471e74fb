/**
 * Times synchronous calls with tinybench. Cases are interleaved in rounds, so that a drift of the machine
 * meets all of them; what is reported is the median over rounds. A call of some microseconds is one sample,
 * so that its p99 is real; shorter ones are timed in batches of `calls_per_sample`, whose spread is that of
 * the batch.
 */
import { Bench } from 'tinybench';
import { type BenchResult, median, rounded } from './result.ts';

interface CaseName {
  readonly name: string;
  /** Name of the case to compare with. */
  readonly floor?: string;
  readonly details?: Readonly<Record<string, string | number>>;
}

/** A case that runs here. */
interface OwnCase extends CaseName {
  /** Returns a number that depends on all of its work, so that none of it is dead code. */
  readonly run: () => number;
}

/** A case that runs in another program, which times it. */
interface OtherCase extends CaseName {
  /** Runs for `ms` milliseconds while this thread waits. */
  readonly time: (ms: number) => Round & { readonly calls: number };
}

export type BenchCase = OwnCase | OtherCase;

export interface MeasureOptions {
  readonly rounds: number;
  /** Time for one case in one round. */
  readonly roundMs: number;
  /** Time for each case before anything counts. */
  readonly warmupMs: number;
}

export const MEASURE: MeasureOptions = { rounds: 15, roundMs: 120, warmupMs: 300 };
export const MEASURE_TOY: MeasureOptions = { rounds: 2, roundMs: 2, warmupMs: 2 };

/**
 * The clock takes some 45 ns a reading: a hundredth of the shortest sample. As long as those of the C floor,
 * so that both are measured in the same way.
 */
const SAMPLE_US_MIN = 5;
const SAMPLES_MIN = 8;
/** Calls between two looks at the clock while warming up. */
const WARMUP_CALLS = 16;

/** Keeps results alive: without a place to go, work without effect may be left out. */
const sink = new Float64Array(1);

/** Milliseconds of a call. */
export interface Round {
  readonly p50: number;
  readonly mean: number;
  readonly p99: number;
  readonly min: number;
}

export function measure(cases: readonly BenchCase[], options: MeasureOptions): BenchResult[] {
  const calls = cases.map(one => callsPerSample(one, options.warmupMs));
  const rounds: Round[][] = cases.map(() => []);
  for (let round = 0; round < options.rounds; round++) {
    cases.forEach((one, i) => {
      rounds[i]!.push('time' in one ? one.time(options.roundMs) : timeRound(one, calls[i]!, options.roundMs));
    });
  }
  return cases.map((one, i) => {
    const over = (key: keyof Round) => rounded(1000 * median(rounds[i]!.map(round => round[key])));
    return {
      name: one.name,
      p50_us: over('p50'),
      mean_us: over('mean'),
      p99_us: over('p99'),
      min_us: rounded(1000 * Math.min(...rounds[i]!.map(round => round.min))),
      ...(one.floor === undefined ? {} : { floor: one.floor }),
      calls_per_sample: calls[i]!,
      ...one.details,
    };
  });
}

function callsPerSample(one: BenchCase, warmupMs: number): number {
  if ('time' in one) return one.time(warmupMs).calls;
  return Math.max(1, Math.ceil(SAMPLE_US_MIN / warmUp(one, warmupMs)));
}

/** Runs until `ms` are over; returns the microseconds of a call in the second half. */
function warmUp(one: OwnCase, ms: number): number {
  for (const half of [0, 1]) {
    const started = performance.now();
    let calls = 0;
    let elapsed = 0;
    while (elapsed < ms / 2) {
      for (let i = 0; i < WARMUP_CALLS; i++) keep(one.run());
      calls += WARMUP_CALLS;
      elapsed = performance.now() - started;
    }
    if (half === 1) return (1000 * elapsed) / calls;
  }
  return Number.NaN;
}

function timeRound(one: OwnCase, calls: number, ms: number): Round {
  const single = calls === 1;
  const bench = new Bench({
    time: ms,
    iterations: SAMPLES_MIN,
    warmup: false,
    retainSamples: true,
    subtractTimerOverhead: single,
    timestampProvider: 'hrtimeNow',
    throws: true,
  });
  bench.add(one.name, single ? () => keep(one.run()) : () => batch(one.run, calls));
  const task = bench.runSync()[0];
  if (task?.result.state !== 'completed') throw new Error(`"${one.name}" did not complete`);
  const { p50, mean, p99, min } = task.result.latency;
  return { p50, mean, p99, min };
}

function keep(value: number): void {
  sink[0] = sink[0]! + value;
}

function batch(
  run: () => number,
  calls: number,
): { overriddenDuration: number; overriddenIterationCost: number } {
  const started = performance.now();
  let sum = 0;
  for (let i = 0; i < calls; i++) sum += run();
  const elapsed = performance.now() - started;
  keep(sum);
  return { overriddenDuration: elapsed / calls, overriddenIterationCost: elapsed };
}
