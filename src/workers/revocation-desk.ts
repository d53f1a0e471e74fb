/**
 * Takes nodes out of what is served and lets them back in, whoever asks: an operator, the source, the fleet,
 * or the time that a revocation was to last. Loader thread.
 */
import { countRevocation } from '../engine/prepared/ring.ts';
import type { ControlWords } from '../engine/publication.ts';
import { monotonicMs, TIMER_MS_MAX } from './clock.ts';
import { republish } from './delta-cycle.ts';
import { currentSnapshot, type LoadContext } from './load-cycle.ts';
import type { KeptRevocation } from './revocation-file.ts';
import type { RevokeOptions, RevokeResult } from './revocations.ts';

export interface DeskOptions {
  readonly context: LoadContext;
  /** Runs `work` when nothing else is under way. */
  readonly exclusively: (work: () => void) => Promise<void>;
  /** Nodes can only come back with a load. */
  readonly onLoadNeeded: () => void;
  readonly onChange: () => void;
  readonly onFailure: (error: Error) => void;
}

/** A node comes back no sooner than this after its time: generations are not published for each by itself. */
const PAUSE_SHORTEST_MS = 10;
/** How long a load is waited for that is needed before they can, until it is asked for again. */
const LOAD_PAUSE_MS = 1_000;

export class RevocationDesk {
  readonly #options: DeskOptions;
  /** Rings whose answers a revocation makes void. */
  readonly #rings: ControlWords[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** The content is to be published again as soon as nothing else is under way. */
  #republishing = false;
  #stopped = false;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  addRings(words: ControlWords): void {
    this.#rings.push(words);
  }

  /** What a loader before this one took out of the current generation stays out. */
  recover(): void {
    const { context } = this.#options;
    const current = currentSnapshot(context);
    if (current !== undefined) context.revocations.recover(current);
    this.#watch();
  }

  /** Takes out what was held before, for the time that is left. */
  takeOver(kept: readonly KeptRevocation[]): void {
    const { context, onChange } = this.#options;
    const nowMs = Date.now();
    const left = kept.map(({ id, untilUnixMs }) => ({ id, holdMs: untilUnixMs - nowMs }));
    context.revocations.takeOver(left, currentSnapshot(context));
    for (const words of this.#rings) countRevocation(words);
    this.#watch();
    onChange();
  }

  /** Takes the nodes out, 32 bytes each. Throws CAPACITY_EXCEEDED. */
  revoke(ids: Uint8Array, options: RevokeOptions): RevokeResult {
    const { context, onChange } = this.#options;
    const result = context.revocations.revoke(ids, currentSnapshot(context), options);
    // From now on every selection leaves them out; answers that were prepared before may not.
    for (const words of this.#rings) countRevocation(words);
    this.#watch();
    onChange();
    return result;
  }

  /** The same for as many of them as there is room for: nobody is there to be refused. */
  revokeAsFits(ids: Uint8Array, options: RevokeOptions): RevokeResult {
    const { revocations } = this.#options.context;
    return this.revoke(revocations.fitting(ids), options);
  }

  /** Lets them back in. Returns how many there were. */
  restore(ids: Uint8Array): number {
    const restored = this.#options.context.revocations.restore(ids);
    if (restored > 0) this.#republish();
    return restored;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #republish(): void {
    if (this.#republishing) return;
    const { context, exclusively, onChange, onFailure, onLoadNeeded } = this.#options;
    this.#republishing = true;
    const work = () => {
      this.#republishing = false;
      const isDone = republish(context);
      if (!isDone) onLoadNeeded();
      this.#watch(isDone ? PAUSE_SHORTEST_MS : LOAD_PAUSE_MS);
      onChange();
    };
    exclusively(work).catch(onFailure);
  }

  /** Waits for the end of the next revocation by time. */
  #watch(shortestMs = PAUSE_SHORTEST_MS): void {
    clearTimeout(this.#timer);
    const ms = this.#options.context.revocations.nextEndMs() - monotonicMs();
    if (ms > TIMER_MS_MAX || this.#stopped) return;
    this.#timer = setTimeout(() => this.#end(), Math.max(shortestMs, ms));
  }

  /** Those whose time is over come back; by now they may have ended another way, and others be waited for. */
  #end(): void {
    if (this.#options.context.revocations.nextEndMs() <= monotonicMs()) this.#republish();
    else this.#watch();
  }
}
