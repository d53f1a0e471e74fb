/**
 * How fast rows that are in memory become a snapshot that may be published: read from their bytes, checked,
 * sorted, indexed, grouped, validated. On one thread, in a slot that has been written before, as in all loads
 * but the first.
 */
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { DEFAULT_PREFIX_BITS } from '../../src/engine/address/network-keys.ts';
import { placementPlan } from '../../src/engine/placement/placement-plan.ts';
import { slotLayout } from '../../src/engine/shared-memory.ts';
import { BuildMemory } from '../../src/engine/snapshot/build-memory.ts';
import type { FieldRows } from '../../src/engine/snapshot/field-rows.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { contentLayout } from '../../src/engine/snapshot/snapshot.ts';
import { SnapshotBuilder } from '../../src/engine/snapshot/snapshot-builder.ts';
import { validateSnapshot } from '../../src/engine/snapshot/snapshot-validator.ts';
import { fieldRowsOf } from '../../test/support/field-rows.ts';
import { relayRows } from '../harness/population.ts';
import { type BenchResult, median, rounded } from '../harness/result.ts';

/** Rows of a batch: about what a chunk of a connection holds. */
const BATCH_ROWS = 650;
/** As the source reads storj's table; between two fields stands the length of the second. */
const FORM = { id: 'bytes', address: 'host-port', network: 'text', portBytes: 4, gap: '\0\0\0\x09' } as const;
const WARMUP_LOADS = 2;
const STAGES = ['append', 'finish', 'validate', 'whole'] as const;

type Times = Record<(typeof STAGES)[number], number>;

export function buildResults(rows: number, loads: number): BenchResult[] {
  const plan = placementPlan({ placements: {}, distinctAttributes: [] });
  const layout = slotLayout(rows, plan);
  const views = snapshotViews(new SharedArrayBuffer(layout.byteLength), layout);
  const memory = new BuildMemory(rows, plan);
  const batches = batchesOf(rows);
  const wall: Times[] = [];
  for (let load = -WARMUP_LOADS; load < loads; load++) {
    const builder = () =>
      new SnapshotBuilder(
        views,
        { plan, prefixBits: DEFAULT_PREFIX_BITS, allowRanges: [], indexSeed: load },
        memory,
      );
    const times = buildOnce(builder, batches, () => validateSnapshot(views, memory).rowCount);
    if (load >= 0) wall.push(times);
  }
  const perRow = (ms: number) => rounded((1e6 * ms) / rows);
  return STAGES.map(stage => {
    const ms = median(wall.map(times => times[stage]));
    return {
      name: `build ${rows} from memory: ${stage}`,
      p50_us: rounded(1000 * ms),
      samples: loads,
      ns_per_row: perRow(ms),
      ...(stage === 'whole'
        ? {
            million_rows_per_second: rounded(rows / ms / 1000),
            bytes_per_row: rounded(contentLayout(views.header).byteLength / rows),
          }
        : {}),
    };
  });
}

export function buildOnce(
  make: () => SnapshotBuilder,
  batches: readonly FieldRows[],
  validate: () => number,
): Times {
  const started = performance.now();
  const builder = make();
  for (const batch of batches) builder.appendFields(batch);
  const appended = performance.now();
  builder.finish({ generation: 1, readAtMonotonic: 0, readAtUnix: 0 });
  const finished = performance.now();
  if (validate() !== builder.rowCount) throw new Error('a row is missing');
  const validated = performance.now();
  return {
    append: appended - started,
    finish: finished - appended,
    validate: validated - finished,
    whole: validated - started,
  };
}

function batchesOf(rows: number): FieldRows[] {
  return batchesOfRows(relayRows(rows));
}

/** Rows as the source of storj's table hands them over. */
export function batchesOfRows(rows: Iterable<NodeRow>): FieldRows[] {
  const batches: FieldRows[] = [];
  let batch = [];
  for (const row of rows) {
    const network = row.ip.includes(':') ? undefined : row.ip.replace(/\d+$/, '0');
    batch.push({ ...row, network });
    if (batch.length < BATCH_ROWS) continue;
    batches.push(fieldRowsOf(batch, FORM, 0));
    batch = [];
  }
  return [...batches, fieldRowsOf(batch, FORM, 0)];
}
