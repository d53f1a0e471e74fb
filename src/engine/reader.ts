/**
 * A thread's own reader: leases the current snapshot, resolves requests against it, picks, encodes.
 * Synchronous and without I/O; belongs to one thread. Every call works on one whole generation (I1) and
 * leaves nothing of shared memory behind in what it returns.
 */

import { DISTINCT_NETWORK } from '../../native-layout/kernel-memory.ts';
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { HEADER_WORDS } from '../../native-layout/snapshot-header.ts';
import type { SnapshotLayout } from '../../native-layout/snapshot-layout.ts';
import { headerProblem, snapshotViews } from '../../native-layout/snapshot-views.ts';
import { encodedBytesMax } from './encoding/encode.ts';
import { CacheError } from './errors.ts';
import { ALL_TAKEN, type Kernel, type KernelKind } from './kernel/kernel.ts';
import { contentAgeMs } from './live-column.ts';
import { DEFAULT_PLACEMENT } from './placement/placement.ts';
import type { DistinctRule, PlacementPlan, PlannedPlacement } from './placement/placement-plan.ts';
import { type Lease, NO_SLOT } from './publication.ts';
import { IdDigits } from './selection/id-digits.ts';
import { NodeObjects } from './selection/node-objects.ts';
import { nodeOfRecord } from './selection/node-of-record.ts';
import { RecordSlab } from './selection/record-slab.ts';
import type { Draw } from './selection/selection.ts';
import {
  checkLookup,
  checkRequest,
  DEFAULT_COUNT,
  idCount,
  invalidId,
  type SelectionLimits,
} from './selection/selection-request.ts';
import { PICK_BYTES, Selection } from './selection/selection-result.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  FoundNode,
  LookupResult,
  NodeIds,
  SelectionRequest,
  Shortage,
} from './selection/selection-types.ts';
import { shortageOf } from './selection/shortage.ts';
import { NO_ROW } from './snapshot/id-index.ts';
import { digestMatches, Snapshot } from './snapshot/snapshot.ts';

export interface ReaderOptions {
  readonly lease: Lease;
  readonly slots: readonly SharedArrayBuffer[];
  readonly layout: SnapshotLayout;
  readonly plan: PlacementPlan;
  readonly limits: SelectionLimits;
  /** Of this reader alone. */
  readonly kernel: Kernel;
  /** Milliseconds on the machine's monotonic clock, the clock that snapshots are stamped with. */
  readonly now: () => number;
}

export class Reader {
  readonly #lease: Lease;
  readonly #slots: readonly SharedArrayBuffer[];
  readonly #layout: SnapshotLayout;
  readonly #plan: PlacementPlan;
  readonly #defaultPlacement: PlannedPlacement;
  readonly #limits: SelectionLimits;
  readonly #now: () => number;
  readonly #kernel: Kernel;
  readonly #slab = new RecordSlab();
  readonly #snapshots: (Snapshot | undefined)[];
  #snapshot: Snapshot | undefined;
  #objects: NodeObjects | undefined;
  /** Moves of the lease that `#snapshot` belongs to. */
  #moves = 0;
  /** The request of the call that is under way, and how many ids it has. */
  readonly #draw: Draw;
  #excludedIds = 0;
  #heldIds = 0;

  constructor(options: ReaderOptions) {
    const { lease, slots, layout, plan, limits, kernel, now } = options;
    this.#lease = lease;
    this.#slots = slots;
    this.#layout = layout;
    this.#plan = plan;
    this.#defaultPlacement = this.#placement(DEFAULT_PLACEMENT);
    this.#limits = limits;
    this.#now = now;
    this.#snapshots = slots.map(() => undefined);
    this.#kernel = kernel;
    this.#draw = {
      count: 0,
      newFraction: 0,
      capNewFraction: true,
      fillWithNew: false,
      vettedFirst: false,
      distinct: DISTINCT_NETWORK,
      set: 0,
      attribute: 0,
    };
  }

  /** The generation that the next call would use, 0 before the first. */
  generation(): number {
    return this.#acquire()?.generation ?? 0;
  }

  /** Milliseconds since the read of that generation began; Infinity before the first. */
  ageMs(): number {
    const snapshot = this.#acquire();
    return snapshot === undefined ? Number.POSITIVE_INFINITY : this.#ageOf(snapshot);
  }

  /** Checks the digest of the current snapshot. Throws SNAPSHOT_CORRUPT. */
  verify(): void {
    const snapshot = this.#acquire();
    if (snapshot !== undefined && !digestMatches(snapshot.views)) {
      throw new CacheError('SNAPSHOT_CORRUPT', `generation ${snapshot.generation} fails its digest`);
    }
  }

  /** Who does the work on bytes. */
  get kernelKind(): KernelKind {
    return this.#kernel.kind;
  }

  select(request: SelectionRequest): Selection {
    checkRequest(request, this.#limits);
    const snapshot = this.#current();
    const found = this.#pick(request);
    const start = this.#slab.take(found * PICK_BYTES);
    const bytes = this.#slab.memory;
    this.#kernel.records(bytes, start);
    this.#kernel.rows(bytes, start + found * RECORD_BYTES);
    const head = {
      generation: snapshot.generation,
      ageMs: this.#ageOf(snapshot),
      shortage: this.#shortage(snapshot, found),
    };
    return new Selection(head, { bytes, start, objects: this.#objects }, found);
  }

  /** `target` has at least `encodedBytesMax(format, count)` bytes; RangeError otherwise. */
  selectEncoded(format: EncodedFormat, request: SelectionRequest, target: Uint8Array): EncodedSelection {
    checkRequest(request, this.#limits);
    checkRoom(target, encodedBytesMax(format, request.count ?? DEFAULT_COUNT));
    const snapshot = this.#current();
    const found = this.#pick(request);
    const bytes = this.#kernel.encode(format, this.#ageOf(snapshot), target);
    return this.#encoded(snapshot, found, bytes);
  }

  /** `target` has at least `count` × RECORD_BYTES; RangeError otherwise. */
  selectRecords(request: SelectionRequest, target: Uint8Array): EncodedSelection {
    checkRequest(request, this.#limits);
    checkRoom(target, (request.count ?? DEFAULT_COUNT) * RECORD_BYTES);
    const snapshot = this.#current();
    const found = this.#pick(request);
    this.#kernel.records(target, 0);
    return this.#encoded(snapshot, found, found * RECORD_BYTES);
  }

  lookup(ids: NodeIds): LookupResult {
    checkLookup(ids, this.#limits);
    const snapshot = this.#current();
    const kernel = this.#kernel;
    const count = this.#takeIds('ids', ids, 0);
    kernel.lookup(count);
    const nodes: (FoundNode | undefined)[] = [];
    const unknown: string[] = [];
    const record = Buffer.allocUnsafeSlow(RECORD_BYTES);
    for (let i = 0; i < count; i++) {
      const row = kernel.foundRow(i);
      if (row === NO_ROW) {
        unknown.push(kernel.idText(i));
        nodes.push(undefined);
      } else {
        kernel.record(row, record);
        nodes.push(nodeOfRecord(record, 0));
      }
    }
    return { generation: snapshot.generation, ageMs: this.#ageOf(snapshot), nodes, unknown };
  }

  /** Resolves the request, which has been checked, and draws; returns the number of picks. */
  #pick(request: SelectionRequest): number {
    this.#resolve(request);
    return this.#kernel.select(this.#draw, this.#excludedIds, this.#heldIds);
  }

  #current(): Snapshot {
    const snapshot = this.#acquire();
    if (snapshot === undefined) throw new CacheError('SNAPSHOT_NOT_READY');
    return snapshot;
  }

  #acquire(): Snapshot | undefined {
    const slot = this.#lease.acquire();
    // An unmoved lease is the same generation: a leased slot is never written.
    if (this.#lease.moves === this.#moves) return this.#snapshot;
    // Whatever happens next, the slot of before is no longer ours to read.
    this.#snapshot = undefined;
    if (slot !== NO_SLOT) this.#snapshot = this.#open(slot);
    // Last: what cannot be opened is tried again, and says again what is wrong.
    this.#moves = this.#lease.moves;
    return this.#snapshot;
  }

  /** The snapshot in `slot`, which this reader has just leased. Views are built once a slot. */
  #open(slot: number): Snapshot {
    const buffer = this.#slots[slot]!;
    const problem = headerProblem(new Uint32Array(buffer, 0, HEADER_WORDS));
    if (problem !== undefined) throw new CacheError('LAYOUT_MISMATCH', problem);
    this.#snapshots[slot] ??= new Snapshot(snapshotViews(buffer, this.#layout));
    const snapshot = this.#snapshots[slot];
    snapshot.takeCounts();
    this.#kernel.open(slot, snapshot);
    this.#objects = NodeObjects.forRows(snapshot.rowCount);
    return snapshot;
  }

  #resolve(request: SelectionRequest): void {
    const draw = this.#draw;
    const { placement: name, distinct, newFraction, exclude, held } = request;
    const placement = name === undefined ? this.#defaultPlacement : this.#placement(name);
    const rule = distinct === undefined ? placement.distinct : distinctRule(placement, distinct);
    draw.count = request.count ?? DEFAULT_COUNT;
    draw.newFraction = newFraction === undefined ? placement.newFraction : newFraction;
    draw.capNewFraction = placement.capNewFraction;
    draw.fillWithNew = request.fillWithNew === true;
    draw.vettedFirst = request.order === 'vetted-first';
    draw.distinct = rule.kind;
    draw.set = rule.set;
    draw.attribute = rule.attribute;
    this.#excludedIds = exclude === undefined ? 0 : this.#takeIds('exclude', exclude, 0);
    this.#heldIds = held === undefined ? 0 : this.#takeIds('held', held, this.#excludedIds);
  }

  #placement(name: string): PlannedPlacement {
    const placement = this.#plan.placements.get(name);
    if (placement !== undefined) return placement;
    const names = [...this.#plan.placements.keys()].join(', ');
    throw new CacheError('PLACEMENT_UNKNOWN', `there is no placement "${name}"; known: ${names}`, {
      field: 'placement',
    });
  }

  /** Hands the ids to the kernel, from number `first` on; returns how many. */
  #takeIds(field: string, ids: NodeIds, first: number): number {
    const wrong = this.#kernel.takeIds(first, ids);
    if (wrong === ALL_TAKEN) return idCount(ids);
    throw invalidId(field, wrong, ids instanceof IdDigits ? ids.text(wrong) : ids[wrong]);
  }

  #shortage(snapshot: Snapshot, found: number): Shortage | undefined {
    if (found === this.#draw.count) return undefined;
    return shortageOf(snapshot, this.#draw, this.#kernel.outcome());
  }

  #encoded(snapshot: Snapshot, found: number, bytes: number): EncodedSelection {
    return {
      bytes,
      generation: snapshot.generation,
      found,
      newFound: this.#kernel.newFound(),
      shortage: this.#shortage(snapshot, found),
    };
  }

  /** Whole milliseconds, never less than the truth. */
  #ageOf(snapshot: Snapshot): number {
    const now = this.#now();
    return Math.max(0, Math.ceil(contentAgeMs(snapshot.views, now, now - snapshot.readAtMonotonic)));
  }

  /** Gives the seat back. */
  release(): void {
    this.#lease.release();
    this.#snapshot = undefined;
  }
}

function distinctRule(placement: PlannedPlacement, name: string): DistinctRule {
  const rule = placement.distinctRules.get(name);
  if (rule !== undefined) return rule;
  const names = [...placement.distinctRules.keys()].join(', ');
  throw new CacheError('DISTINCT_UNKNOWN', `there is no distinct rule "${name}"; known: ${names}`, {
    field: 'distinct',
  });
}

function checkRoom(target: Uint8Array, bytes: number): void {
  if (target.byteLength < bytes) {
    throw new RangeError(`the buffer has ${target.byteLength} bytes; this request needs room for ${bytes}`);
  }
}
