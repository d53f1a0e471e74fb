/**
 * A short measurement of the user's own source: selections as objects, as records, as encoded answers, and
 * the floor of measuring nothing. Every call is timed by itself, so that its p99 is real; cases take turns,
 * so that a change of the machine's mood meets them all. Main thread; the project's own benches, with peers
 * and floors, are in `bench/`.
 */
import { availableParallelism, cpus } from 'node:os';
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { encodedBytesMax } from '../engine/encoding/encode.ts';
import type { SelectionRequest } from '../engine/selection/selection-types.ts';
import { openCache } from '../workers/cache.ts';
import type { Cache } from '../workers/cache-types.ts';
import { packageVersion } from '../workers/package-version.ts';
import type { Config } from './config.ts';

export interface BenchResult {
  readonly name: string;
  readonly p50_us: number;
  readonly mean_us: number;
  readonly p99_us: number;
  /** By the mean: what one thread can do when it does nothing else. */
  readonly per_second: number;
  readonly samples: number;
  /** Of an answer, where it has a form in bytes. */
  readonly bytes?: number;
}

export interface BenchReport {
  readonly environment: BenchEnvironment;
  readonly results: readonly BenchResult[];
}

export interface BenchEnvironment {
  readonly version: string;
  readonly node: string;
  readonly machine: string;
  /** As the loader names it: without a password. */
  readonly source: string;
  readonly generation: number;
  readonly loadMs: number;
  readonly snapshotBytes: number;
  readonly nodes: number;
  readonly vetted: number;
  readonly new: number;
  readonly networks: number;
  readonly placement: string;
  readonly count: number;
  /** Nodes of an answer: fewer than `count` where there are not enough. */
  readonly found: number;
}

export interface BenchOptions {
  readonly count: number;
  /** Time to spend on each measurement. */
  readonly seconds: number;
  /** The default one by default. */
  readonly placement?: string;
}

const ROUNDS = 10;
const WARM_UP_MS = 200;
/** Of a case in a round; a longer time gives no more of them. */
const SAMPLES_MAX = 50_000;
/** Calls between two looks at the time. */
const CALLS_A_LOOK = 16;

interface Case {
  readonly name: string;
  readonly call: () => unknown;
  readonly bytes?: number;
}

export async function runBench(config: Config, options: BenchOptions): Promise<BenchReport> {
  const cache = await openCache({ ...config.cache, readyTimeoutMs: config.values['refresh.timeoutMs'] });
  try {
    const { count, placement } = options;
    const request: SelectionRequest = {
      count,
      partial: true,
      ...(placement === undefined ? {} : { placement }),
    };
    const about = environment(cache, request);
    return { environment: about, results: measureAll(casesOf(cache, request, about.found), options.seconds) };
  } finally {
    await cache.close();
  }
}

function casesOf(cache: Cache, request: SelectionRequest, found: number): Case[] {
  const { count = found } = request;
  const records = new Uint8Array(count * RECORD_BYTES);
  const json = new Uint8Array(encodedBytesMax('json', count));
  const messagePack = new Uint8Array(encodedBytesMax('messagepack', count));
  return [
    { name: 'floor: an empty call', call: () => found },
    { name: 'select', call: () => cache.select(request) },
    { name: 'select, every node read', call: () => cache.select(request).nodes },
    { name: 'records', call: () => cache.selectRecords(request, records), bytes: found * RECORD_BYTES },
    {
      name: 'JSON',
      call: () => cache.selectEncoded('json', request, json),
      bytes: cache.selectEncoded('json', request, json).bytes,
    },
    {
      name: 'MessagePack',
      call: () => cache.selectEncoded('messagepack', request, messagePack),
      bytes: cache.selectEncoded('messagepack', request, messagePack).bytes,
    },
  ];
}

function measureAll(cases: readonly Case[], seconds: number): BenchResult[] {
  const samples = cases.map(() => [] as Float64Array[]);
  for (const { call } of cases) timeCalls(call, WARM_UP_MS);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { call }] of cases.entries()) {
      samples[i]!.push(timeCalls(call, (seconds * 1_000) / ROUNDS));
    }
  }
  return cases.map(({ name, bytes }, i) => summary(name, samples[i]!, bytes));
}

/** Where results go, so that no call can be optimised away. */
let sink: unknown;

/** Microseconds of each call, for `ms` milliseconds. */
function timeCalls(call: () => unknown, ms: number): Float64Array {
  const micros = new Float64Array(SAMPLES_MAX);
  let samples = 0;
  const until = performance.now() + ms;
  do {
    const end = Math.min(samples + CALLS_A_LOOK, SAMPLES_MAX);
    for (; samples < end; samples++) {
      const start = performance.now();
      sink = call();
      micros[samples] = (performance.now() - start) * 1_000;
    }
  } while (samples < SAMPLES_MAX && performance.now() < until);
  return micros.subarray(0, samples);
}

function summary(name: string, rounds: readonly Float64Array[], bytes: number | undefined): BenchResult {
  const sorted = new Float64Array(rounds.reduce((total, { length }) => total + length, 0));
  let at = 0;
  for (const round of rounds) {
    sorted.set(round, at);
    at += round.length;
  }
  sorted.sort();
  const mean = sorted.reduce((total, value) => total + value, 0) / sorted.length;
  return {
    name,
    p50_us: rounded(quantile(sorted, 0.5)),
    mean_us: rounded(mean),
    p99_us: rounded(quantile(sorted, 0.99)),
    per_second: Math.round(1e6 / mean),
    samples: sorted.length,
    ...(bytes === undefined ? {} : { bytes }),
  };
}

function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function rounded(micros: number): number {
  return Number(micros.toFixed(micros < 1 ? 3 : 2));
}

function environment(cache: Cache, request: SelectionRequest): BenchEnvironment {
  const { lastLoad, source } = cache.status();
  const { generation, length } = cache.select(request);
  const cpu = cpus()[0]?.model ?? 'unknown';
  return {
    version: `sortition ${packageVersion()}`,
    node: `Node ${process.version}`,
    machine: `${process.platform}-${process.arch}, ${availableParallelism()} × ${cpu}`,
    source,
    generation,
    loadMs: Math.round(lastLoad?.durationMs ?? 0),
    snapshotBytes: lastLoad?.snapshotBytes ?? 0,
    nodes: lastLoad?.nodes.total ?? 0,
    vetted: lastLoad?.nodes.vetted ?? 0,
    new: lastLoad?.nodes.new ?? 0,
    networks: lastLoad?.nodes.networks ?? 0,
    placement: request.placement ?? 'default',
    count: request.count ?? length,
    found: length,
  };
}

/** The last result, for whoever wants to be sure that there was one. */
export function lastResult(): unknown {
  return sink;
}
