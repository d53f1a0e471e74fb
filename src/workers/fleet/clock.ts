/**
 * Time and chance as the machines of a fleet take them: given from outside, so that a simulation can give
 * them too. Everything that waits in this folder waits here. Loader thread.
 */
import { monotonicMs } from '../clock.ts';

export interface FleetClock {
  /** Monotonic milliseconds: what every wait, lease and age is counted by. */
  nowMs(): number;
  /** Milliseconds since 1970 by the wall clock, which may step: information, and a last resort for ages. */
  unixMs(): number;
  /** Calls back once after `ms`; the function returned prevents it. */
  after(ms: number, callback: () => void): () => void;
}

/** From 0 up to, not including, 1. */
export type Random = () => number;

export const systemClock: FleetClock = {
  nowMs: monotonicMs,
  unixMs: () => Date.now(),
  after: (ms, callback) => {
    // A time that is over by now is negative, of which Node.js warns.
    const timer = setTimeout(callback, Math.max(0, ms));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`, or at once when `signal` aborts. */
export function sleep(clock: FleetClock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve();
    const done = () => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal.addEventListener('abort', done);
  });
}

/** A controller of its own that aborts with the first of `signals` too, until `unlink` is called. */
export function linkedAbort(...signals: readonly AbortSignal[]): {
  readonly controller: AbortController;
  readonly signal: AbortSignal;
  readonly unlink: () => void;
} {
  const controller = new AbortController();
  const stop = () => controller.abort();
  for (const signal of signals) {
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
  }
  const unlink = () => {
    for (const signal of signals) signal.removeEventListener('abort', stop);
  };
  return { controller, signal: controller.signal, unlink };
}

/** Thrown out of a wait whose signal aborted; only whoever gave the signal sees it. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
}

/** `work`, or a rejection with `Stopped` as soon as `signal` aborts; the work itself goes on unheard. */
export function unlessStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      signal.removeEventListener('abort', stop);
      reject(new Stopped('stopped'));
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop);
    work.then(
      value => {
        signal.removeEventListener('abort', stop);
        resolve(value);
      },
      error => {
        signal.removeEventListener('abort', stop);
        reject(error);
      },
    );
  });
}

/** Wakes the one loop that waits at it. A ring that finds nobody waiting is remembered. */
export class Bell {
  readonly #clock: FleetClock;
  #rung = false;
  #wake: (() => void) | undefined;

  constructor(clock: FleetClock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Resolves when the bell rings, after `ms`, or when `signal` aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        cancel?.();
        signal.removeEventListener('abort', done);
        this.#wake = undefined;
        this.#rung = false;
        resolve();
      };
      let cancel: (() => void) | undefined;
      if (this.#rung || signal.aborted) return done();
      this.#wake = done;
      signal.addEventListener('abort', done);
      if (Number.isFinite(ms)) cancel = this.#clock.after(ms, done);
    });
  }
}

/** Pauses before attempts: a random part of a time that doubles with every failure ("full jitter"). */
export class Backoff {
  readonly #random: Random;
  readonly #firstMs: number;
  readonly #longestMs: number;
  #failureCount = 0;

  constructor(random: Random, { firstMs, longestMs }: { firstMs: number; longestMs: number }) {
    this.#random = random;
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
  }

  /** The pause after one more failure. */
  nextMs(): number {
    const ceilingMs = Math.min(this.#longestMs, this.#firstMs * 2 ** Math.min(this.#failureCount++, 30));
    return 1 + ceilingMs * this.#random();
  }

  worked(): void {
    this.#failureCount = 0;
  }
}

/** Runs one piece of work at a time, in the order of the calls. */
export class Exclusive {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    // Whoever called hears of the error; the one behind it has nothing to do with it.
    this.#last = result.catch(() => undefined);
    return result;
  }
}
