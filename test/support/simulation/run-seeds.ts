/** Simulates many seeds in several processes, and sums up. */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type RunResult, STRANGENESS } from './simulate.ts';

/** What a process is told: `count` seeds from `first` on, `step` apart. */
export interface SeedsOrder {
  /** Where the modules under test are: `fleet-modules.ts`. */
  readonly root: string;
  readonly first: number;
  readonly count: number;
  readonly step: number;
  /** It ends early after so many failures. */
  readonly failuresMax: number;
  readonly faults?: readonly string[];
  readonly replicaCount?: number;
  readonly settleMs?: number;
}

export interface SeedFailure {
  readonly seed: number;
  readonly failure: string;
  readonly faults: readonly string[];
}

export interface SeedsSum {
  runCount: number;
  failures: SeedFailure[];
  /** Seed → hash of its trace. */
  hashes: Map<number, string>;
  /** Faults → runs that had it. */
  faults: Map<string, number>;
  counts: Map<string, number>;
  /** But for runs in which keys were not what they should be. */
  settledMostMs: number;
  replicaMost: number;
}

const SEEDS_PROGRAM = fileURLToPath(new URL('./seeds-process.ts', import.meta.url));
const PROCESSES_MAX = 2;

export function emptySum(): SeedsSum {
  return {
    runCount: 0,
    failures: [],
    hashes: new Map(),
    faults: new Map(),
    counts: new Map(),
    settledMostMs: 0,
    replicaMost: 0,
  };
}

function add(sums: Map<string, number>, name: string, count: number): void {
  sums.set(name, (sums.get(name) ?? 0) + count);
}

export function addRun(sum: SeedsSum, { seed, failure, ...run }: RunResult): void {
  sum.runCount++;
  sum.hashes.set(seed, run.traceHash);
  for (const fault of new Set(run.faults)) add(sum.faults, fault, 1);
  for (const [name, count] of Object.entries(run.counts)) add(sum.counts, name, count);
  sum.replicaMost = Math.max(sum.replicaMost, run.replicaCount);
  if (failure !== undefined) sum.failures.push({ seed, failure, faults: run.faults });
  else if (!run.faults.some(fault => STRANGENESS.includes(fault))) {
    sum.settledMostMs = Math.max(sum.settledMostMs, run.settledMs);
  }
}

function addSum(sum: SeedsSum, other: SeedsSum): void {
  sum.runCount += other.runCount;
  sum.failures.push(...other.failures);
  for (const [seed, hash] of other.hashes) sum.hashes.set(seed, hash);
  for (const [fault, count] of other.faults) add(sum.faults, fault, count);
  for (const [name, count] of other.counts) add(sum.counts, name, count);
  sum.settledMostMs = Math.max(sum.settledMostMs, other.settledMostMs);
  sum.replicaMost = Math.max(sum.replicaMost, other.replicaMost);
}

export async function runSeeds(
  order: Omit<SeedsOrder, 'step' | 'failuresMax'> & { readonly failuresMax?: number },
): Promise<SeedsSum> {
  const processes = Math.min(PROCESSES_MAX, availableParallelism(), order.count);
  const parts = Array.from({ length: processes }, (_, i) => {
    const count = Math.floor((order.count - i - 1) / processes) + 1;
    return runProcess({ failuresMax: 5, ...order, first: order.first + i, count, step: processes });
  });
  const sum = emptySum();
  for (const part of await Promise.all(parts)) addSum(sum, part);
  sum.failures.sort((a, b) => a.seed - b.seed);
  return sum;
}

function runProcess(order: SeedsOrder): Promise<SeedsSum> {
  return new Promise((resolve, reject) => {
    const child = fork(SEEDS_PROGRAM, { serialization: 'advanced', execArgv: [] });
    child.once('message', sum => resolve(sum as SeedsSum));
    child.once('error', reject);
    child.once('exit', () => reject(new Error('the process of the simulation ended')));
    child.send(order);
  });
}
