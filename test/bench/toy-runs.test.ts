/** Every bench runs at toy size, so that none of them can rot. What they measure then means nothing. */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { BenchReport, BenchResult } from '../../bench/harness/result.ts';
import { PEER_KEYS } from '../../bench/peers/peer.ts';

/** Servers and some fifteen processes one after the other: up to a minute, and more on a busy machine. */
const TIMEOUT_MS = 600_000;
const FOLDER = resolve(import.meta.dirname, '../../bench');

async function toyRun(bench: string): Promise<BenchReport> {
  const args = [resolve(FOLDER, `${bench}.bench.ts`), '--toy', '--json'];
  const limits = { timeout: TIMEOUT_MS, killSignal: 'SIGKILL' } as const;
  const { stdout } = await promisify(execFile)(process.execPath, args, limits);
  return JSON.parse(stdout) as BenchReport;
}

function named(report: BenchReport, part: string): BenchResult {
  const found = report.results.find(result => result.name.includes(part));
  if (found === undefined) throw new Error(`no result has "${part}" in its name`);
  return found;
}

function expectWhole(report: BenchReport): void {
  expect(report.environment).toMatchObject({ node: process.version, toy: true });
  const names = report.results.map(result => result.name);
  expect(new Set(names).size).toBe(names.length);
  for (const result of report.results) {
    if (result.floor === undefined) continue;
    expect(names).toContain(result.floor);
    expect(result.ratio, result.name).toBeGreaterThan(0);
  }
}

describe('benches at toy size', { timeout: TIMEOUT_MS }, () => {
  it('bench:select compares ours with plain JavaScript, with C and with copying', async () => {
    const report = await toyRun('select');
    expectWhole(report);
    for (const name of [
      'floor: C, select',
      'floor: C, JSON',
      'floor: C, records, exclude',
      'sortition: the kernel draws',
      'objects: shuffle',
      'as lodash',
      'sortition: select',
      'sortition: JSON, count 1000',
    ]) {
      expect(named(report, name)).toMatchObject({ p50_us: expect.any(Number), p99_us: expect.any(Number) });
    }
  });

  it('bench:refresh shows stages, latencies beside an empty loop, and memory', async () => {
    const report = await toyRun('refresh');
    expectWhole(report);
    expect(named(report, 'validate').ns_per_row).toBeGreaterThan(0);
    expect(named(report, 'from memory: whole').million_rows_per_second).toBeGreaterThan(0);
    expect(named(report, 'delta of 20 to 2000: whole').ratio).toBeGreaterThan(0);
    expect(named(report, 'from Postgres: to the published generation').ratio).toBeGreaterThan(0);
    expect(named(report, 'at its peak').over_the_slots_mib).toBeGreaterThan(0);
    expect(named(report, 'select, generations back to back').publishes).toBeGreaterThan(0);
    expect(named(report, 'empty loop').p999_us).toBeGreaterThan(0);
    expect(named(report, 'after 12 publishes').resident_mib).toBeGreaterThan(0);
  });

  it('bench:http gets right answers from every server, and spreads connections', async () => {
    const report = await toyRun('http');
    expectWhole(report);
    const loaded = report.results.filter(result => result.failures !== undefined);
    expect(loaded).toHaveLength(18);
    for (const result of loaded) {
      expect(result.requests_per_second, result.name).toBeGreaterThan(0);
      expect(result.failures, result.name).toBe(0);
    }
    expect(named(report, 'memory of 2 HTTP threads').resident_mib).toBeGreaterThan(0);
    expect(named(report, 'spread of 32 connections').fewest).toBeGreaterThan(0);
    expect(named(report, 'HTTP thread 1 of 2 alone').answers_of_others).toBeLessThan(10);
  });

  it('bench:peers asks every store, and keeps the best of each', async () => {
    const report = await toyRun('peers');
    expectWhole(report);
    for (const result of report.results) {
      expect(result.requests_per_second, result.name).toBeGreaterThan(0);
      expect(result.memory_bytes, result.name).toBeGreaterThan(0);
      expect(result.change_us, result.name).toBeGreaterThan(0);
    }
    const kept = report.results.filter(result => result.kept === 'yes' && result.in_flight === 1);
    expect(kept.map(result => result.peer).toSorted()).toEqual([...PEER_KEYS].toSorted());
  });

  it('bench:fresh follows commits to every replica, over every bus, and through a failover', async () => {
    const report = await toyRun('fresh');
    expectWhole(report);
    for (const name of ['same process, 2 threads', 'over redis', 'over nats', 'over postgres'])
      expect(named(report, `${name}, paced readers`).p50_us).toBeGreaterThan(0);
    const latencies = report.results.filter(result => result.selections_per_second !== undefined);
    expect(latencies).toHaveLength(5);
    for (const { p50_us, p99_us, samples } of latencies) {
      expect(samples).toBe(3);
      expect(p50_us).toBeGreaterThan(0);
      expect(p99_us).toBeGreaterThanOrEqual(p50_us!);
    }
    expect(named(report, 'another leader').p50_us).toBeGreaterThan(0);
    expect(named(report, 'a commit made right after it').went_back).toBe(0);
    expect(named(report, 'queries a minute, 2 replicas').queries_per_minute).toBeGreaterThan(0);
    expect(named(report, 'packed, a transaction an hour').changed_rows).toBeGreaterThan(50);
    expect(named(report, 'ready from redis').p50_us).toBeGreaterThan(0);
  });
});
