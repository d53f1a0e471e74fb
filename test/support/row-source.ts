/** Reading a row source to its end, as the loader does. */
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import type { AbsentCounts, CheckStep, RowSource } from '../../src/workers/source/row-source.ts';
import { rowsOf } from './field-rows.ts';

export interface ReadResult {
  /** Sorted by id: a source promises no order. */
  readonly rows: NodeRow[];
  readonly batchSizes: number[];
  readonly summary: { readonly absent: AbsentCounts };
}

const DEADLINE_MS = 50_000;

export async function readAll(
  source: RowSource,
  attributes: readonly string[] = [],
  signal: AbortSignal = AbortSignal.timeout(DEADLINE_MS),
): Promise<ReadResult> {
  const rows: NodeRow[] = [];
  const batchSizes: number[] = [];
  const read = source.read({ attributes, signal });
  for (;;) {
    const step = await read.next();
    if (step.done === true) {
      const summary = { absent: await step.value.absent };
      return { rows: rows.sort(byId), batchSizes, summary };
    }
    const batch = rowsOf(step.value);
    rows.push(...batch);
    batchSizes.push(batch.length);
  }
}

export async function checkAll(source: RowSource, attributes: readonly string[] = []): Promise<CheckStep[]> {
  const steps: CheckStep[] = [];
  const signal = AbortSignal.timeout(DEADLINE_MS);
  for await (const step of source.check({ attributes, signal })) steps.push(step);
  return steps;
}

export function byId(a: NodeRow, b: NodeRow): number {
  return String(a.id) < String(b.id) ? -1 : 1;
}
