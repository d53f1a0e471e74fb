/**
 * One replica in its fleet: follows the log, stands for election when the leader is silent, leads while its
 * term lasts, and sends heartbeats all along. Loader thread.
 *
 * Roles: follower → (elected) → leader → (the term is over, for whatever reason) → follower.
 */
import type { LogPosition } from '../bus/bus.ts';
import { linkedAbort, Stopped, sleep, unlessStopped } from './clock.ts';
import type { Term } from './election/election.ts';
import { Follower } from './follower.ts';
import { type Change, Leader } from './leader.ts';
import { LogWriter, type TermEnd, TermOver } from './log-writer.ts';
import { hashShare } from './name-hash.ts';
import type { FleetContext } from './options.ts';
import {
  type FleetCounters,
  isBusError,
  messageOf,
  ReplicaState,
  rethrowAssertion,
} from './replica-state.ts';
import { encodeBeat, type FleetBeat, type FleetRole, readBeats } from './wire/beat.ts';
import type { Revocation } from './wire/records.ts';

export interface FleetStatus {
  readonly role: FleetRole;
  /** Highest epoch seen. */
  readonly epoch: number;
  readonly position: LogPosition | undefined;
  readonly digest: string | undefined;
  /** When the source was read for it, on the machine's monotonic clock: never later, where it is proven. */
  readonly readAtMs: number | undefined;
  /** The time since, as of this status. */
  readonly ageMs: number | undefined;
  readonly isAgeProven: boolean;
  /** Why it is not in step with the log. */
  readonly lost: string | undefined;
  readonly refusal: string | undefined;
  /** Why the last load of its own failed, while none has worked since. */
  readonly loadFailure: string | undefined;
  /** What the bus has failed of, while it has not worked since. */
  readonly busFailure: string | undefined;
  readonly replicaCount: number;
  /** Revocations and ends of revocations that were asked for here, while the log does not say them. */
  readonly askCount: number;
  readonly counters: FleetCounters;
}

/** Among more candidates, the time in which they double. */
const WIDEN_EVERY_MS = 500;
/**
 * Whoever can read none of what the log has waits for so many silences, so that those who can are elected
 * first: behind somebody who lives, and behind what was left there.
 */
const STRANGER_SILENCES = { living: 5, left: 1.5 };
/** Somebody lives who has written at so many times. */
const STRANGER_TIMES_MIN = 3;

export class FleetMember {
  readonly #context: FleetContext;
  readonly #state: ReplicaState;
  #leader: Leader | undefined;
  /** Not elected before: a first pause at random, and one after a term that the bus ended. */
  #standNotBeforeMs: number;

  constructor(context: FleetContext) {
    this.#context = context;
    this.#state = new ReplicaState(context);
    this.#standNotBeforeMs = context.clock.nowMs() + (context.times.silenceMs / 2) * context.random();
  }

  /** Until `signal` aborts. Rejects only for errors of the program. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#live(signal), this.#beat(signal)]);
  }

  /** The loader has published, as leader; ignored while it is none. */
  changed(change: Change): void {
    this.#leader?.changed(change);
  }

  /** The loader has read the source, as leader, and found what is held. */
  confirmed(): void {
    this.#leader?.wake();
  }

  /**
   * Takes nodes out everywhere, as soon as the log can say so; here they are. It goes on trying until then,
   * or until the time is over.
   */
  revoke(revocations: readonly Revocation[]): void {
    const asks = this.#state.ask(revocations);
    this.#leader?.asked(asks);
  }

  /**
   * The source has confirmed their revocations in content `to`, as leader, when it was asked at `askedAtMs`;
   * here they are over.
   */
  fulfilled(ids: readonly Uint8Array[], to: string, askedAtMs: number): void {
    this.#leader?.fulfilled(ids, to, askedAtMs);
  }

  /** The source has told the loader of these nodes, as leader, and they are out here. */
  takenOut(ids: readonly Uint8Array[]): void {
    this.#leader?.takenOut(ids);
  }

  /** Tells every replica to load from the source itself. False when this replica does not lead. */
  reloadAll(spreadMs: number, reason: string): boolean {
    this.#leader?.reload(spreadMs, reason);
    return this.#leader !== undefined;
  }

  status(): FleetStatus {
    const { store, clock } = this.#context;
    const held = store.held();
    const { place, lost, refusal, replicaCount, counters, epochSeen, isReadProven } = this.#state;
    const { busFailure, loadFailure } = this.#state;
    return {
      role: this.#leader === undefined ? 'follower' : 'leader',
      epoch: epochSeen,
      position: place,
      digest: held?.digest,
      readAtMs: held?.readAtMs,
      ageMs: held === undefined ? undefined : Math.max(0, clock.nowMs() - held.readAtMs),
      isAgeProven: isReadProven,
      lost,
      refusal,
      loadFailure,
      busFailure,
      replicaCount,
      askCount: this.#state.asks.count,
      counters,
    };
  }

  async #live(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const follower = new Follower(this.#state);
      const period = linkedAbort(signal);
      const following = follower.run(period.signal);
      try {
        // Following ends early only by an error of the program.
        const term = await Promise.race([this.#campaign(signal), following]);
        if (term !== undefined)
          await this.#serve(term, { follower, period: period.controller, following }, signal);
      } finally {
        period.controller.abort();
        await following;
        period.unlink();
      }
    }
    await this.#context.election.rest();
  }

  /** Stands for election whenever that is right; undefined when `signal` aborts. */
  async #campaign(signal: AbortSignal): Promise<Term | undefined> {
    const { clock, election, mayLead, random, times } = this.#context;
    let isResting = true;
    while (!signal.aborted) {
      await sleep(clock, times.attemptEveryMs * (0.5 + random() / 2), signal);
      if (signal.aborted) return undefined;
      if (!mayLead || !this.#shouldStand()) {
        if (!isResting) await election.rest();
        isResting = true;
        continue;
      }
      isResting = false;
      if (await this.#isStranger(signal)) continue;
      const term = await this.#attempt(signal);
      if (term !== undefined) return term;
    }
    return undefined;
  }

  async #attempt(signal: AbortSignal): Promise<Term | undefined> {
    try {
      return await this.#context.election.attempt(signal);
    } catch (error) {
      rethrowAssertion(error);
      if (signal.aborted || error instanceof Stopped) return undefined;
      this.#state.counters.electionFailed++;
      this.#state.report('election-failed', messageOf(error));
      return undefined;
    }
  }

  /**
   * Only while the leader is silent and the bus is not; and of a large fleet only a few, those whose names
   * hash lowest, more and more as the silence lasts.
   */
  #shouldStand(): boolean {
    const { clock, identity, limits, times } = this.#context;
    const { busWorkedAtMs, hasMissed, leaderHeardAtMs, lost, replicaCount } = this.#state;
    const nowMs = clock.nowMs();
    if (nowMs < this.#standNotBeforeMs || nowMs - busWorkedAtMs > times.busLostMs) return false;
    if (this.#isAmongStrangers(nowMs)) return false;
    const silentForMs = nowMs - Math.max(leaderHeardAtMs, this.#standNotBeforeMs - times.silenceMs);
    // Those who know all of the log go first.
    const knowsLog = (lost === undefined && !hasMissed) || !Number.isFinite(leaderHeardAtMs);
    const patienceMs = times.silenceMs + (knowsLog ? 0 : times.attemptEveryMs);
    if (silentForMs < patienceMs) return false;
    const doublings = Math.min(30, (silentForMs - patienceMs) / WIDEN_EVERY_MS);
    const candidates = Math.min(limits.candidatesMost, limits.candidates * 2 ** doublings);
    return hashShare(identity.replica) < candidates / replicaCount;
  }

  /**
   * The log has records with another seal, and none that this replica can read: nobody would read what it
   * writes. It waits until nothing of theirs has come for a while, which is how a log looks whose fleet was
   * given a new key; for longer when somebody has gone on writing, who is missed for a moment only.
   */
  #isAmongStrangers(nowMs: number): boolean {
    const { silenceMs } = this.#context.times;
    const { leaderHeardAtMs, strangers } = this.#state;
    // Forged records between right ones are another matter.
    if (strangers.times === 0 || strangers.atMs <= leaderHeardAtMs + STRANGER_SILENCES.living * silenceMs)
      return false;
    const isLiving = strangers.times >= STRANGER_TIMES_MIN;
    const silences = isLiving ? STRANGER_SILENCES.living : STRANGER_SILENCES.left;
    return nowMs - strangers.atMs < silences * silenceMs;
  }

  /**
   * Whoever can read nothing of what is new in the log asks who lives before it stands: where most heartbeats
   * have another seal, it is itself the one with the wrong key, however long the others have been silent.
   */
  async #isStranger(signal: AbortSignal): Promise<boolean> {
    const { bus, sealer } = this.#context;
    if (this.#state.strangers.times === 0) return false;
    try {
      const beats = await unlessStopped(bus.beats(), signal);
      const { strange } = readBeats(beats, sealer);
      // What the dead have left is counted for as long as it lasts: they may be alive.
      return strange.length > beats.length - strange.length;
    } catch (error) {
      if (error instanceof Stopped) return true;
      if (!isBusError(error)) throw error;
      this.#state.busFailed(error);
      return true;
    }
  }

  async #serve(
    term: Term,
    following: { follower: Follower; period: AbortController; following: Promise<void> },
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, random, times } = this.#context;
    const strangerMs = STRANGER_SILENCES.living * times.silenceMs;
    this.#state.counters.terms++;
    let end: TermEnd = 'lease-lost';
    try {
      end = await this.#lead(term, following, signal);
    } catch (error) {
      if (!(error instanceof TermOver)) throw error;
      end = error.end;
    } finally {
      await term.resign();
    }
    this.#state.report('role', `leads no longer: ${end}`);
    // Somebody else may reach the bus.
    if (end === 'bus-lost') this.#standNotBeforeMs = clock.nowMs() + times.busLostMs * random();
    // They wait, too.
    if (end === 'among-strangers') this.#standNotBeforeMs = clock.nowMs() + strangerMs * (2 + random());
  }

  async #lead(
    term: Term,
    {
      follower,
      period,
      following,
    }: { follower: Follower; period: AbortController; following: Promise<void> },
    signal: AbortSignal,
  ): Promise<TermEnd> {
    const { store, times } = this.#context;
    // From its first record on, no leader before this one can write any more. What it wrote is read first.
    const ending = linkedAbort(signal, term.lost);
    const writer = await LogWriter.begin(this.#state, term, ending.signal);
    // In an empty log there is nothing to catch up with.
    const catchUpMs = writer.isFirst ? 0 : times.catchUpMs;
    const isCaughtUp = await follower.caughtUp(writer.position, catchUpMs, ending.signal);
    ending.unlink();
    // Revocations may stand in what it has not read, or have stood in a log that was lost.
    const hasMissed = writer.isFirst || this.#state.hasMissed || !follower.hasRead(writer.position);
    period.abort();
    await following;
    const knows = { content: isCaughtUp && this.#state.lost === undefined, revocations: !hasMissed };
    const leader = new Leader(this.#state, writer, knows);
    this.#leader = leader;
    const how = isCaughtUp ? 'the log goes on' : 'the log starts from its next load';
    this.#state.report('role', `leads epoch ${writer.epoch}: ${how}`);
    this.#state.beatBell.ring();
    store.lead(true);
    try {
      return await leader.run(signal);
    } finally {
      store.lead(false);
      this.#leader = undefined;
      this.#stepDown(leader);
    }
  }

  /** Where does what is held stand in the log that this leader leaves behind? */
  #stepDown(leader: Leader): void {
    const held = this.#context.store.held();
    this.#state.leaderHeardAtMs = this.#context.clock.nowMs();
    this.#state.beatBell.ring();
    if (leader.chain !== undefined && leader.chain === held?.digest) {
      this.#state.arrive(leader.position);
      return;
    }
    if (leader.chain !== undefined) this.#state.moveTo(leader.position);
    this.#state.ownReadAtMs = held?.readAtMs;
    this.#state.lose('it has published what the log does not have');
  }

  async #beat(signal: AbortSignal): Promise<void> {
    const { clock, random, times } = this.#context;
    await sleep(clock, times.beatPauseMs * random(), signal);
    while (!signal.aborted) {
      const isSent = await this.#sendBeat();
      await sleep(clock, times.beatPauseMs * (0.5 + random() / 2), signal);
      // Somebody has to hear of what is needed here, also where a heartbeat is lost.
      const isUrgent = !isSent || this.#state.wish !== 'none' || this.#state.asks.count > 0;
      const pauseMs = isUrgent ? times.beatPauseMs : times.beatEveryMs - times.beatPauseMs;
      await this.#state.beatBell.wait(pauseMs, signal);
    }
  }

  async #sendBeat(): Promise<boolean> {
    const { bus, identity, sealer, times } = this.#context;
    const bytes = encodeBeat(this.#heartbeat(), sealer);
    try {
      await bus.beat({ replica: identity.replica, bytes }, times.beatExpiresMs);
    } catch (error) {
      if (!isBusError(error)) throw error;
      this.#state.busFailed(error);
      return false;
    }
    this.#state.busWorked();
    return true;
  }

  #heartbeat(): FleetBeat {
    const { identity } = this.#context;
    const { role, epoch, position, digest, ageMs, lost, refusal } = this.status();
    const { replica, host, pid, program, layout, address } = identity;
    const { wish } = this.#state;
    return {
      ...{ replica, host, pid, program, layout, address },
      ...{ role, epoch, position, digest, ageMs, lost, refusal, wish },
      asks: this.#state.asks.list(),
    };
  }
}
