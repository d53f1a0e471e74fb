/**
 * A thread's own reader: leases the current snapshot, resolves requests against it, picks, encodes.
 * Synchronous and without I/O; belongs to one thread. Every call works on one whole generation (I1) and
 * leaves nothing of shared memory behind in what it returns.
 */
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { HEADER_WORDS } from '../../native-layout/snapshot-header.ts';
import type { SnapshotLayout } from '../../native-layout/snapshot-layout.ts';
import { headerProblem, snapshotViews } from '../../native-layout/snapshot-views.ts';
import { encodedBytesMax, encoderOf } from './encoding/encode.ts';
import { encodeRecords } from './encoding/encode-records.ts';
import { CacheError } from './errors.ts';
import { DEFAULT_PLACEMENT } from './placement/placement.ts';
import type { DistinctRule, PlacementPlan, PlannedPlacement } from './placement/placement-plan.ts';
import { type Lease, NO_SLOT } from './publication.ts';
import type { Random } from './selection/random.ts';
import { RecordSlab, recordMemory } from './selection/record-slab.ts';
import { DISTINCT_NETWORK, type Draw, Selector } from './selection/selection.ts';
import {
  checkLookup,
  checkRequest,
  DEFAULT_COUNT,
  invalidId,
  type SelectionLimits,
} from './selection/selection-request.ts';
import { nodeOfRecord, Selection } from './selection/selection-result.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  FoundNode,
  LookupResult,
  NodeId,
  SelectionRequest,
  Shortage,
} from './selection/selection-types.ts';
import { shortageOf } from './selection/shortage.ts';
import { findRow, NO_ROW } from './snapshot/id-index.ts';
import { bytesOf, ID_WORDS, nodeIdText, parseNodeId } from './snapshot/node-id.ts';
import { digestMatches, Snapshot } from './snapshot/snapshot.ts';

export interface ReaderOptions {
  readonly lease: Lease;
  readonly slots: readonly SharedArrayBuffer[];
  readonly layout: SnapshotLayout;
  readonly plan: PlacementPlan;
  readonly limits: SelectionLimits;
  readonly random: Random;
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
  readonly #selector: Selector;
  readonly #slab = new RecordSlab();
  readonly #snapshots: (Snapshot | undefined)[];
  #snapshot: Snapshot | undefined;
  /** Moves of the lease that `#snapshot` belongs to. */
  #moves = 0;
  /** Where an id is parsed before it is looked up. */
  readonly #idWords = new Uint32Array(ID_WORDS);
  readonly #idBytes = bytesOf(this.#idWords);
  readonly #draw: Draw;

  constructor(options: ReaderOptions) {
    const { lease, slots, layout, plan, limits, random, now } = options;
    this.#lease = lease;
    this.#slots = slots;
    this.#layout = layout;
    this.#plan = plan;
    this.#defaultPlacement = this.#placement(DEFAULT_PLACEMENT);
    this.#limits = limits;
    this.#now = now;
    this.#snapshots = slots.map(() => undefined);
    this.#selector = new Selector(random, limits.countMax, limits.idsMax);
    this.#draw = {
      count: 0,
      newFraction: 0,
      capNewFraction: true,
      fillWithNew: false,
      vettedFirst: false,
      distinct: DISTINCT_NETWORK,
      set: 0,
      attribute: 0,
      excludedRows: new Uint32Array(limits.idsMax),
      excludedCount: 0,
      heldRows: new Uint32Array(limits.idsMax),
      heldCount: 0,
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

  select(request: SelectionRequest): Selection {
    checkRequest(request, this.#limits);
    const snapshot = this.#pick(request);
    const { picks, pickCount } = this.#selector;
    const start = this.#slab.take(pickCount * RECORD_BYTES);
    const records = this.#slab.memory;
    encodeRecords(snapshot, picks, pickCount, records.view, start);
    const head = {
      generation: snapshot.generation,
      ageMs: this.#ageOf(snapshot),
      shortage: this.#shortage(snapshot),
    };
    return new Selection(head, records, start, pickCount);
  }

  /** `target` has at least `encodedBytesMax(format, count)` bytes; RangeError otherwise. */
  selectEncoded(format: EncodedFormat, request: SelectionRequest, target: Uint8Array): EncodedSelection {
    checkRequest(request, this.#limits);
    checkRoom(target, encodedBytesMax(format, request.count ?? DEFAULT_COUNT));
    const snapshot = this.#pick(request);
    const { picks, pickCount } = this.#selector;
    const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
    const bytes = encoderOf(format)(snapshot, picks, pickCount, this.#ageOf(snapshot), target, view);
    return this.#encoded(snapshot, bytes);
  }

  /**
   * `target` begins at a multiple of 4 bytes and has at least `count` × RECORD_BYTES; RangeError otherwise.
   */
  selectRecords(request: SelectionRequest, target: Uint8Array): EncodedSelection {
    checkRequest(request, this.#limits);
    checkRoom(target, (request.count ?? DEFAULT_COUNT) * RECORD_BYTES);
    const snapshot = this.#pick(request);
    const { picks, pickCount } = this.#selector;
    const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
    encodeRecords(snapshot, picks, pickCount, view, 0);
    return this.#encoded(snapshot, pickCount * RECORD_BYTES);
  }

  lookup(ids: readonly NodeId[]): LookupResult {
    checkLookup(ids, this.#limits);
    const snapshot = this.#current();
    const nodes: (FoundNode | undefined)[] = [];
    const unknown: string[] = [];
    const row = new Uint32Array(1);
    const record = recordMemory(RECORD_BYTES);
    for (let i = 0; i < ids.length; i++) {
      const found = this.#rowOf(snapshot, 'ids', ids, i);
      if (found === NO_ROW) {
        unknown.push(nodeIdText(this.#idWords, 0));
        nodes.push(undefined);
      } else {
        row[0] = found;
        encodeRecords(snapshot, row, 1, record.view, 0);
        nodes.push(nodeOfRecord(record.bytes, 0));
      }
    }
    return { generation: snapshot.generation, ageMs: this.#ageOf(snapshot), nodes, unknown };
  }

  /** Leases the current snapshot, resolves the request, which has been checked, and draws. */
  #pick(request: SelectionRequest): Snapshot {
    const snapshot = this.#current();
    this.#resolve(snapshot, request);
    this.#selector.select(snapshot, this.#draw);
    return snapshot;
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
    this.#moves = this.#lease.moves;
    // Whatever happens next, the slot of before is no longer ours to read.
    this.#snapshot = undefined;
    if (slot !== NO_SLOT) this.#snapshot = this.#open(slot);
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
    return snapshot;
  }

  #resolve(snapshot: Snapshot, request: SelectionRequest): void {
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
    draw.excludedCount =
      exclude === undefined ? 0 : this.#rowsOf(snapshot, 'exclude', exclude, draw.excludedRows);
    draw.heldCount = held === undefined ? 0 : this.#rowsOf(snapshot, 'held', held, draw.heldRows);
  }

  #placement(name: string): PlannedPlacement {
    const placement = this.#plan.placements.get(name);
    if (placement !== undefined) return placement;
    const names = [...this.#plan.placements.keys()].join(', ');
    throw new CacheError('PLACEMENT_UNKNOWN', `there is no placement "${name}"; known: ${names}`, {
      field: 'placement',
    });
  }

  /** Writes the rows of the known ids to `out`; returns how many. */
  #rowsOf(snapshot: Snapshot, field: string, ids: readonly NodeId[], out: Uint32Array): number {
    let count = 0;
    for (let i = 0; i < ids.length; i++) {
      const row = this.#rowOf(snapshot, field, ids, i);
      if (row !== NO_ROW) out[count++] = row;
    }
    return count;
  }

  /** The row of `ids[i]`, or NO_ROW; leaves the id's words in the scratch. */
  #rowOf(snapshot: Snapshot, field: string, ids: readonly NodeId[], i: number): number {
    if (!parseNodeId(ids[i], this.#idBytes, 0)) throw invalidId(field, i, ids[i]);
    const { idIndex, idWords } = snapshot.views;
    return findRow(idIndex, snapshot.indexEntries, snapshot.indexKeys, idWords, this.#idWords, 0);
  }

  #shortage(snapshot: Snapshot): Shortage | undefined {
    if (this.#selector.pickCount === this.#draw.count) return undefined;
    return shortageOf(snapshot, this.#draw, this.#selector);
  }

  #encoded(snapshot: Snapshot, bytes: number): EncodedSelection {
    const { generation } = snapshot;
    const found = this.#selector.pickCount;
    return {
      bytes,
      generation,
      found,
      newFound: this.#selector.newPicked,
      shortage: this.#shortage(snapshot),
    };
  }

  /** Whole milliseconds, never less than the truth. */
  #ageOf(snapshot: Snapshot): number {
    return Math.max(0, Math.ceil(this.#now() - snapshot.readAtMonotonic));
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
