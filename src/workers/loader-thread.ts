/**
 * What the loader thread does, and when: whole loads on an interval with jitter and on demand, with backoff
 * after a failure; deltas, when the source tells of changes; revocations at once, whatever is under way. One
 * load or delta at a time. Says every change of its state to the thread above.
 *
 * States: starting → loading ⇄ waiting (after a success) or backing-off (after a failure) → stopped. Deltas
 * are made while it waits.
 */
import { AssertionError } from '../engine/assert.ts';
import { CacheError, type ErrorData, errorData, errorFromData } from '../engine/errors.ts';
import { confirmContent } from '../engine/live-column.ts';
import { sharedRingWords } from '../engine/prepared/ring.ts';
import type { Snapshot } from '../engine/snapshot/snapshot.ts';
import { monotonicMs } from './clock.ts';
import { runDeltaCycle } from './delta-cycle.ts';
import type { FleetEvent } from './fleet/options.ts';
import { FleetLink } from './fleet-link.ts';
import type { FleetSettings } from './fleet-options.ts';
import type { GuardStatus } from './guard/data-guard.ts';
import {
  currentSnapshot,
  type LoadContext,
  loadFailure,
  nodeCounts,
  type Published,
  runLoadCycle,
} from './load-cycle.ts';
import type { LoadReport } from './load-report.ts';
import { LoaderKeeping } from './loader-keeping.ts';
import { LoaderRecord } from './loader-record.ts';
import type {
  LoaderAnswer,
  LoaderAnswers,
  LoaderQuestion,
  LoaderQuestions,
  LoaderState,
  MessageFromLoader,
  MessageToLoader,
} from './messages.ts';
import { PendingChanges } from './pending-changes.ts';
import { RevocationDesk } from './revocation-desk.ts';
import type { KeptRevocation } from './revocation-file.ts';
import type { RevokeResult } from './revocations.ts';
import type { SourceOptions } from './source/open-source.ts';

/** Shortest time between the end of a load and the start of the next planned one. */
const PAUSE_SHORTEST_MS = 10;

const NOT_LEADER: ErrorData = {
  code: 'NOT_LEADER',
  message: 'another replica of the fleet loads for this one: ask it (sortition fleet shows which)',
};

type Answer = LoaderAnswer<LoaderAnswers[keyof LoaderAnswers]>;
type RevocationQuestion = Extract<LoaderQuestion, { kind: 'revoke' | 'restore' }>;

export class LoaderThread {
  readonly #context: LoadContext;
  readonly #post: (message: MessageFromLoader) => void;
  readonly #record: LoaderRecord;
  readonly #pending: PendingChanges;
  #fleet: FleetLink | undefined;
  readonly #desk: RevocationDesk;
  readonly #keeping: LoaderKeeping;
  readonly #stopping = new AbortController();
  #state: LoaderState = 'starting';
  /** A generation is being made, of a load, a delta, or the snapshot file. */
  #busy = true;
  /** What came before what was left on disk is read; undefined afterwards. */
  #early: MessageToLoader[] | undefined = [];
  /** A load is under way; what it has published may be served already. */
  #loading = false;
  /** A load is to begin as soon as nothing is under way. */
  #due = true;
  /** The source has something that no delta brings; until a load that began later is published. */
  #missing = false;
  /** It reads the source by itself: always, but for a replica that follows others. */
  #reads = false;
  /** What is to be done when nothing else is under way. */
  readonly #errands: (() => void)[] = [];
  /** While it reads for a fleet. */
  #term: AbortController | undefined;
  /** A load is given up when one of them aborts: nobody wants it any more. */
  readonly #askers: AbortSignal[] = [];
  #acceptDrop = false;
  /** Who waits for the next load. */
  #waiting: ((answer: LoaderAnswer<LoadReport>) => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** When the next load is planned, monotonic. */
  #plannedMs = 0;
  /** When the newest load began, monotonic. */
  #beganMs = 0;

  constructor(context: LoadContext, post: (message: MessageFromLoader) => void) {
    this.#context = context;
    this.#post = post;
    this.#record = new LoaderRecord(context);
    this.#desk = new RevocationDesk({
      context,
      exclusively: work => this.#exclusively(work),
      onLoadNeeded: () => this.#lackLoad(),
      onChange: () => this.#say(),
      onFailure: endByUncaught,
    });
    this.#keeping = new LoaderKeeping(context, {
      desk: this.#desk,
      onHeld: held => this.#post({ kind: 'held', held }),
      onChange: () => this.#say(),
    });
    this.#pending = new PendingChanges(context, this.#desk, {
      onStale: () => this.#proceed(),
      onLoadNeeded: () => this.#lackLoad(),
      onTakenOut: (ids, count) => this.#takenOut(ids, count),
      onAlive: () => this.#confirm(),
      onStatus: () => this.#say(),
      onFailure: endByUncaught,
    });
  }

  /**
   * `source`: what the source was opened with. `held`: what operators had revoked when the thread before this
   * one ended. Returns when it has begun.
   */
  async run(source: SourceOptions, held: readonly KeptRevocation[]): Promise<void> {
    this.#say();
    const report = await this.#keeping.takeOver(held);
    if (report !== undefined) this.#record.restored(report);
    this.#say();
    this.#busy = false;
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const message of early) this.receive(message);
    if (this.#stopping.signal.aborted) return;
    const { fleet } = this.#context.settings;
    if (fleet === undefined) await this.#readAlone();
    else await this.#joinFleet(fleet, source);
  }

  /** The process has published what it read of the source. */
  published(published: Published): void {
    this.#fleet?.published(published);
  }

  /** From now on this loader reads the source by itself, until `signal` aborts. */
  async #readAlone(signal = this.#stopping.signal): Promise<void> {
    this.#due = true;
    await this.#pending.begin(signal);
    if (signal.aborted) return;
    this.#reads = true;
    this.#proceed();
  }

  async #joinFleet(settings: FleetSettings, source: SourceOptions): Promise<void> {
    this.#enter('following');
    this.#fleet = await FleetLink.open(settings, source, {
      context: this.#context,
      errands: {
        exclusively: work => this.#exclusively(work),
        loadNow: signal => this.#loadNow(signal),
        lead: isLeader => this.#lead(isLeader),
        revoke: (ids, options) => this.#desk.revokeAsFits(ids, options),
        restore: ids => void this.#desk.restore(ids),
        taken: snapshot => this.#taken(snapshot),
      },
      onEvent: event => this.#heard(event),
      onStatus: () => this.#say(),
    });
    this.#fleet.run(this.#stopping.signal).catch(endByUncaught);
  }

  #heard({ kind, detail }: FleetEvent): void {
    this.#record.heard({ kind, detail, atUnixMs: Date.now() });
    this.#say();
  }

  /** This replica reads the source for its fleet, or does so no longer. */
  #lead(isLeader: boolean): void {
    if (this.#term !== undefined) {
      this.#term.abort();
      this.#askers.splice(this.#askers.indexOf(this.#term.signal), 1);
      this.#term = undefined;
    }
    if (isLeader) {
      this.#term = new AbortController();
      this.#askers.push(this.#term.signal);
      void this.#readAlone(AbortSignal.any([this.#term.signal, this.#stopping.signal]));
      return;
    }
    this.#reads = false;
    this.#due = false;
    for (const take of this.#waiting.splice(0)) take({ ok: false, error: NOT_LEADER });
    this.#missing = false;
    this.#pending.end();
    clearTimeout(this.#timer);
    this.#enter('following');
  }

  /** What another replica loaded is served here now. */
  #taken(snapshot: Snapshot): void {
    this.#record.published(nodeCounts(snapshot));
    this.#keeping.taken();
    this.#say();
  }

  /** Runs `work` as soon as nothing else is under way. */
  #exclusively(work: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#errands.push(() => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
      this.#proceed();
    });
  }

  /** For the fleet, which wants it no longer when `signal` aborts. */
  async #loadNow(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#askers.push(signal);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(answer => (answer.ok ? resolve() : reject(errorFromData(answer.error))));
        this.#loadSoon();
      });
    } finally {
      this.#askers.splice(this.#askers.indexOf(signal), 1);
    }
  }

  receive(message: MessageToLoader): void {
    if (message.kind === 'stop') return;
    if (this.#early !== undefined && message.kind !== 'rings') this.#early.push(message);
    else if (message.kind === 'rings') this.#desk.addRings(sharedRingWords(message.memory).words);
    else if (message.kind === 'refresh') this.#demand(message.requestId, message.acceptDrop);
    else if (message.kind === 'fleet') void this.#view(message.requestId);
    else if (message.kind === 'override' && this.#follows) this.#refuseFollower(message.requestId);
    else if (message.kind === 'override') this.#answer(message.requestId, () => this.#override(message));
    else this.#answer(message.requestId, () => this.#changeRevocations(message), this.#keeping);
  }

  /** Resolves when the source is closed; a load that is under way fails. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#pending.stop();
    this.#desk.stop();
    this.#stopping.abort(new CacheError('CACHE_CLOSED', 'the cache was closed'));
    await this.#keeping.stop();
    await this.#context.source.close();
    this.#enter('stopped');
  }

  /**
   * A demand during a load waits for a load that begins after it: the running one may have read before the
   * change.
   */
  #demand(requestId: number, acceptDrop: boolean): void {
    if (this.#follows) {
      this.#refuseFollower(requestId);
      return;
    }
    this.#waiting.push(answer => this.#post({ kind: 'answer', requestId, answer }));
    this.#acceptDrop ||= acceptDrop;
    this.#loadSoon();
  }

  get #follows(): boolean {
    return this.#fleet !== undefined && this.#term === undefined;
  }

  #refuseFollower(requestId: number): void {
    this.#post({ kind: 'answer', requestId, answer: { ok: false, error: NOT_LEADER } });
  }

  #loadSoon(): void {
    this.#due = true;
    this.#proceed();
  }

  /**
   * What is served lacks something that the source has, and deltas do not bring it: a load is needed. While
   * loads fail it waits for the next one that is planned.
   */
  #lackLoad(): void {
    this.#missing = true;
    if (this.#state !== 'backing-off') this.#loadSoon();
  }

  /** Begins what is due, when nothing is under way: first what others wait for. */
  #proceed(): void {
    if (this.#busy || this.#stopping.signal.aborted) return;
    // An errand may make a load due; what it begins is begun by this call, or by none.
    this.#busy = true;
    for (let errand = this.#errands.shift(); errand !== undefined; errand = this.#errands.shift()) errand();
    this.#busy = false;
    const isDue = this.#due && !this.#loading;
    if (isDue && (this.#reads || this.#waiting.length > 0)) void this.#load();
    else if (!this.#reads) return;
    else if (this.#pending.staleCount > 0 && currentSnapshot(this.#context) !== undefined)
      void this.#update();
  }

  async #load(): Promise<void> {
    clearTimeout(this.#timer);
    const answers = this.#waiting;
    const acceptDrop = this.#acceptDrop;
    this.#waiting = [];
    this.#acceptDrop = false;
    this.#due = false;
    const missing = this.#missing;
    this.#missing = false;
    this.#busy = true;
    this.#loading = true;
    this.#beganMs = monotonicMs();
    const isForced = missing && answers.length === 0 && this.#beganMs < this.#plannedMs;
    this.#enter('loading');
    const { timeoutMs } = this.#context.settings.refresh;
    const deadline = AbortSignal.timeout(timeoutMs);
    const signal = AbortSignal.any([deadline, this.#stopping.signal, ...this.#askers]);
    let answer: LoaderAnswer<LoadReport>;
    try {
      const load = await runLoadCycle(this.#context, { acceptDrop, isForced, signal });
      this.#keeping.loaded();
      // Deltas need not wait for what is counted.
      this.#busy = false;
      this.#proceed();
      answer = { ok: true, value: await load.counted };
      this.#record.loaded(answer.value);
    } catch (error) {
      // A programmer's error: the thread ends, is replaced, and that shows.
      if (error instanceof AssertionError) return endByUncaught(error);
      this.#missing ||= missing;
      answer = { ok: false, error: this.#record.loadFailed(loadFailure(error, deadline, timeoutMs)) };
      this.#busy = false;
    }
    this.#loading = false;
    this.#watchExpiry();
    if (this.#reads && answer.ok) this.#pending.rehearse();
    // The status goes first: whoever waited for the load finds it there.
    if (!this.#stopping.signal.aborted) this.#afterLoad();
    for (const take of answers) take(answer);
    this.#proceed();
  }

  #afterLoad(): void {
    if (this.#reads) this.#plan();
    else this.#enter('following');
  }

  /** Plans the next load: after the interval, or the backoff. */
  #plan(): void {
    const { refresh } = this.#context.settings;
    const failures = this.#record.failuresInARow;
    const ms =
      failures > 0
        ? backoffMs(failures, refresh.backoffFirstMs, refresh.backoffLongestMs)
        : Math.max(PAUSE_SHORTEST_MS, this.#intervalMs() - (monotonicMs() - this.#beganMs));
    this.#plannedMs = monotonicMs() + ms;
    this.#wait(failures > 0 ? 'backing-off' : 'waiting');
  }

  /** Until the planned load. */
  #wait(state: 'waiting' | 'backing-off'): void {
    clearTimeout(this.#timer);
    const ms = Math.max(0, this.#plannedMs - monotonicMs());
    this.#timer = setTimeout(() => this.#loadSoon(), ms);
    this.#enter(state);
  }

  /** From the start of a load to the start of the next. */
  #intervalMs(): number {
    const { everyMs, jitterRatio } = this.#context.settings.refresh;
    return everyMs * (1 - jitterRatio * Math.random());
  }

  /** So many nodes that the source says are out have left selections, ahead of the delta. */
  #takenOut(ids: Uint8Array, count: number): void {
    this.#record.takenOut(count);
    this.#fleet?.takenOut(ids);
  }

  /** Nothing has changed that is not published: the content is as young as the source's last word. */
  #confirm(): void {
    const { staleCount, syncedMs } = this.#pending;
    const current = currentSnapshot(this.#context);
    const behind = this.#busy || this.#due || this.#missing || staleCount > 0;
    if (current === undefined || syncedMs === undefined || behind) return;
    if (syncedMs <= current.readAtMonotonic) return;
    confirmContent(current.views, syncedMs);
    this.#fleet?.confirmed();
  }

  /** Followers leave it to the replica that reads. */
  #watchExpiry(): void {
    if (this.#reads && !this.#stopping.signal.aborted) this.#pending.watchExpiry();
  }

  /** Makes a generation of the current one and the nodes that have changed. */
  async #update(): Promise<void> {
    this.#busy = true;
    const { ids, earliestUnixMs } = this.#pending.take();
    const deadline = AbortSignal.timeout(this.#context.settings.refresh.timeoutMs);
    const signal = AbortSignal.any([deadline, this.#stopping.signal]);
    try {
      const syncedMs = this.#missing ? undefined : this.#pending.syncedMs;
      const report = await runDeltaCycle(this.#context, { ids, earliestUnixMs, syncedMs, signal });
      if (report !== undefined) {
        this.#keeping.updated();
        this.#record.updated(report);
      }
    } catch (error) {
      if (error instanceof AssertionError) return endByUncaught(error);
      // Whatever was wrong: a whole load needs nothing of it.
      this.#record.updateFailed(errorData(error, 'SOURCE_FAILED'));
      this.#lackLoad();
    }
    this.#busy = false;
    this.#watchExpiry();
    if (!this.#stopping.signal.aborted) this.#say();
    this.#proceed();
  }

  #changeRevocations(message: RevocationQuestion): RevokeResult | number {
    const { kind, ids } = message;
    const holdMs = kind === 'revoke' ? message.holdMs : 0;
    const options = { origin: 'operator', holdMs, keepsLonger: this.#fleet !== undefined } as const;
    const result = kind === 'revoke' ? this.#desk.revoke(ids, options) : this.#desk.restore(ids);
    // Elsewhere as soon as the log of the fleet can say so.
    this.#fleet?.revoke(ids, holdMs);
    return result;
  }

  async #view(requestId: number): Promise<void> {
    const value = await this.#fleet?.view();
    this.#post({ kind: 'answer', requestId, answer: { ok: true, value } });
  }

  #override({ validators, forMs }: LoaderQuestions['override']): GuardStatus {
    const { guard } = this.#context;
    guard.override(validators, forMs);
    this.#say();
    return guard.status();
  }

  /** `keeping`: the answer waits until what it says is kept, or cannot be for now. */
  #answer(requestId: number, value: () => LoaderAnswers[keyof LoaderAnswers], keeping?: LoaderKeeping): void {
    let answer: Answer;
    try {
      answer = { ok: true, value: value() };
    } catch (error) {
      if (!(error instanceof CacheError)) {
        endByUncaught(error as Error);
        return;
      }
      answer = { ok: false, error: errorData(error, 'LOADER_LOST') };
    }
    const post = () => this.#post({ kind: 'answer', requestId, answer });
    if (keeping === undefined) post();
    else void keeping.kept().then(post);
  }

  #enter(state: LoaderState): void {
    this.#state = state;
    this.#say();
  }

  #say(): void {
    // Whoever may have changed what is held says so.
    this.#keeping.note();
    const waiting = this.#state === 'waiting' || this.#state === 'backing-off';
    const nextLoadInMs = waiting ? Math.max(0, Math.round(this.#plannedMs - monotonicMs())) : undefined;
    this.#post({
      kind: 'status',
      status: this.#record.status(this.#state, {
        changes: this.#pending.status,
        fleet: this.#fleet?.status(),
        snapshotFile: this.#keeping.status,
        nextLoadInMs,
      }),
    });
  }
}

/**
 * Full jitter: a random part of a wait that doubles with every failure, so that replicas do not come back
 * together.
 */
function backoffMs(failures: number, firstMs: number, longestMs: number): number {
  const ceilingMs = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.max(1, ceilingMs * Math.random());
}

/** Throws where nothing catches: whatever the process does about rejections, the thread ends. */
export function endByUncaught(error: Error): void {
  queueMicrotask(() => {
    throw error;
  });
}
