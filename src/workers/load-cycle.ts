/**
 * One load, on the loader thread, in numbered steps: read → build → validate → publish → persist. Nothing is
 * visible before it is validated; a failure at a step before publish leaves the last good generation where it
 * is (I5).
 */
import { randomInt } from 'node:crypto';
import { HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import type { SnapshotLayout } from '../../native-layout/snapshot-layout.ts';
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { CacheError, type ErrorData, errorData } from '../engine/errors.ts';
import type { PlacementPlan } from '../engine/placement/placement-plan.ts';
import { NO_SLOT, type Publisher } from '../engine/publication.ts';
import type { BuildMemory } from '../engine/snapshot/build-memory.ts';
import { digestText } from '../engine/snapshot/digest.ts';
import { contentLayout, type Snapshot } from '../engine/snapshot/snapshot.ts';
import { SnapshotBuilder } from '../engine/snapshot/snapshot-builder.ts';
import { validateSnapshot } from '../engine/snapshot/snapshot-validator.ts';
import { monotonicMs } from './clock.ts';
import type { LoadReport, NodeCounts } from './messages.ts';
import type { LoadSettings } from './settings.ts';
import { writeSnapshotFile } from './snapshot-file.ts';
import type { ReadSummary } from './source/row-source.ts';
import type { SourceReader } from './source-reader.ts';

export interface LoadContext {
  readonly source: SourceReader;
  readonly publisher: Publisher;
  readonly slots: readonly SharedArrayBuffer[];
  readonly layout: SnapshotLayout;
  readonly plan: PlacementPlan;
  readonly settings: LoadSettings;
  /** Of this loader alone; one load at a time works in it. */
  readonly buildMemory: BuildMemory;
}

export interface LoadRequest {
  /** Waives the drop limit for this load. */
  readonly acceptDrop: boolean;
  readonly signal: AbortSignal;
}

/** Loads once. Throws `CacheError`; then nothing has changed. */
export async function runLoadCycle(context: LoadContext, request: LoadRequest): Promise<LoadReport> {
  const { publisher, settings } = context;
  const startedAt = Date.now();
  const started = monotonicMs();
  const slot = publisher.claimSlot();
  const views = snapshotViews(context.slots[slot]!, context.layout);
  const options = {
    plan: context.plan,
    prefixBits: settings.prefixBits,
    allowRanges: settings.guard.allowRanges,
    indexSeed: randomInt(2 ** 32),
  };
  const builder = new SnapshotBuilder(views, options, context.buildMemory);

  // 1. Read. The slot is not touched yet.
  const summary = await context.source.read(
    { attributes: context.plan.attributes, signal: request.signal },
    builder,
  );
  const read = monotonicMs();

  // 2. Build. The stamp is the moment the read began: the data is no younger than that.
  const generation = publisher.nextGeneration();
  builder.finish({ generation, readAtMonotonic: started, readAtUnix: startedAt });
  checkRefusals(builder, settings);
  const built = monotonicMs();

  // 3. Validate: the bytes by themselves, then against the generation before.
  const snapshot = validateSnapshot(views, context.buildMemory);
  const nodes = nodeCounts(snapshot);
  checkPools(context, nodes, request.acceptDrop);
  const validated = monotonicMs();

  // 4. Publish. From here on every thread that asks sees the new generation.
  publisher.publish(slot, generation);
  const published = monotonicMs();

  // 5. Persist, where configured. The generation stands whether or not this works.
  const persistError =
    settings.snapshotFile === undefined ? undefined : await persist(settings.snapshotFile, snapshot);

  // 6. What the source has counted meanwhile. The generation stands without it.
  const absent = await counted(summary);
  return {
    generation,
    readAt: new Date(startedAt).toISOString(),
    durationMs: monotonicMs() - started,
    readMs: read - started,
    buildMs: built - read,
    validateMs: validated - built,
    publishMs: published - validated,
    snapshotBytes: contentLayout(views.header).byteLength,
    nodes,
    ...absent,
    ...builder.counts(),
    digest: digestText(views.header, HEADER_WORD.DIGEST),
    ...(persistError === undefined ? {} : { persistError }),
  };
}

/** What a load failed of, as data. Only a read that the deadline ended is reported as late. */
export function loadFailure(error: unknown, deadline: AbortSignal, timeoutMs: number): ErrorData {
  const failure = errorData(error, 'SOURCE_FAILED');
  if (!deadline.aborted || failure.code !== 'SOURCE_TIMEOUT') return failure;
  return {
    code: 'SOURCE_TIMEOUT',
    message: `the load took longer than refresh.timeoutMs (${timeoutMs} ms)`,
    field: 'refresh.timeoutMs',
  };
}

function checkRefusals(builder: SnapshotBuilder, settings: LoadSettings): void {
  const refused = builder.refusedCount;
  const all = refused + builder.rowCount;
  if (refused <= settings.guard.rejectRatioMax * all) return;
  const reasons = Object.entries(builder.counts().refused).map(([reason, count]) => `${reason} ${count}`);
  throw new CacheError(
    'SNAPSHOT_REJECTED',
    `${refused} of ${all} rows were refused (${reasons.join(', ')}); ` +
      `guard.rejectRatioMax allows ${settings.guard.rejectRatioMax}`,
    { field: 'guard.rejectRatioMax' },
  );
}

function checkPools(context: LoadContext, nodes: NodeCounts, acceptDrop: boolean): void {
  const { guard } = context.settings;
  const eligible = nodes.vetted + nodes.new;
  if (eligible < guard.nodesMin) {
    throw new CacheError(
      'SNAPSHOT_REJECTED',
      `${eligible} nodes can be chosen (of ${nodes.total} that were read); ` +
        `guard.nodesMin asks for ${guard.nodesMin}`,
      { field: 'guard.nodesMin' },
    );
  }
  if (acceptDrop) return;
  const before = poolsBefore(context);
  checkDrop('nodes that can be chosen', before.vetted + before.new, eligible, guard.dropRatioMax);
  // Alone too: clients ask for vetted nodes, and new ones do not stand in for them.
  checkDrop('vetted nodes', before.vetted, nodes.vetted, guard.dropRatioMax);
}

function checkDrop(what: string, before: number, now: number, dropRatioMax: number): void {
  if (now >= before * (1 - dropRatioMax)) return;
  throw new CacheError(
    'SNAPSHOT_REJECTED',
    `${what} fell from ${before} to ${now}; guard.dropRatioMax allows a drop of ${dropRatioMax}. ` +
      'If this is right, refresh once with acceptDrop',
    { field: 'guard.dropRatioMax' },
  );
}

/** The pools of the current generation; empty before the first. */
function poolsBefore(context: LoadContext): { readonly vetted: number; readonly new: number } {
  const slot = context.publisher.currentSlot();
  if (slot === NO_SLOT) return { vetted: 0, new: 0 };
  // The loader alone writes slots, and it does not write the current one: its header can be read as it is.
  const { header } = snapshotViews(context.slots[slot]!, context.layout);
  return { vetted: header[HEADER_WORD.VETTED]!, new: header[HEADER_WORD.NEW]! };
}

function nodeCounts(snapshot: Snapshot): NodeCounts {
  const byNetwork = snapshot.sets[0]!;
  return {
    total: snapshot.rowCount,
    vetted: snapshot.vettedCount,
    new: snapshot.newCount,
    ineligible: snapshot.rowCount - snapshot.vettedCount - snapshot.newCount,
    vettedNetworks: byNetwork.vettedGroups,
    newNetworks: byNetwork.newGroups,
    networks: snapshot.networkCount,
  };
}

async function counted({ absent }: ReadSummary): Promise<Pick<LoadReport, 'absent' | 'absentError'>> {
  try {
    return { absent: await absent };
  } catch (error) {
    return { absent: {}, absentError: error instanceof Error ? error.message : String(error) };
  }
}

async function persist(path: string, snapshot: Snapshot): Promise<string | undefined> {
  try {
    await writeSnapshotFile(path, snapshot.views);
    return undefined;
  } catch (error) {
    // The generation is published and good; that it is not on disk is said in status, metrics and log.
    return error instanceof Error ? error.message : String(error);
  }
}
