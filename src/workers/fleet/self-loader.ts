/**
 * A replica's own loads from the source: when it has nothing and the bus does not help, when it is told to
 * reload, and, where configured, when its content has grown old. Each waits for a random while and for a
 * permit, so that a fleet never comes to its database all at once. Only a replica that has nothing to serve,
 * and can ask nobody for a permit, loads without one in the end. Loader thread.
 */
import { Backoff, Bell, type Exclusive, linkedAbort } from './clock.ts';
import { messageOf, type ReplicaState, rethrowAssertion } from './replica-state.ts';

type Need = 'nothing held' | 'told to' | 'too old';

export class SelfLoader {
  readonly #state: ReplicaState;
  readonly #exclusive: Exclusive;
  readonly #ended: (hasChanged: boolean) => void;
  readonly #bell: Bell;
  readonly #backoff: Backoff;
  readonly #startDueAtMs: number;
  readonly #unpermittedAtMs: number;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #toldDueAtMs = Number.POSITIVE_INFINITY;
  /** Drawn once for each time the content grows old. */
  #oldJitterMs: number | undefined;
  /** Ends the wait for a permit that is needed no longer. */
  #waiting: AbortController | undefined;

  /** `ended` is called after each load, in the same turn in which new content is held. */
  constructor(state: ReplicaState, exclusive: Exclusive, ended: (hasChanged: boolean) => void) {
    const { clock, random, times } = state.context;
    this.#state = state;
    this.#exclusive = exclusive;
    this.#ended = ended;
    this.#bell = new Bell(clock);
    this.#backoff = new Backoff(random, {
      firstMs: times.backoffLongestMs,
      longestMs: times.loadBackoffLongestMs,
    });
    this.#startDueAtMs = clock.nowMs() + times.startLoadAfterMs * (1 + random());
    this.#unpermittedAtMs = clock.nowMs() + times.startUnpermittedAfterMs * (1 + random());
  }

  /** Somebody wants all replicas to reload, within `spreadMs`. */
  told(spreadMs: number): void {
    const { clock, random } = this.#state.context;
    this.#toldDueAtMs = clock.nowMs() + spreadMs * random();
    this.#bell.ring();
  }

  /** Content came another way. */
  satisfied(): void {
    this.#waiting?.abort();
    this.#bell.ring();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#state.context;
    while (!signal.aborted) {
      const dueAtMs = this.#due().atMs;
      const waitMs = dueAtMs - clock.nowMs();
      if (waitMs > 0) await this.#bell.wait(waitMs, signal);
      else await this.#load(signal);
    }
  }

  #due(): { readonly need: Need; readonly atMs: number } {
    const { store, times, random } = this.#state.context;
    const held = store.held();
    const after = (need: Need, atMs: number) => ({ need, atMs: Math.max(atMs, this.#notBeforeMs) });
    if (held === undefined) return after('nothing held', this.#startDueAtMs);
    if (Number.isFinite(this.#toldDueAtMs) || times.loadAfterMs === undefined) {
      return after('told to', this.#toldDueAtMs);
    }
    const oldAtMs = held.readAtMs + times.loadAfterMs;
    if (oldAtMs > this.#state.context.clock.nowMs()) {
      this.#oldJitterMs = undefined;
      // It may be confirmed until then.
      return after('too old', oldAtMs);
    }
    this.#oldJitterMs ??= (times.loadAfterMs / 2) * random();
    return after('too old', oldAtMs + this.#oldJitterMs);
  }

  async #load(signal: AbortSignal): Promise<void> {
    const { context } = this.#state;
    const waiting = linkedAbort(signal);
    this.#waiting = waiting.controller;
    try {
      const giveBack = await this.#permit(waiting.signal);
      try {
        if (this.#due().atMs <= context.clock.nowMs() && !signal.aborted) await this.#loadNow(signal);
      } finally {
        await giveBack();
      }
    } catch (error) {
      rethrowAssertion(error);
      if (waiting.signal.aborted) return;
      this.#failed(error);
    } finally {
      this.#waiting = undefined;
      waiting.unlink();
    }
  }

  /** Waits for a permit; what it returns gives it back. Throws while nobody can be asked. */
  async #permit(signal: AbortSignal): Promise<() => Promise<void>> {
    const { clock, permits, store } = this.#state.context;
    try {
      return await permits.acquire(signal);
    } catch (error) {
      rethrowAssertion(error);
      const mayGoWithout = store.held() === undefined && clock.nowMs() >= this.#unpermittedAtMs;
      if (signal.aborted || !mayGoWithout) throw error;
      this.#state.counters.ownLoadsUnpermitted++;
      this.#state.report('source-failed', `no permit to load, it loads without: ${messageOf(error)}`);
      return async () => undefined;
    }
  }

  /** Deltas that come meanwhile are not taken: the replica counts as lost then, and finds its way back. */
  async #loadNow(signal: AbortSignal): Promise<void> {
    const { store } = this.#state.context;
    const before = store.held()?.digest;
    this.#state.replacingCount++;
    try {
      await this.#exclusive.run(() => store.loadFromSource(signal));
      this.#state.counters.ownLoads++;
      this.#state.loadFailure = undefined;
      this.#state.isReadProven = true;
      this.#toldDueAtMs = Number.POSITIVE_INFINITY;
      this.#notBeforeMs = Number.NEGATIVE_INFINITY;
      this.#backoff.worked();
    } finally {
      this.#state.replacingCount--;
      this.#ended(store.held()?.digest !== before);
    }
  }

  #failed(error: unknown): void {
    this.#state.counters.ownLoadsFailed++;
    this.#state.loadFailure = messageOf(error);
    this.#notBeforeMs = this.#state.context.clock.nowMs() + this.#backoff.nextMs();
    this.#state.report('source-failed', messageOf(error));
  }
}
