/** Counts what a source holds by criterion, and says it as the last step of a check. Both sources use it. */
import type { CheckStep } from './row-source.ts';

interface CountedRow {
  readonly absent?: string | null | undefined;
  readonly ineligible?: string | null | undefined;
  readonly vetted: boolean;
}

export interface RowCounts {
  add(row: CountedRow, count: number): void;
  readonly absent: ReadonlyMap<string, number>;
  readonly ineligible: ReadonlyMap<string, number>;
  readonly eligible: { vetted: number; new: number };
}

export function countRows(): RowCounts {
  const absent = new Map<string, number>();
  const ineligible = new Map<string, number>();
  const eligible = { vetted: 0, new: 0 };
  const raise = (counts: Map<string, number>, name: string, by: number) =>
    counts.set(name, (counts.get(name) ?? 0) + by);
  return {
    absent,
    ineligible,
    eligible,
    add(row, count) {
      if (row.absent != null) raise(absent, row.absent, count);
      else if (row.ineligible != null) raise(ineligible, row.ineligible, count);
      else eligible[row.vetted ? 'vetted' : 'new'] += count;
    },
  };
}

/** Not ok when no node is eligible: then it names the criterion that removed most. */
export function rowsStep(counts: RowCounts): CheckStep {
  const eligibleCount = counts.eligible.vetted + counts.eligible.new;
  const removed = [...counts.absent, ...counts.ineligible].sort((a, b) => b[1] - a[1]);
  const rowCount = removed.reduce((sum, [, count]) => sum + count, eligibleCount);
  const detail = [
    `${rowCount} rows`,
    `left out: ${listed(counts.absent)}`,
    `not eligible: ${listed(counts.ineligible)}`,
    `eligible: ${eligibleCount} (vetted ${counts.eligible.vetted}, new ${counts.eligible.new})`,
  ].join('; ');
  if (eligibleCount > 0) return { name: 'rows', ok: true, detail };
  const [most] = removed;
  const hint =
    most === undefined
      ? 'the source is empty'
      : `no node is eligible: the criterion "${most[0]}" removes most, ${most[1]} of ${rowCount}`;
  return { name: 'rows', ok: false, detail, hint };
}

function listed(counts: ReadonlyMap<string, number>): string {
  if (counts.size === 0) return 'none';
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
