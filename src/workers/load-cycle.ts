/**
 * One load, on the loader thread, in numbered steps: read → build → validate → publish. Nothing is visible
 * before it is validated; a failure at a step before publish leaves the last good generation where it is
 * (I5).
 */
import { randomInt } from 'node:crypto';
import { HEADER_WORD } from '../../native-layout/snapshot-header.ts';
import { GROUP_START_WORD, GROUP_WORDS, type SnapshotLayout } from '../../native-layout/snapshot-layout.ts';
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import type { DeltaEngine } from '../engine/delta/delta-engine.ts';
import { type ErrorData, errorData } from '../engine/errors.ts';
import type { PlacementPlan } from '../engine/placement/placement-plan.ts';
import { NO_SLOT, type Publisher } from '../engine/publication.ts';
import type { BuildMemory } from '../engine/snapshot/build-memory.ts';
import { contentDigestOf } from '../engine/snapshot/content-digest.ts';
import { digestText } from '../engine/snapshot/digest.ts';
import { contentLayout, Snapshot } from '../engine/snapshot/snapshot.ts';
import { SnapshotBuilder } from '../engine/snapshot/snapshot-builder.ts';
import { validateSnapshot } from '../engine/snapshot/snapshot-validator.ts';
import { monotonicMs } from './clock.ts';
import type { ContactExpiry, ContactReading } from './contact-expiry.ts';
import type { DataGuard, LoadWaiver } from './guard/data-guard.ts';
import { servedOf } from './guard/validators.ts';
import type { LoadReport, NodeCounts } from './load-report.ts';
import type { ReadMoment, Revocations } from './revocations.ts';
import type { LoadSettings } from './settings.ts';
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
  readonly revocations: Revocations;
  readonly guard: DataGuard;
  readonly deltas: DeltaEngine;
  /** Told of each generation that was read of the source here. */
  readonly onPublished?: (published: Published) => void;
  /** Absent where the source does not say when nodes were contacted, or cannot be asked about them. */
  readonly expiry: ContactExpiry | undefined;
}

/** A generation and the one before it, both still as they were published. */
export interface Published {
  readonly before: Snapshot | undefined;
  readonly after: Snapshot;
  readonly read: ReadMoment;
  /** Ids whose revocation the source has confirmed, 32 bytes each. */
  readonly fulfilled: Uint8Array;
}

export interface LoadRequest extends LoadWaiver {
  readonly signal: AbortSignal;
}

/** A load that is served. */
export interface Load {
  readonly report: LoadReport;
  /** The same, with what the source has counted meanwhile. Never rejects. */
  readonly counted: Promise<LoadReport>;
}

/** Loads once. Throws `CacheError`; then nothing has changed. */
export async function runLoadCycle(context: LoadContext, request: LoadRequest): Promise<Load> {
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
  const contacts = context.expiry?.watch(builder, started);
  const summary = await context.source.read(
    { attributes: context.plan.attributes, signal: request.signal },
    contacts ?? builder,
  );
  const read = monotonicMs();

  // 2. Build. The stamp is the moment the read began: the data is no younger than that.
  const generation = publisher.nextGeneration();
  builder.finish({ generation, readAtMonotonic: started, readAtUnix: startedAt });
  const built = monotonicMs();

  // 3. Validate: the bytes by themselves, then against the generation before.
  const snapshot = validateSnapshot(views, context.buildMemory);
  const nodes = nodeCounts(snapshot);
  judge(context, snapshot, builder.counts().refused, request);
  const validated = monotonicMs();

  // 4. Publish. What was revoked before stays out. From here on every thread that asks sees it.
  const isForced = request.isForced === true;
  const published = publishRead(context, slot, snapshot, { beganMs: started, isForced });
  settleContacts(context, contacts, { beganMs: started, micros: summary.clockMicros }, true);

  const report: LoadReport = {
    generation,
    readAt: new Date(startedAt).toISOString(),
    durationMs: published - started,
    readMs: read - started,
    buildMs: built - read,
    validateMs: validated - built,
    publishMs: published - validated,
    followUpMs: monotonicMs() - published,
    snapshotBytes: contentLayout(views.header).byteLength,
    nodes,
    absent: {},
    ...builder.counts(),
    digest: digestText(views.header, HEADER_WORD.DIGEST),
    contentDigest: contentDigestOf(views),
  };
  return { report, counted: counted(report, summary) };
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

/** Who leaves when, by what a read found whose generation has been published. */
export function settleContacts(
  { expiry }: LoadContext,
  contacts: ContactReading | undefined,
  { beganMs, micros }: { readonly beganMs: number; readonly micros: number | undefined },
  isWhole: boolean,
): void {
  if (contacts !== undefined && micros !== undefined) expiry?.settle(contacts, { beganMs, micros }, isWhole);
}

/**
 * As `publishGeneration`, for what was read of the source here. Returns when threads began to see it,
 * monotonic.
 */
export function publishRead(context: LoadContext, slot: number, after: Snapshot, read: ReadMoment): number {
  // The slot stays as it is until the next one is claimed.
  const before = currentSnapshot(context);
  const { fulfilled, publishedMs } = publishGeneration(context, slot, after, read);
  context.onPublished?.({ before, after, read, fulfilled });
  return publishedMs;
}

/**
 * Makes `snapshot`, which is in `slot`, current, without what has been revoked and not come back. Returns
 * since when it is, monotonic, and the ids whose revocation by an operator the source has confirmed.
 */
export function publishGeneration(
  { publisher, revocations, guard, deltas }: LoadContext,
  slot: number,
  snapshot: Snapshot,
  read: ReadMoment,
): { readonly publishedMs: number; readonly fulfilled: Uint8Array } {
  const fulfilled = revocations.carryOver(snapshot, read);
  publisher.publish(slot, snapshot.generation);
  const publishedMs = monotonicMs();
  const served = servedOf(nodeCounts(snapshot));
  if (read.changedIds === undefined) guard.loaded(served, read.isForced === true);
  else guard.published(served);
  // Nobody waits for it now; the next delta would.
  deltas.prepare(snapshot);
  return { publishedMs, fulfilled };
}

/**
 * Throws SNAPSHOT_REJECTED when the guard does not let the generation be published. `waiver`: of a load;
 * absent: it is a change of the current one.
 */
export function judge(
  { guard, settings, ...context }: LoadContext,
  snapshot: Snapshot,
  refused: Readonly<Record<string, number>>,
  waiver?: LoadWaiver,
): void {
  const nodes = nodeCounts(snapshot);
  const networkShare = settings.guard.networkShareMax < 1 ? largestNetworkShare(snapshot) : 0;
  const current = currentSnapshot(context);
  const served = current === undefined ? { vetted: 0, new: 0 } : nodeCounts(current);
  const facts = { refused, nodes, networkShare };
  if (waiver === undefined) guard.judgeChange(facts, servedOf(served));
  else guard.judge(facts, servedOf(served), waiver);
}

/** The largest share that a network has of the vetted nodes, or of the new ones. */
function largestNetworkShare({ sets }: Snapshot): number {
  const { groups, vettedGroups, newGroups, vettedPositions, newPositions } = sets[0]!;
  const share = (from: number, to: number, positions: number) => {
    let largest = 0;
    for (let at = from * GROUP_WORDS; at < to * GROUP_WORDS; at += GROUP_WORDS) {
      largest = Math.max(
        largest,
        groups[at + GROUP_WORDS + GROUP_START_WORD]! - groups[at + GROUP_START_WORD]!,
      );
    }
    return positions === 0 ? 0 : largest / positions;
  };
  const vetted = share(0, vettedGroups, vettedPositions);
  return Math.max(vetted, share(vettedGroups, vettedGroups + newGroups, newPositions));
}

/** The current generation, or `undefined` before the first. */
export function currentSnapshot({
  publisher,
  slots,
  layout,
}: Pick<LoadContext, 'publisher' | 'slots' | 'layout'>): Snapshot | undefined {
  const slot = publisher.currentSlot();
  if (slot === NO_SLOT) return undefined;
  // The loader alone writes slots, and it does not write the current one: it can be read without a lease.
  const snapshot = new Snapshot(snapshotViews(slots[slot]!, layout));
  snapshot.takeCounts();
  return snapshot;
}

export function nodeCounts(snapshot: Snapshot): NodeCounts {
  const byNetwork = snapshot.sets[0]!;
  return {
    total: snapshot.rowCount,
    vetted: snapshot.vettedCount,
    new: snapshot.newCount,
    ineligible: snapshot.rowCount - snapshot.vettedCount - snapshot.newCount,
    vettedNetworks: byNetwork.vettedGroups,
    newNetworks: byNetwork.newGroups,
    networks: snapshot.networksUsed,
  };
}

async function counted(report: LoadReport, { absent }: ReadSummary): Promise<LoadReport> {
  try {
    return { ...report, absent: await absent };
  } catch (error) {
    return { ...report, absentError: error instanceof Error ? error.message : String(error) };
  }
}
