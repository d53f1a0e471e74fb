/**
 * How fast a change of one percent becomes a generation that may be published, stage by stage, from rows in
 * memory, as a source hands them over; and how fast it becomes bytes for other replicas, and rows again
 * there. Beside it a load of the same table from memory, and as the floor copying a snapshot's bytes from
 * slot to slot.
 */
import { type SnapshotViews, snapshotViews } from '../../native-layout/snapshot-views.ts';
import { DEFAULT_PREFIX_BITS } from '../../src/engine/address/network-keys.ts';
import { DELTA_STAGES, DeltaEngine } from '../../src/engine/delta/delta-engine.ts';
import { readDelta } from '../../src/engine/delta/delta-reader.ts';
import { deltaBetween, diffSnapshots } from '../../src/engine/delta/snapshot-diff.ts';
import { placementPlan } from '../../src/engine/placement/placement-plan.ts';
import { slotLayout } from '../../src/engine/shared-memory.ts';
import { BuildMemory } from '../../src/engine/snapshot/build-memory.ts';
import type { FieldRows } from '../../src/engine/snapshot/field-rows.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { contentLayout, Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { SnapshotBuilder } from '../../src/engine/snapshot/snapshot-builder.ts';
import { validateSnapshot } from '../../src/engine/snapshot/snapshot-validator.ts';
import { mulberry32, relayRows } from '../harness/population.ts';
import { type BenchResult, median, rounded } from '../harness/result.ts';
import { batchesOfRows, buildOnce } from './build.ts';

/** One change for so many nodes. */
const NODES_PER_CHANGE = 100;
const WARMUP_DELTAS = 5;
const STAGES = ['judge', ...DELTA_STAGES, 'whole'] as const;
const SEED = 4;
const ID_BYTES = 32;
const WIRE_SAMPLES = 5;
/** Rows that are kept as objects to draw changes from, at the most. */
const TABLE_MAX = 1_000_000;

type Times = Record<(typeof STAGES)[number], number>;

/** What changes, as the loader learns of it. */
interface Changes {
  /** All ids that changed, 32 bytes each. */
  readonly ids: Uint8Array;
  /** What the source says of them; nothing of those that are gone. */
  readonly upserts: readonly FieldRows[];
}

/** Memory and rows of one size. */
class Bench {
  readonly rows: number;
  readonly engine: DeltaEngine;
  readonly slots: readonly SnapshotViews[];
  /** Nodes that changes are drawn from. */
  readonly table: NodeRow[] = [];
  readonly #batches: readonly FieldRows[];
  readonly #memory: BuildMemory;
  readonly #options = {
    plan: placementPlan({ placements: {}, distinctAttributes: [] }),
    prefixBits: DEFAULT_PREFIX_BITS,
    allowRanges: [],
  };

  constructor(rows: number) {
    const { plan } = this.#options;
    // A little room: rows come and go.
    const capacity = rows + changeCount(rows);
    const layout = slotLayout(capacity, plan);
    this.rows = rows;
    this.slots = [0, 1].map(() => snapshotViews(new SharedArrayBuffer(layout.byteLength), layout));
    this.#memory = new BuildMemory(capacity, plan);
    this.engine = new DeltaEngine(capacity, { ...this.#options, seed: SEED }, this.#memory);
    this.#batches = batchesOfRows(this.#sampled());
  }

  /** All rows; keeps some of them. */
  *#sampled(): Generator<NodeRow> {
    const step = Math.ceil(this.rows / TABLE_MAX);
    let number = 0;
    for (const row of relayRows(this.rows)) {
      if (number++ % step === 0) this.table.push(row);
      yield row;
    }
  }

  /** Loads all rows into a slot. */
  load(slot: number): { readonly ms: number; readonly snapshot: Snapshot } {
    const views = this.slots[slot]!;
    const builder = () => new SnapshotBuilder(views, { ...this.#options, indexSeed: SEED }, this.#memory);
    const { whole } = buildOnce(builder, this.#batches, () => validateSnapshot(views, this.#memory).rowCount);
    const snapshot = new Snapshot(views);
    snapshot.takeCounts();
    return { ms: whole, snapshot };
  }

  otherSlot(current: Snapshot): SnapshotViews {
    return this.slots.find(views => views !== current.views)!;
  }
}

export function deltaResults(rows: number, deltas: number): BenchResult[] {
  const bench = new Bench(rows);
  const loads = [0, 1, 0, 1, 0].map(slot => bench.load(slot));
  let current = loads.at(-1)!.snapshot;
  const prepareMs = timed(() => bench.engine.prepare(current)).ms;
  const times: Times[] = [];
  const random = mulberry32(SEED);
  let made: Omit<ReturnType<typeof applyOnce>, 'times'> = { snapshot: current, changedIds: new Uint8Array() };
  for (let delta = -WARMUP_DELTAS; delta < deltas; delta++) {
    current = made.snapshot;
    const changes = changesOf(bench.table, changeCount(rows), random);
    const { times: taken, ...outcome } = applyOnce(bench, current, changes, 2 + WARMUP_DELTAS + delta);
    made = outcome;
    if (delta >= 0) times.push(taken);
  }
  const wire = wireResults(bench, current, made.snapshot, made.changedIds);
  const [first, second] = bench.slots as [SnapshotViews, SnapshotViews];
  const copies = [1, 2, 3].flatMap(() => [copyMs(first, second), copyMs(second, first)]);
  const floor = `floor: copy a snapshot of ${rows}`;
  const bytes = contentLayout(first.header).byteLength;
  return [
    { name: floor, ...p50(copies), bytes },
    ...STAGES.map(stage => ({
      name: `delta of ${changeCount(rows)} to ${rows}: ${stage}`,
      ...p50(times.map(one => one[stage])),
      floor,
      samples: deltas,
    })),
    { name: `prepare deltas to ${rows}`, ...p50([prepareMs]), floor },
    { name: `load ${rows} instead, from memory`, ...p50(loads.slice(2).map(load => load.ms)), floor },
    ...wire.map(result => ({ ...result, floor })),
  ];
}

/** A delta as bytes: written of what is known to have changed, or of all rows, and read again. */
function wireResults(bench: Bench, before: Snapshot, after: Snapshot, changedIds: Uint8Array): BenchResult[] {
  const { rows, engine } = bench;
  const terms = { attributes: 0, prefixBits: DEFAULT_PREFIX_BITS };
  const times = Array.from({ length: WIRE_SAMPLES }, () => {
    const written = timed(() => deltaBetween(before, after, changedIds, DEFAULT_PREFIX_BITS));
    const read = timed(() => {
      const delta = readDelta(written.value, terms);
      const changes = engine.collect();
      changes.remove(delta.removedIds);
      changes.appendFields(delta.upserts);
    });
    const compared = timed(() => diffSnapshots(before, after, DEFAULT_PREFIX_BITS));
    return { written: written.ms, read: read.ms, compared: compared.ms, bytes: written.value.length };
  });
  const name = (what: string) => `delta of ${changeCount(rows)} to ${rows}: ${what}`;
  const { bytes } = times[0]!;
  return [
    { name: name('write as bytes'), ...p50(times.map(one => one.written)), bytes },
    { name: name('read and judge bytes'), ...p50(times.map(one => one.read)), bytes },
    { name: name('find by comparing all rows'), ...p50(times.map(one => one.compared)), bytes },
  ];
}

function timed<T>(run: () => T): { readonly ms: number; readonly value: T } {
  const started = performance.now();
  const value = run();
  return { ms: performance.now() - started, value };
}

function changeCount(rows: number): number {
  return Math.ceil(rows / NODES_PER_CHANGE);
}

function p50(ms: readonly number[]): { readonly p50_us: number; readonly max_us: number } {
  return { p50_us: rounded(1000 * median(ms)), max_us: rounded(1000 * Math.max(...ms)) };
}

function applyOnce(
  bench: Bench,
  current: Snapshot,
  { ids, upserts }: Changes,
  generation: number,
): { readonly times: Times; readonly snapshot: Snapshot; readonly changedIds: Uint8Array<ArrayBufferLike> } {
  const marks: Partial<Times> = {};
  const started = performance.now();
  let last = started;
  const onStage = (stage: (typeof STAGES)[number]) => {
    const now = performance.now();
    marks[stage] = now - last;
    last = now;
  };
  const changes = bench.engine.collect();
  changes.remove(ids);
  for (const rows of upserts) changes.appendFields(rows);
  onStage('judge');
  const stamp = { generation, readAtMonotonic: generation, readAtUnix: 0 };
  const target = bench.otherSlot(current);
  const outcome = bench.engine.apply({ target, current, changes, stamp, onStage });
  if (outcome.kind !== 'built') throw new Error(`a load is needed: ${outcome.reason}`);
  const whole = performance.now() - started;
  // When it has been published, before the next changes come.
  bench.engine.prepare(outcome.snapshot);
  return {
    times: { ...(marks as Times), whole },
    snapshot: outcome.snapshot,
    changedIds: outcome.changedIds,
  };
}

/**
 * Changes to one percent of the table, which it makes there, too. Of each ten nodes five have another
 * address in their network or another port, one becomes vetted or new, one moves to another network, and
 * three are replaced by others.
 */
function changesOf(table: NodeRow[], count: number, random: () => number): Changes {
  const upserts: NodeRow[] = [];
  const ids: string[] = [];
  for (let change = 0; change < count; change++) {
    const at = random() % table.length;
    const before = table[at]!;
    const kind = change % 10;
    const ip = before.ip.split('.');
    if (kind < 5)
      table[at] = {
        ...before,
        ip: [...ip.slice(0, 3), random() % 255].join('.'),
        port: 1 + (random() % 65_535),
      };
    else if (kind === 5) table[at] = { ...before, vetted: !before.vetted };
    else if (kind === 6) table[at] = { ...before, ip: table[random() % table.length]!.ip };
    else {
      table[at] = { ...table[random() % table.length]!, id: idOf(random) };
    }
    ids.push(String(before.id));
    if (table[at]!.id !== before.id) ids.push(String(table[at]!.id));
    upserts.push(table[at]!);
  }
  return { ids: Buffer.from(ids.join(''), 'hex'), upserts: batchesOfRows(upserts) };
}

function idOf(random: () => number): string {
  return Array.from({ length: ID_BYTES / 4 }, () => random().toString(16).padStart(8, '0')).join('');
}

function copyMs(from: SnapshotViews, to: SnapshotViews): number {
  const content = contentLayout(from.header);
  const source = new Uint8Array(from.buffer);
  const target = new Uint8Array(to.buffer);
  const started = performance.now();
  content.columns.forEach((column, i) => {
    const at = from.layout.columns[i]!.byteOffset;
    target.set(source.subarray(at, at + column.byteLength), at);
  });
  return performance.now() - started;
}
