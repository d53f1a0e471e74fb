/**
 * What a replica knows about itself and its fleet, through all its roles: shared by the machines of this
 * folder, each of which says what it changes. Loader thread.
 *
 * **Invariants.** `place` never goes back while the process runs. `lost` is undefined exactly while what is
 * held is the content of the log at `place`.
 */
import { AssertionError, assert } from '../../engine/assert.ts';
import { type BusError, comparePositions, LOG_START, type LogPosition } from '../bus/bus.ts';
import { Asks } from './asks.ts';
import { Bell } from './clock.ts';
import { LeaderClock, type ReadTime } from './leader-clock.ts';
import { replicaTag } from './name-hash.ts';
import type { FleetContext, FleetEvent } from './options.ts';
import type { Ask, SnapshotWish } from './wire/beat.ts';
import { type Answer, idText, type Revocation, type RevokeRecord } from './wire/records.ts';
import type { RefusalReason } from './wire/seal.ts';

/** Blobs whose content was refused for good: they are not fetched again. The oldest are forgotten. */
const POISON_MAX = 64;
/** Replicas whose answered asks are remembered. */
const ANSWERS_MAX = 10_000;
/** Records of nodes that the source has told of, until they are answered. The oldest are forgotten. */
const OUTS_MAX = 4_096;

export interface FleetCounters {
  readonly refused: Record<RefusalReason, number>;
  /** Records of an epoch that is over. */
  staleEpoch: number;
  /** Records that had been read before. */
  duplicate: number;
  /** Records that were missing between two that came. */
  hole: number;
  gap: number;
  /** Times that what was held was not what the log goes on from. */
  mismatch: number;
  deltasTaken: number;
  snapshotsTaken: number;
  ownLoads: number;
  /** Of them, those without a permit, because nobody could be asked for one. */
  ownLoadsUnpermitted: number;
  ownLoadsFailed: number;
  busFailed: number;
  electionFailed: number;
  terms: number;
}

function noCounts(): FleetCounters {
  const refused = { corrupt: 0, unsealed: 0, schema: 0, layout: 0, settings: 0, digest: 0, missing: 0 };
  return {
    refused: { ...refused, 'too-large': 0 },
    staleEpoch: 0,
    duplicate: 0,
    hole: 0,
    gap: 0,
    mismatch: 0,
    deltasTaken: 0,
    snapshotsTaken: 0,
    ownLoads: 0,
    ownLoadsUnpermitted: 0,
    ownLoadsFailed: 0,
    busFailed: 0,
    electionFailed: 0,
    terms: 0,
  };
}

/** Nodes that the leader of an epoch said the source had told of. */
interface Out {
  readonly epoch: number;
  /** By the clock of that leader. */
  readonly sinceMs: number;
  /** By the local one. */
  readonly untilMs: number;
  readonly ids: readonly Uint8Array[];
}

export class ReplicaState {
  readonly context: FleetContext;
  readonly counters = noCounts();
  readonly leaderClock = new LeaderClock();
  /** Rung when the next heartbeat should not wait for its time. */
  readonly beatBell: Bell;
  readonly poison = new Set<string>();
  /** When the source was read for what is held, where the log may not have caught up with it. */
  ownReadAtMs: number | undefined;
  /** Whether the age of what is held is proven. */
  isReadProven = false;
  /** A load of this replica's own, or a snapshot being taken, is about to replace what is held. */
  replacingCount = 0;
  /** Newest record whose changes were refused for good. */
  poisonedAt: LogPosition | undefined;
  refusal: string | undefined;
  /** Why the last load of its own failed, while none has worked since. */
  loadFailure: string | undefined;
  /** What the bus has failed of, while it has not worked since. */
  busFailure: string | undefined;
  /** Newest record of the log that no key of this replica opens. */
  #strangersAt: LogPosition = LOG_START;
  /** When the last of them came, and at how many times some did, since a leader was heard. */
  strangers = { atMs: Number.NEGATIVE_INFINITY, times: 0 };
  /**
   * Records of the log were passed over unread, and revocations may have been among them: another snapshot is
   * wished for, with which they are written again.
   */
  hasMissed = false;
  wish: SnapshotWish = 'none';
  epochSeen = 0;
  /** Revocations that were asked for here and that the log does not say yet. */
  readonly asks: Asks;
  /** By the tags of replicas; the one that was answered longest ago first. */
  readonly #answers = new Map<string, number>();
  /** Nodes whose revocation has ended while this replica was lost. */
  readonly #lateEnds = new Map<string, Uint8Array>();
  /** The leader of this epoch was told of all revocations that are known here. */
  toldEpoch = 0;
  /** Replicas in the fleet, as the leader says. */
  replicaCount = 1;
  leaderHeardAtMs: number;
  busWorkedAtMs = Number.NEGATIVE_INFINITY;
  #place: LogPosition | undefined;
  #lost: string | undefined = 'starting';
  /** Newest stretch of the log of which every record was read, or written here. */
  #read: { readonly from: LogPosition; readonly to: LogPosition } = { from: LOG_START, to: LOG_START };
  /** Oldest first. */
  #outs: Out[] = [];

  constructor(context: FleetContext) {
    this.context = context;
    this.beatBell = new Bell(context.clock);
    this.asks = new Asks(context.clock, replicaTag(context.identity.replica));
    this.leaderHeardAtMs = Number.NEGATIVE_INFINITY;
    // What is held at the start, from disk or by a thread before this one, may be newer than any snapshot.
    this.ownReadAtMs = context.store.held()?.readAtMs;
  }

  get place(): LogPosition | undefined {
    return this.#place;
  }

  get lost(): string | undefined {
    return this.#lost;
  }

  /** Changes of the log are not taken meanwhile. */
  get isReplacing(): boolean {
    return this.replacingCount > 0;
  }

  /** What is held is the content of the log at `position`. */
  arrive(position: LogPosition): void {
    this.moveTo(position);
    this.ownReadAtMs = undefined;
    this.refusal = undefined;
    this.loadFailure = undefined;
    if (!this.hasMissed) this.wish = 'none';
    if (this.#lost === undefined) return;
    this.#lost = undefined;
    this.#endLate();
    this.report('in-step', `in step with the log at ${position.epoch}-${position.seq}`);
    this.beatBell.ring();
  }

  /**
   * The record at `position`, right behind `after`, is read. False where it was before: after a snapshot
   * was taken, the log is read again from its place, and what it says of revocations was obeyed.
   */
  readUpTo(after: LogPosition, position: LogPosition): boolean {
    const { from, to } = this.#read;
    const isWithin = comparePositions(after, from) >= 0 && comparePositions(after, to) <= 0;
    if (!isWithin) this.#read = { from: after, to: position };
    else if (comparePositions(position, to) > 0) this.#read = { from, to: position };
    else return false;
    return true;
  }

  /** What is held is no older than the log at `position`. */
  moveTo(position: LogPosition): void {
    const place = this.#place;
    assert(place === undefined || comparePositions(position, place) >= 0, () => {
      return `the replica would go back from ${JSON.stringify(place)} to ${JSON.stringify(position)}`;
    });
    this.#place = position;
  }

  /** What is held is not what the log goes on from. True when that is new. */
  lose(reason: string): boolean {
    if (this.#lost !== undefined) return false;
    this.#lost = reason;
    this.report('lost', reason);
    this.beatBell.ring();
    return true;
  }

  /** Remembers what was refused, until the replica is in step again. */
  refuse(reason: RefusalReason, detail: string): void {
    this.counters.refused[reason]++;
    if (this.refusal === detail) return;
    this.refusal = detail;
    this.beatBell.ring();
    this.report('refused', detail);
  }

  poisoned(blobName: string): void {
    this.poison.add(blobName);
    for (const oldest of this.poison) {
      if (this.poison.size <= POISON_MAX) break;
      this.poison.delete(oldest);
    }
  }

  wishFor(wish: SnapshotWish): void {
    if (this.wish === wish) return;
    this.wish = wish;
    this.beatBell.ring();
  }

  /** Some of the log was passed over. */
  missed(): void {
    this.hasMissed = true;
    this.wishFor('newer');
  }

  /** All revocations were written again. */
  madeUp(): void {
    this.hasMissed = false;
    if (this.#lost === undefined) this.wish = 'none';
  }

  busWorked(): void {
    this.busFailure = undefined;
    this.busWorkedAtMs = this.context.clock.nowMs();
  }

  busFailed(error: BusError): void {
    this.counters.busFailed++;
    this.busFailure = `${error.code}: ${error.message}`;
    this.report('bus-failed', this.busFailure);
  }

  leaderHeard(epoch: number): void {
    this.epochSeen = Math.max(this.epochSeen, epoch);
    this.leaderHeardAtMs = this.context.clock.nowMs();
    this.strangers = { ...this.strangers, times: 0 };
  }

  /** A record that is nobody's whom this replica knows. What was read before is no news. */
  strangerHeard(position: LogPosition): void {
    if (comparePositions(position, this.#strangersAt) <= 0) return;
    this.#strangersAt = position;
    const { clock, times } = this.context;
    const atMs = clock.nowMs();
    // What comes together is one time.
    const isLater = atMs - this.strangers.atMs >= times.idleEveryMs / 2;
    this.strangers = { atMs, times: this.strangers.times + (isLater ? 1 : 0) };
  }

  /** The source has told the leader of `epoch` of these nodes, at `sinceMs` of its clock. */
  takeOut(nodes: readonly Revocation[], epoch: number, sinceMs: number): void {
    const holdMs = Math.max(0, ...nodes.map(node => node.holdMs));
    const untilMs = this.context.clock.nowMs() + holdMs;
    this.#outs.push({ epoch, sinceMs, untilMs, ids: nodes.map(({ id }) => id) });
    if (this.#outs.length > OUTS_MAX) this.#outs.shift();
    this.context.store.takeOut(nodes);
  }

  /** Nodes about which the leader of `epoch` had asked the source again by `askedAtMs` of its clock. */
  answeredBy(epoch: number, askedAtMs: number | undefined): Uint8Array[] {
    const nowMs = this.context.clock.nowMs();
    this.#outs = this.#outs.filter(({ untilMs }) => untilMs > nowMs);
    if (askedAtMs === undefined) return [];
    return this.#outs.filter(out => isAnswered(out, epoch, askedAtMs)).flatMap(({ ids }) => ids);
  }

  /** What `answeredBy` returned is published. */
  forgetAnswered(epoch: number, askedAtMs: number | undefined): void {
    if (askedAtMs === undefined) return;
    this.#outs = this.#outs.filter(out => !isAnswered(out, epoch, askedAtMs));
  }

  /** What is held was still right at this time. A proven time stays unless another proven one is later. */
  confirm(time: ReadTime | undefined): void {
    const { store } = this.context;
    const held = store.held();
    if (time === undefined || held === undefined) return;
    const isBetter = time.isProven === this.isReadProven ? time.readAtMs > held.readAtMs : time.isProven;
    if (!isBetter) return;
    this.isReadProven = time.isProven;
    store.confirm(time.readAtMs);
  }

  /** Takes down what is asked for here, and has the leader told of it soon. */
  ask(revocations: readonly Revocation[]): Ask[] {
    const asks = this.asks.ask(revocations);
    for (const { id } of revocations) this.#lateEnds.delete(idText(id));
    this.beatBell.ring();
    return asks;
  }

  /** Tells the leader of all revocations that are known here. */
  tellRevocations(): void {
    this.asks.tell(this.revocations());
    this.beatBell.ring();
  }

  /** The log says this: it holds here as it does everywhere, but for what was asked for here since. */
  obey({ revocations, answers }: RevokeRecord): void {
    for (const { replica, number } of answers) {
      this.#answers.delete(replica);
      this.#answers.set(replica, number);
    }
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= ANSWERS_MAX) break;
      this.#answers.delete(oldest);
    }
    // The heartbeat that asks for it would be heard by the next leader, too.
    if (this.asks.answered(answers)) this.beatBell.ring();
    const here = revocations.map(revocation => this.asks.asHere(revocation));
    this.#apply(here.filter(revocation => revocation !== undefined));
  }

  /** What is held out here, but for what ends as soon as the replica is in step. */
  revocations(): readonly Revocation[] {
    return this.context.store.revocations().filter(({ id }) => !this.#lateEnds.has(idText(id)));
  }

  /** These are out no longer, by a list of all that are. */
  end(ids: readonly Uint8Array[]): void {
    this.#apply(ids.map(id => ({ id, holdMs: 0 })));
  }

  /** Up to which the log has answered each replica. */
  answers(): Answer[] {
    return [...this.#answers].map(([replica, number]) => ({ replica, number }));
  }

  /** An end is due with content that is not held while the replica is lost: in doubt a node is out. */
  #apply(revocations: readonly Revocation[]): void {
    for (const { id, holdMs } of revocations) {
      if (holdMs === 0 && this.#lost !== undefined) this.#lateEnds.set(idText(id), id);
      else this.#lateEnds.delete(idText(id));
    }
    this.#revoke(revocations.filter(({ id }) => !this.#lateEnds.has(idText(id))));
  }

  #endLate(): void {
    const ids = [...this.#lateEnds.values()];
    this.#lateEnds.clear();
    this.#revoke(ids.map(id => ({ id, holdMs: 0 })));
  }

  #revoke(revocations: readonly Revocation[]): void {
    for (const revocation of revocations) {
      const isRight = this.asks.asHere(revocation) !== undefined;
      assert(isRight, 'a node would be let in of which nobody has heard yet that it was revoked here');
    }
    if (revocations.length > 0) this.context.store.revoke(revocations);
  }

  report(kind: FleetEvent['kind'], detail: string): void {
    this.context.report({ kind, detail });
  }
}

function isAnswered(out: Out, epoch: number, askedAtMs: number): boolean {
  return out.epoch === epoch && out.sinceMs < askedAtMs;
}

/** Across copies of the module too, such as those that tests make. */
export function isBusError(error: unknown): error is BusError {
  return error instanceof Error && error.name === 'BusError' && 'code' in error;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Throws what no machine may swallow: errors of the program itself. */
export function rethrowAssertion(error: unknown): void {
  if (error instanceof AssertionError || error instanceof TypeError || error instanceof ReferenceError)
    throw error;
}
