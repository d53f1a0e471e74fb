/**
 * A short measurement of the user's own source: selections as objects, as records, as encoded answers, and
 * the floor of measuring nothing. Main thread; the project's own benches, with peers and floors, are in
 * `bench/`.
 */
import { cpus } from 'node:os';
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { encodedBytesMax } from '../engine/encoding/encode.ts';
import { openCache } from '../workers/cache.ts';
import type { Cache } from '../workers/cache-types.ts';
import type { Config } from './config.ts';
import { packageVersion } from './version.ts';

export interface BenchResult {
  readonly name: string;
  readonly p50_us: number;
  readonly mean_us: number;
  readonly p99_us: number;
  readonly per_second: number;
}

export interface BenchReport {
  readonly environment: Readonly<Record<string, string>>;
  readonly results: readonly BenchResult[];
}

interface BenchOptions {
  readonly count: number;
  /** Time to spend on each measurement. */
  readonly seconds: number;
}

/** Calls that are timed together: a clock reading costs as much as a tenth of a selection. */
const CALLS_A_SAMPLE = 16;
const WARM_UP_MS = 200;
const SAMPLES_MAX = 200_000;

export async function runBench(config: Config, options: BenchOptions): Promise<BenchReport> {
  const cache = await openCache({ ...config.cache, readyTimeoutMs: config.values['refresh.timeoutMs'] });
  try {
    const request = { count: options.count, partial: true };
    const bytes = new Uint8Array(
      Math.max(encodedBytesMax('json', options.count), encodedBytesMax('messagepack', options.count)),
    );
    const records = new Uint8Array(options.count * RECORD_BYTES);
    const cases: readonly (readonly [name: string, call: () => unknown])[] = [
      ['an empty call (the floor)', () => 0],
      ['select', () => cache.select(request)],
      ['select, as objects', () => cache.select(request).nodes],
      ['select, as records', () => cache.selectRecords(request, records)],
      ['select, as JSON', () => cache.selectEncoded('json', request, bytes)],
      ['select, as MessagePack', () => cache.selectEncoded('messagepack', request, bytes)],
    ];
    const results = cases.map(([name, call]) => measure(name, call, options.seconds));
    return { environment: environment(cache, options), results };
  } finally {
    await cache.close();
  }
}

/** Where results go, so that no call can be optimised away. */
let sink: unknown;

function measure(name: string, call: () => unknown, seconds: number): BenchResult {
  const sample = (): number => {
    const start = performance.now();
    for (let i = 0; i < CALLS_A_SAMPLE; i++) sink = call();
    return ((performance.now() - start) * 1_000) / CALLS_A_SAMPLE;
  };
  const warmUntil = performance.now() + WARM_UP_MS;
  while (performance.now() < warmUntil) sample();
  const micros: number[] = [];
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until && micros.length < SAMPLES_MAX) micros.push(sample());
  micros.sort((a, b) => a - b);
  const mean = micros.reduce((total, value) => total + value, 0) / micros.length;
  return {
    name,
    p50_us: rounded(quantile(micros, 0.5)),
    mean_us: rounded(mean),
    p99_us: rounded(quantile(micros, 0.99)),
    per_second: Math.round(1e6 / mean),
  };
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

function rounded(micros: number): number {
  return Number(micros.toFixed(3));
}

function environment(cache: Cache, { count }: BenchOptions): Record<string, string> {
  const { vetted = 0, new: fresh = 0, networks = 0 } = cache.status().lastLoad?.nodes ?? {};
  return {
    version: `sortition ${packageVersion()}`,
    node: `Node ${process.version}`,
    machine: `${process.platform}-${process.arch}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    population: `${vetted} vetted + ${fresh} new nodes in ${networks} networks`,
    request: `${count} nodes`,
  };
}

/** The last result, for whoever wants to be sure that there was one. */
export function lastResult(): unknown {
  return sink;
}
