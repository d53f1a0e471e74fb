/**
 * One delta, on the loader thread, in numbered steps: read the nodes that have changed → build a generation
 * of the current one and them → judge → publish. As with a load, nothing is visible before it is checked, and
 * a failure leaves the last good generation where it is (I5).
 */
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { assert } from '../engine/assert.ts';
import type { ChangeList } from '../engine/delta/change-list.ts';
import { CacheError } from '../engine/errors.ts';
import { contentAgeMs } from '../engine/live-column.ts';
import { contentDigestOf } from '../engine/snapshot/content-digest.ts';
import type { Snapshot } from '../engine/snapshot/snapshot.ts';
import { monotonicMs } from './clock.ts';
import {
  currentSnapshot,
  judge,
  type LoadContext,
  nodeCounts,
  publishGeneration,
  publishRead,
  settleContacts,
} from './load-cycle.ts';
import type { DeltaReport } from './load-report.ts';

export interface DeltaRequest {
  /** Nodes that have changed, 32 bytes each. */
  readonly ids: Uint8Array;
  /** When the earliest of their changes was written, by the source's wall clock. */
  readonly earliestUnixMs: number | undefined;
  /** Since when, monotonic, every change has become known, should the current generation be older. */
  readonly syncedMs: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * Makes a delta. Undefined when the nodes are as they were. Throws `CacheError`; then nothing has changed.
 */
export async function runDeltaCycle(
  context: LoadContext,
  request: DeltaRequest,
): Promise<DeltaReport | undefined> {
  const { deltas, source, plan } = context;
  const { ids, earliestUnixMs, signal } = request;
  const began = monotonicMs();
  const beganUnix = Date.now();

  // 1. Read. Nodes that do not come are not there any more.
  const changes = deltas.collect();
  changes.remove(ids);
  const contacts = context.expiry?.watch(changes, began);
  const summary = await source.readNodes(ids, { attributes: plan.attributes, signal }, contacts ?? changes);
  const read = monotonicMs();

  // 2. to 4. The rest needs nothing from outside.
  const made = publishChanges(context, changes, { ...request, beganMs: began });
  settleContacts(context, contacts, { beganMs: began, micros: summary.clockMicros }, false);
  if (made === undefined) return undefined;
  const { snapshot, changed, publishedMs } = made;
  return {
    generation: snapshot.generation,
    readAt: new Date(beganUnix).toISOString(),
    changed,
    durationMs: publishedMs - began,
    readMs: read - began,
    applyMs: publishedMs - read,
    ...(earliestUnixMs === undefined
      ? {}
      : { lagMs: Date.now() - (monotonicMs() - publishedMs) - earliestUnixMs }),
    nodes: nodeCounts(snapshot),
    contentDigest: contentDigestOf(snapshot.views),
  };
}

/** Publishes the current content again, without revocations that are over. False when that needs a load. */
export function republish(context: LoadContext): boolean {
  const { deltas, publisher } = context;
  const current = currentSnapshot(context);
  if (current === undefined) return true;
  const slot = publisher.claimSlot();
  const nowMs = monotonicMs();
  const ageMs = contentAgeMs(current.views, nowMs, nowMs - current.readAtMonotonic);
  const outcome = deltas.apply({
    target: snapshotViews(context.slots[slot]!, context.layout),
    current,
    changes: deltas.collect(),
    stamp: {
      generation: publisher.nextGeneration(),
      readAtMonotonic: nowMs - ageMs,
      readAtUnix: current.readAtUnix,
    },
  });
  if (outcome.kind === 'load-needed') return false;
  // Nothing was read: no revocation is answered by it.
  publishGeneration(context, slot, outcome.snapshot, {
    beganMs: nowMs - ageMs,
    changedIds: new Uint8Array(0),
  });
  return true;
}

interface MadeDelta {
  readonly snapshot: Snapshot;
  readonly changed: DeltaReport['changed'];
  /** Monotonic. */
  readonly publishedMs: number;
}

function publishChanges(
  context: LoadContext,
  changes: ChangeList,
  { ids, syncedMs, beganMs }: DeltaRequest & { readonly beganMs: number },
): MadeDelta | undefined {
  const { deltas, publisher, revocations } = context;
  const current = currentSnapshot(context);
  assert(current !== undefined, 'a delta is made of a generation');
  const slot = publisher.claimSlot();
  const nowMs = monotonicMs();
  const ageMs = contentAgeMs(current.views, nowMs, nowMs - current.readAtMonotonic);
  const outcome = deltas.apply({
    target: snapshotViews(context.slots[slot]!, context.layout),
    current,
    changes,
    stamp: {
      generation: publisher.nextGeneration(),
      // What was not asked about is as old as before, unless the source has said since that nothing is
      // missing.
      readAtMonotonic: Math.max(nowMs - ageMs, syncedMs ?? 0),
      readAtUnix: current.readAtUnix,
    },
  });
  if (outcome.kind === 'load-needed') throw new CacheError('SNAPSHOT_REJECTED', outcome.reason);
  const { snapshot, changed, counts } = outcome;
  const nothing = changed.inserted + changed.updated + changed.removed === 0;
  if (nothing && !revocations.holdsAny(ids)) return undefined;
  judge(context, snapshot, counts.refused);
  const publishedMs = publishRead(context, slot, snapshot, { beganMs, changedIds: ids });
  return { snapshot, changed, publishedMs };
}
