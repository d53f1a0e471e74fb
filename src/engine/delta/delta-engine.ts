/**
 * Makes a generation from the current one and a set of changes: what a load of the changed table would make,
 * but for the order of rows and the numbers of networks, at the cost of copying. Runs on the loader thread.
 *
 * The engine keeps in private memory what it has to know of the current snapshot beside its bytes: the
 * number of each network's key, the networks of rows, which filters let them pass, free numbers of wide
 * addresses, codes of attribute values. `prepare` takes that from any snapshot, whoever made it; after a
 * delta of its own it only keeps what `apply` has worked out. Which of the two it is the snapshot itself
 * says, by generation and digest: an outcome that is not published is forgotten by itself.
 */

import { DIGEST_WORDS, HEADER_WORD, indexEntriesFor } from '../../../native-layout/snapshot-header.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import type { PrefixBits } from '../address/network-keys.ts';
import { assert } from '../assert.ts';
import { CacheError } from '../errors.ts';
import type { PlacementPlan } from '../placement/placement-plan.ts';
import type { BuildMemory } from '../snapshot/build-memory.ts';
import { ContentDigest, contentDigestOf } from '../snapshot/content-digest.ts';
import { Digest, digestText } from '../snapshot/digest.ts';
import { FieldReader } from '../snapshot/field-reader.ts';
import { digestHeader, digestOtherColumns, Snapshot } from '../snapshot/snapshot.ts';
import type { BuildCounts } from '../snapshot/snapshot-builder.ts';
import { finishSnapshot, type SnapshotStamp } from '../snapshot/snapshot-finish.ts';
import { BaseState } from './base-state.ts';
import { CHANGES_MAX, ChangeList } from './change-list.ts';
import { changedIdsOf, KIND, resolveChanges } from './change-resolution.ts';
import { checkDelta } from './delta-check.ts';
import { updateIndex } from './index-update.ts';
import {
  clearWideAddresses,
  copyColumn,
  copyRows,
  copyWideAddresses,
  countSeen,
  type RowChanges,
} from './row-copy.ts';
import { NETWORKS_MAX, planEdits } from './row-edits.ts';
import { TOUCHED_TOGETHER, touchRows } from './touch.ts';

/**
 * Numbers that nobody has may be this share of all, where there are more than so many: then a load is due.
 */
const HOLES_SHARE_MAX = 0.5;
const HOLES_MIN = 4096;

export interface DeltaOptions {
  readonly plan: PlacementPlan;
  readonly prefixBits: PrefixBits;
  readonly allowRanges: readonly string[];
  /** Key of private hash tables: 32 unpredictable bits. */
  readonly seed: number;
}

export interface DeltaRequest {
  /** Of a slot that may be written. */
  readonly target: SnapshotViews;
  /** The current snapshot; it is not written. */
  readonly current: Snapshot;
  readonly changes: ChangeList;
  readonly stamp: SnapshotStamp;
  /** What the content digest must be then, where that is known. */
  readonly contentTo?: string;
  /** Is called at the end of each stage: the engine has no clock. */
  readonly onStage?: (stage: DeltaStage) => void;
}

/** Stages of `apply`, in order. */
export const DELTA_STAGES = ['resolve', 'rows', 'index', 'sets', 'digests', 'check'] as const;
export type DeltaStage = (typeof DELTA_STAGES)[number];

/** What became of the changes: ids by what happened to their nodes. */
export interface ChangeCounts {
  readonly inserted: number;
  readonly updated: number;
  readonly removed: number;
  /** Changes that changed nothing. */
  readonly unchanged: number;
}

export type DeltaOutcome =
  | {
      readonly kind: 'built';
      readonly snapshot: Snapshot;
      /** Of the rows of the delta alone. */
      readonly counts: BuildCounts;
      readonly changed: ChangeCounts;
      /** Ids whose nodes changed, 32 bytes each. */
      readonly changedIds: Uint8Array;
    }
  | { readonly kind: 'load-needed'; readonly reason: string };

export class DeltaEngine {
  readonly #options: DeltaOptions;
  readonly #memory: BuildMemory;
  readonly #reader: FieldReader;
  readonly #base: BaseState;
  /** The snapshot that the base was taken from, and the one that was made of it last: see `markOf`. */
  #taken = '';
  #made = '';

  /**
   * `memory`: made for the capacity of the slots; what stands in it between two calls does not matter, so the
   * loader works in the same one.
   */
  constructor(capacity: number, options: DeltaOptions, memory: BuildMemory) {
    assert(capacity <= NETWORKS_MAX, () => `there are places for ${NETWORKS_MAX} networks, not ${capacity}`);
    this.#options = options;
    this.#memory = memory;
    this.#reader = new FieldReader(options.prefixBits, options.allowRanges, options.seed);
    this.#base = new BaseState(capacity, options.plan);
  }

  /** An empty list of changes, to be filled and given to `apply`. */
  collect(): ChangeList {
    return new ChangeList(this.#options.plan, this.#reader, this.#options.seed);
  }

  /**
   * Gets ready for changes of `current`: some 30 ns a row after a load, nothing after a delta of this engine.
   * `apply` does it, too; done when a snapshot has been published, it is not waited for when changes come.
   * Throws SNAPSHOT_CORRUPT.
   */
  prepare(current: Snapshot): void {
    const mark = markOf(current);
    if (mark === this.#taken) return;
    if (mark === this.#made) this.#base.accept();
    else {
      this.#taken = '';
      this.#base.take(current, this.#options.seed);
    }
    this.#taken = mark;
    this.#made = '';
  }

  /**
   * Makes the next snapshot in `target`, ready to be published: checked, with both digests. Or says that a
   * load is needed instead. Throws CAPACITY_EXCEEDED, or SNAPSHOT_CORRUPT when it is not what it should be;
   * then the slot holds nothing of use, and nothing else has changed.
   */
  apply(request: DeltaRequest): DeltaOutcome {
    const { current, target, changes, contentTo, onStage } = request;
    assert(target.buffer !== current.views.buffer, 'the current snapshot is not written');
    this.prepare(current);
    this.#made = '';
    const base = this.#base;
    if (changes.overflowed) return loadNeeded(`there are more than ${CHANGES_MAX} changes`);
    changes.settle(current.indexKeys);
    base.begin(current.views, target);
    const codes = base.values.codesOf(changes.values());
    if (typeof codes === 'string') return loadNeeded(`attribute "${codes}" has had too many values`);
    const next = { networks: base.numbers, wides: base.wides, codes };
    const resolved = resolveChanges(current, changes, next);
    if (resolved === undefined) return loadNeeded('there have been more networks than there is room for');
    const edits = planEdits(current, changes, resolved, base.networks);
    checkCapacity(edits.rowCount, target);
    const change: RowChanges = { changes, resolved, edits };
    onStage?.('resolve');
    const networksUsed = this.#write(request, change, codes);
    const holes = holesProblem(base, networksUsed);
    if (holes !== undefined) return loadNeeded(holes);
    const snapshot = new Snapshot(target);
    snapshot.takeCounts();
    checkDelta(
      current,
      snapshot,
      change,
      base.nextNetworks,
      base.values.texts.map(texts => texts.length),
    );
    const content = contentDigestOf(target);
    if (contentTo !== undefined && content !== contentTo) {
      throw new CacheError('SNAPSHOT_CORRUPT', `the delta led to content ${content}, not to ${contentTo}`);
    }
    this.#made = markOf(snapshot);
    onStage?.('check');
    return {
      kind: 'built',
      snapshot,
      counts: changes.counts(),
      changed: changeCounts(resolved.counts),
      changedIds: changedIdsOf(changes, resolved),
    };
  }

  /** Writes everything, both digests included; returns how many networks have rows. */
  #write(
    { current, target, stamp, onStage }: DeltaRequest,
    change: RowChanges,
    codes: readonly Uint16Array[],
  ): number {
    const base = this.#base;
    const { changes, edits } = change;
    const { header } = current.views;
    const digest = new Digest();
    const networksSeen = new Uint8Array(base.numbers.count);
    copyWideAddresses(current.views, target, header[HEADER_WORD.WIDE_ADDRESSES]!);
    clearWideAddresses(target, base.wides.freeNumbers);
    copyRows(current.views, target, change, { digest, networks: base.nextNetworks, networksSeen });
    codes.forEach((codesOfList, i) => {
      const from = current.views.attributeCodes[i]!;
      copyColumn(from, target.attributeCodes[i]!, edits, at => codesOfList[changes.code(at, i)]!);
    });
    if (base.passes.length > 0) copyColumn(base.passes, base.nextPasses, edits, at => changes.passes(at));
    onStage?.('rows');
    const { entryHashes: newEntries, idHashes } = this.#memory;
    updateIndex(current, target, change, { newEntries, idHashes });
    onStage?.('index');
    const networksUsed = countSeen(networksSeen);
    finishSnapshot(target, this.#options.plan, stamp, {
      count: edits.rowCount,
      vettedCount: edits.vettedCount,
      newCount: edits.newCount,
      networkCount: base.numbers.count,
      networksUsed,
      wideCount: base.wides.count,
      networks: base.nextNetworks,
      passes: base.nextPasses,
      indexEntries: indexEntriesFor(edits.rowCount),
      indexSeed: header[HEADER_WORD.INDEX_SEED]!,
      prefixBits: this.#options.prefixBits,
      values: base.values.texts,
    });
    onStage?.('sets');
    this.#writeContentDigest(current.views, target, change);
    digestOtherColumns(target, digest);
    digestHeader(target, digest);
    digest.write(target.header, HEADER_WORD.DIGEST);
    onStage?.('digests');
    return networksUsed;
  }

  /** What it was, without the rows that changed as they were, with these as they are. */
  #writeContentDigest(
    current: SnapshotViews,
    target: SnapshotViews,
    { resolved: { oldRows }, edits: { leaving, coming, patched, newRows } }: RowChanges,
  ): void {
    const { hashes } = this.#base.values;
    const before = new ContentDigest(current, hashes);
    const after = new ContentDigest(target, hashes);
    // Each list in the order of its rows: neighbours in memory come twice as fast as any others.
    addRows(before, current, leaving);
    addRows(
      before,
      current,
      patched.map(change => oldRows[change]!),
    );
    for (const list of [coming, patched]) {
      addRows(
        after,
        target,
        list.map(change => newRows[change]!),
      );
    }
    const sums = new Uint32Array(2 * DIGEST_WORDS);
    before.write(sums, 0);
    after.write(sums, DIGEST_WORDS);
    for (let i = 0; i < DIGEST_WORDS; i++) {
      const was = current.header[HEADER_WORD.CONTENT_DIGEST + i]!;
      target.header[HEADER_WORD.CONTENT_DIGEST + i] = was - sums[i]! + sums[DIGEST_WORDS + i]!;
    }
  }
}

function addRows(digest: ContentDigest, views: SnapshotViews, rows: Uint32Array): void {
  for (let i = 0; i < rows.length; i++) {
    if (i % TOUCHED_TOGETHER === 0) touchRows(views, rows, i, i + TOUCHED_TOGETHER);
    digest.add(rows[i]!, rows[i]! + 1);
  }
}

/** A snapshot by what no two have in common. */
function markOf({ generation, views }: Snapshot): string {
  return `${generation} ${digestText(views.header, HEADER_WORD.DIGEST)}`;
}

function loadNeeded(reason: string): DeltaOutcome {
  return { kind: 'load-needed', reason };
}

function checkCapacity(rowCount: number, { layout }: SnapshotViews): void {
  const capacity = layout.extents.rows;
  if (rowCount <= capacity) return;
  throw new CacheError(
    'CAPACITY_EXCEEDED',
    `the source has more nodes than the configured capacity of ${capacity} (capacity.nodes)`,
    { field: 'capacity.nodes' },
  );
}

/** Why so many numbers that nobody has are to be given up, or `undefined`. */
function holesProblem({ numbers, wides }: BaseState, networksUsed: number): string | undefined {
  const tooMany = (holes: number, all: number) => holes > HOLES_MIN && holes > HOLES_SHARE_MAX * all;
  const networks = numbers.count - networksUsed;
  if (tooMany(networks, numbers.count))
    return `${networks} of ${numbers.count} networks have no node any more`;
  const free = wides.freeNumbers.length;
  if (!tooMany(free, wides.count)) return undefined;
  return `${free} of ${wides.count} IPv6 addresses belong to no node any more`;
}

function changeCounts(counts: Uint32Array): ChangeCounts {
  return {
    inserted: counts[KIND.INSERTED]!,
    updated: counts[KIND.MOVED]! + counts[KIND.PATCHED]!,
    removed: counts[KIND.REMOVED]!,
    unchanged: counts[KIND.NONE]!,
  };
}
