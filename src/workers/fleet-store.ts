/**
 * What a replica holds and can do, for the machines of its fleet: over the slots of this process. Loader
 * thread.
 */
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import type { ChangeList } from '../engine/delta/change-list.ts';
import { readDelta } from '../engine/delta/delta-reader.ts';
import { openSnapshotInto } from '../engine/delta/open-snapshot.ts';
import { CacheError, type ErrorCode } from '../engine/errors.ts';
import { CORRECTION_MS_MAX, confirmContent, contentAgeMs } from '../engine/live-column.ts';
import { contentDigestOf } from '../engine/snapshot/content-digest.ts';
import { packSnapshot, type Snapshot } from '../engine/snapshot/snapshot.ts';
import type { SnapshotStamp } from '../engine/snapshot/snapshot-finish.ts';
import { monotonicMs } from './clock.ts';
import type { Held, PackedSnapshot, Provenance, ReplicaStore } from './fleet/store.ts';
import { idText, type Revocation } from './fleet/wire/records.ts';
import { Refusal, type RefusalReason } from './fleet/wire/seal.ts';
import { currentSnapshot, type LoadContext, publishGeneration } from './load-cycle.ts';
import {
  packedIdBytes,
  type RevocationOrigin,
  type RevokeOptions,
  type RevokeResult,
} from './revocations.ts';

/** What the loader does for its place in the fleet. */
export interface LoaderErrands {
  /** Runs `work` when nothing else is under way. Rejects as it throws. */
  exclusively(work: () => void): Promise<void>;
  /** Loads from the source. Rejects with the failure. */
  loadNow(signal: AbortSignal): Promise<void>;
  /** Whether this loader reads the source by itself from now on. */
  lead(isLeader: boolean): void;
  /** As many of them as there is room for. `origin`: "source" where the source told the leader of them. */
  revoke(ids: Uint8Array, options: RevokeOptions): RevokeResult;
  restore(ids: Uint8Array): void;
  /** A generation that came over the bus has been published. */
  taken(snapshot: Snapshot): void;
}

/** What errors of the engine mean for bytes that came over the bus. */
const REASONS: Partial<Record<ErrorCode, RefusalReason>> = {
  SNAPSHOT_CORRUPT: 'corrupt',
  LAYOUT_MISMATCH: 'settings',
  CAPACITY_EXCEEDED: 'too-large',
};

/** What others have read answers no revocation here: the log of the fleet says when one is over. */
const READ_BY_OTHERS = { beganMs: Number.NEGATIVE_INFINITY };

export class FleetStore implements ReplicaStore {
  readonly #context: LoadContext;
  readonly #errands: LoaderErrands;
  #hasDropped = false;

  constructor(context: LoadContext, errands: LoaderErrands) {
    this.#context = context;
    this.#errands = errands;
  }

  held(): Held | undefined {
    const current = currentSnapshot(this.#context);
    if (current === undefined) return undefined;
    const nowMs = monotonicMs();
    const ageMs = contentAgeMs(current.views, nowMs, nowMs - current.readAtMonotonic);
    return { digest: contentDigestOf(current.views), readAtMs: nowMs - ageMs };
  }

  snapshot(): PackedSnapshot | undefined {
    const current = currentSnapshot(this.#context);
    if (current === undefined) return undefined;
    return { digest: contentDigestOf(current.views), bytes: packSnapshot(current.views) };
  }

  takeSnapshot(bytes: Uint8Array, digest: string, provenance: Provenance): Promise<void> {
    return this.#errands.exclusively(() => refusing(() => this.#takeSnapshot(bytes, digest, provenance)));
  }

  takeDelta(
    bytes: Uint8Array,
    digests: { readonly from: string; readonly to: string },
    provenance: Provenance,
  ): Promise<void> {
    return this.#errands.exclusively(() => refusing(() => this.#takeDelta(bytes, digests, provenance)));
  }

  loadFromSource(signal: AbortSignal): Promise<void> {
    return this.#errands.loadNow(signal);
  }

  confirm(readAtMs: number): void {
    const current = currentSnapshot(this.#context);
    if (current === undefined) return;
    confirmContent(current.views, Math.max(readAtMs, current.readAtMonotonic - CORRECTION_MS_MAX));
  }

  revoke(revocations: readonly Revocation[]): void {
    const restored = revocations.filter(({ holdMs }) => holdMs === 0);
    if (restored.length > 0) this.#errands.restore(packedIdBytes(restored));
    this.#revoke(revocations, 'operator');
  }

  hasDropped(): boolean {
    return this.#hasDropped;
  }

  revocations(): readonly Revocation[] {
    return this.#context.revocations.left();
  }

  takeOut(nodes: readonly Revocation[]): void {
    this.#revoke(nodes, 'source');
  }

  lead(isLeader: boolean): void {
    this.#errands.lead(isLeader);
  }

  #revoke(revocations: readonly Revocation[], origin: RevocationOrigin): void {
    for (const holdMs of new Set(revocations.map(revocation => revocation.holdMs))) {
      const held = revocations.filter(revocation => revocation.holdMs === holdMs);
      if (holdMs === 0) continue;
      const { revoked, notEligible, already } = this.#errands.revoke(packedIdBytes(held), { origin, holdMs });
      if (revoked + notEligible + already < held.length) this.#hasDropped = true;
    }
  }

  /** Those that the source told of are as it says now, in the generation that is published next. */
  #forget(answered: readonly Uint8Array[]): void {
    if (answered.length === 0) return;
    const { revocations } = this.#context;
    const kept = new Set(revocations.left().map(({ id }) => idText(id)));
    revocations.restore(Buffer.concat(answered.filter(id => !kept.has(idText(id)))));
  }

  #takeSnapshot(bytes: Uint8Array, digest: string, provenance: Provenance): void {
    const { plan, publisher, settings, slots, layout, buildMemory } = this.#context;
    const slot = publisher.claimSlot();
    const snapshot = openSnapshotInto(
      snapshotViews(slots[slot]!, layout),
      new Uint8Array(bytes),
      {
        plan,
        prefixBits: settings.prefixBits,
        allowRanges: settings.guard.allowRanges,
        stamp: this.#stamp(provenance),
      },
      buildMemory,
    );
    const content = contentDigestOf(snapshot.views);
    if (content !== digest) {
      throw new Refusal('digest', `the snapshot holds ${content}; its record says ${digest}`);
    }
    this.#forget(provenance.answered);
    publishGeneration(this.#context, slot, snapshot, READ_BY_OTHERS);
    this.#errands.taken(snapshot);
  }

  #takeDelta(
    bytes: Uint8Array,
    { from, to }: { readonly from: string; readonly to: string },
    provenance: Provenance,
  ): void {
    const { deltas, plan, publisher, settings, slots, layout } = this.#context;
    const current = currentSnapshot(this.#context);
    const delta = readDelta(bytes, { attributes: plan.attributes.length, prefixBits: settings.prefixBits });
    const held = current === undefined ? 'nothing' : contentDigestOf(current.views);
    if (current === undefined || held !== from || delta.contentFrom !== from || delta.contentTo !== to) {
      const own = `a delta from ${delta.contentFrom} to ${delta.contentTo}`;
      throw new Refusal('digest', `${own}, said to be from ${from} to ${to}, does not fit ${held}`);
    }
    const changes: ChangeList = deltas.collect();
    changes.remove(delta.removedIds);
    changes.appendFields(delta.upserts);
    const slot = publisher.claimSlot();
    const outcome = deltas.apply({
      target: snapshotViews(slots[slot]!, layout),
      current,
      changes,
      stamp: this.#stamp(provenance),
      contentTo: to,
    });
    if (outcome.kind === 'load-needed') throw new Refusal('too-large', outcome.reason);
    const { snapshot } = outcome;
    this.#forget(provenance.answered);
    publishGeneration(this.#context, slot, snapshot, READ_BY_OTHERS);
    this.#errands.taken(snapshot);
  }

  #stamp({ readAtMs }: Provenance): SnapshotStamp {
    return {
      generation: this.#context.publisher.nextGeneration(),
      readAtMonotonic: readAtMs,
      readAtUnix: Date.now() - (monotonicMs() - readAtMs),
    };
  }
}

/** What the engine says of bytes that it cannot use, in the words of the fleet. */
function refusing(work: () => void): void {
  try {
    work();
  } catch (error) {
    const reason = error instanceof CacheError ? REASONS[error.code] : undefined;
    if (reason === undefined) throw error;
    throw new Refusal(reason, (error as CacheError).message, { cause: error });
  }
}
