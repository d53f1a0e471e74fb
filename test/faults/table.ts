/** The table of a run of the fault matrix, and of the steps of the load cycle that it has hit, as text. */
import { PHASES } from './http-load.ts';
import type { FaultResult, Verdict } from './run-faults.ts';
import { STEP_NAMES, type StepHits } from './steps.ts';

const HEADINGS = [
  'fault',
  'what',
  'before',
  'during',
  'after',
  'refused',
  'failed',
  'slowest',
  'recovery',
  'verdict',
];
/** Columns of text; the others are numbers. */
const TEXT_COLUMNS = new Set([0, 1, 9]);

export function faultLine(result: FaultResult): string {
  const { number, name, verdict, detail } = result;
  const { requests, failed, recovery } = cellsOf(result);
  const told = detail === '' ? '' : `: ${detail}`;
  const seconds = `${(result.elapsedMs / 1_000).toFixed(1)} s`;
  const counts = `${requests}, failed ${failed}, recovery ${recovery}`;
  return `${number} ${name}: ${verdict} in ${seconds} (${counts})${told}`;
}

export function faultTable(results: readonly FaultResult[]): string {
  const rows = results.map(result => {
    const { counts, number, name, verdict } = result;
    const { failed, refused, recovery, slowest } = cellsOf(result);
    const requests = PHASES.map(phase => String(counts[phase].requests));
    return [number, name, ...requests, refused, failed, slowest, recovery, verdict];
  });
  return aligned([HEADINGS, ...rows]);
}

function cellsOf({ counts, recoveryMs }: FaultResult) {
  const sum = (of: 'failed' | 'refused') => String(PHASES.reduce((all, phase) => all + counts[phase][of], 0));
  return {
    requests: PHASES.map(phase => counts[phase].requests).join('/'),
    failed: sum('failed'),
    refused: sum('refused'),
    slowest: `${Math.max(...PHASES.map(phase => counts[phase].slowestMs))} ms`,
    recovery: recoveryMs === undefined ? '-' : `${Math.round(recoveryMs)} ms`,
  };
}

export function stepTable(hits: StepHits): string {
  const rows = STEP_NAMES.map(step => {
    const faults = hits.of(step).map(([fault, times]) => (times > 1 ? `${fault} (${times})` : fault));
    return [step, faults.length === 0 ? 'MISSED' : faults.join(', ')];
  });
  return aligned([['step of the load cycle', 'hit by'], ...rows], new Set([0, 1]));
}

/** `48 faults: 46 passed, 0 failed, 0 void, 2 not run`. */
export function closingLine(results: readonly FaultResult[]): string {
  const verdicts: readonly Verdict[] = ['passed', 'failed', 'void', 'not run'];
  const counts = verdicts.map(
    verdict => `${results.filter(result => result.verdict === verdict).length} ${verdict}`,
  );
  const requests = results.reduce(
    (all, { counts: of }) => all + PHASES.reduce((sum, phase) => sum + of[phase].requests, 0),
    0,
  );
  const failed = results.reduce(
    (all, { counts: of }) => all + PHASES.reduce((sum, phase) => sum + of[phase].failed, 0),
    0,
  );
  return `${results.length} faults: ${counts.join(', ')}; ${requests} requests, ${failed} failed`;
}

function aligned(rows: readonly (readonly string[])[], text = TEXT_COLUMNS): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)));
  return rows
    .map(row =>
      row
        .map((cell, column) =>
          text.has(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
