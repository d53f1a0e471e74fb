/** What a long run came to, as text, and whether that is well. */
import { MEMORY_KINDS, REFRESH_EVERY_MS, SOAK_NODES, type SoakResult } from './soak.ts';

const MIB = 1_048_576;
const MINUTE_MS = 60_000;
/** Memory may grow by so much over the second half; below it is noise of collectors and threads. */
const GROWTH_RATIO_MAX = 0.05;

export function soakTable(result: SoakResult): string {
  const { loads, memory, seconds } = result;
  const rate = (loads.succeeded / seconds).toFixed(1);
  const rows: (readonly [string, string])[] = [
    ['nodes', String(SOAK_NODES)],
    ['duration', `${(seconds / 60).toFixed(1)} min`],
    ['requests', `${result.requests}, failed ${result.failed}, slowest ${result.slowestMs} ms`],
    [
      'loads',
      `${loads.succeeded} (${rate} a second; the option's shortest interval is ${REFRESH_EVERY_MS} ms)`,
    ],
    ['loads lost', `${loads.failed}`],
    ['loaders terminated', `${result.loaderKills}, restarts ${result.loaderRestarts}`],
    ['workers terminated', String(result.workerKills)],
    ['HTTP threads replaced', String(result.httpThreadRestarts)],
    ['rows changed', String(result.changes)],
    ['nodes revoked', String(result.revocations)],
  ];
  for (const kind of MEMORY_KINDS) {
    const { mean, perMs } = memory[kind];
    const perMinute = (perMs * MINUTE_MS) / MIB;
    const growth = (grownRatio(result, kind) * 100).toFixed(1);
    rows.push([
      `${kind}, second half`,
      `${(mean / MIB).toFixed(1)} MiB, ${perMinute.toFixed(3)} MiB a minute (${growth}% over the half)`,
    ]);
  }
  for (const [reason, times] of Object.entries(result.reasons)) rows.push([`failed ${times} times`, reason]);
  if (result.failed > 0) rows.push(...result.troubles.map(line => ['logged', line] as const));
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`).join('\n');
}

/** How much of its mean a kind of memory has grown over the second half. */
export function grownRatio({ memory }: SoakResult, kind: (typeof MEMORY_KINDS)[number]): number {
  const { mean, perMs, spanMs } = memory[kind];
  return mean === 0 ? 0 : (perMs * spanMs) / mean;
}

/** What is not as it should be; `withSlope` where the run was long enough for one. */
export function soakProblems(result: SoakResult, withSlope: boolean): readonly string[] {
  const problems: string[] = [];
  if (result.failed > 0) problems.push(`${result.failed} requests failed`);
  if (result.httpThreadRestarts > 0) problems.push('an HTTP thread was replaced');
  if (result.requests === 0) problems.push('nothing was asked');
  if (result.loaderKills === 0 || result.workerKills === 0) problems.push('no thread was terminated');
  if (result.loads.succeeded === 0) problems.push('nothing was loaded');
  const grown = grownRatio(result, 'rss');
  if (withSlope && grown > GROWTH_RATIO_MAX) {
    problems.push(`memory grew by ${(grown * 100).toFixed(1)}% over the second half`);
  }
  return problems;
}
