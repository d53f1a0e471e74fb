/** The bench of overload runs at toy size, so that it cannot rot. What it measures then means nothing. */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { BenchReport } from '../../bench/harness/result.ts';

const BENCH = resolve(import.meta.dirname, '../../bench/overload.bench.ts');

test('bench:overload goes beyond the peak with every workload, and probes on the way', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [BENCH, '--toy', '--json']);
  const { environment, results } = JSON.parse(stdout) as BenchReport;
  expect(environment).toMatchObject({ node: process.version, toy: true });
  expect(results).toHaveLength(15);
  for (const workload of ['selection', 'selection, many connections', 'batch of 100']) {
    const own = results.filter(({ name }) => name.startsWith(`${workload}: `));
    expect(own.map(({ name }) => name.slice(workload.length + 2))).toEqual([
      'peak',
      '0.5 × peak',
      '1 × peak',
      '2 × peak',
      '5 × peak',
    ]);
    for (const result of own.slice(1)) {
      expect(result.probes, result.name).toBeGreaterThan(0);
      expect(result.probes_failed, result.name).toBe(0);
      expect(result.own_probes, result.name).toBeGreaterThan(0);
      expect(result.own_probes_failed, result.name).toBe(0);
      expect(result.failed, result.name).toBe(0);
    }
  }
});
