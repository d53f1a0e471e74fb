/**
 * How long a load takes, stage by stage, as the loader itself reports it, beside reading the file and nothing
 * else.
 */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { fileSource, type LoadReport, openCache } from '../../src/index.ts';
import { writeRelayFile } from '../harness/population.ts';
import { type BenchResult, median, rounded } from '../harness/result.ts';

const STAGES = ['durationMs', 'readMs', 'buildMs', 'validateMs', 'publishMs', 'followUpMs'] as const;
const STAGE_NAMES: Readonly<Record<(typeof STAGES)[number], string>> = {
  durationMs: 'whole',
  readMs: 'read',
  buildMs: 'build',
  validateMs: 'validate',
  publishMs: 'publish',
  followUpMs: 'follow up, while it is served',
};
const NEVER_MS = 2 ** 31 - 1;

/**
 * Loads `rows` nodes `loads` times from a file in `folder`; the first load, which touches fresh memory, is
 * left out.
 */
export async function stageResults(folder: string, rows: number, loads: number): Promise<BenchResult[]> {
  const path = join(folder, `${rows}.csv`);
  const fileBytes = await writeRelayFile(path, rows);
  const reads: number[] = [];
  for (let i = 0; i <= loads; i++) reads.push(await readOnlyMs(path));
  const reports = await loadReports(path, loads);
  const floor = `floor: read the file of ${rows}, parse nothing`;
  const last = reports.at(-1)!;
  return [
    { ...summary(floor, reads.slice(1)), bytes: fileBytes },
    ...STAGES.map(stage => ({
      ...summary(
        `load ${rows}: ${STAGE_NAMES[stage]}`,
        reports.map(report => report[stage]),
      ),
      floor,
      ...(stage === 'durationMs' ? { bytes: last.snapshotBytes } : {}),
      ns_per_row: rounded((1e6 * median(reports.map(report => report[stage]))) / rows),
    })),
  ];
}

async function loadReports(path: string, loads: number): Promise<LoadReport[]> {
  const cache = await openCache({
    source: fileSource(path),
    refresh: { everyMs: NEVER_MS, timeoutMs: NEVER_MS },
  });
  try {
    const reports: LoadReport[] = [];
    for (let i = 0; i < loads; i++) {
      const result = await cache.refresh();
      if (!result.ok) throw new Error(`the load failed: ${result.error.message}`);
      reports.push(result.report);
    }
    return reports;
  } finally {
    await cache.close();
  }
}

async function readOnlyMs(path: string): Promise<number> {
  const started = performance.now();
  let bytes = 0;
  for await (const chunk of createReadStream(path)) bytes += (chunk as Buffer).length;
  if (bytes === 0) throw new Error(`"${path}" is empty`);
  return performance.now() - started;
}

function summary(name: string, ms: readonly number[]): BenchResult {
  const mean = ms.reduce((sum, value) => sum + value, 0) / ms.length;
  return {
    name,
    p50_us: rounded(1000 * median(ms)),
    mean_us: rounded(1000 * mean),
    max_us: rounded(1000 * Math.max(...ms)),
    samples: ms.length,
  };
}
