/**
 * Requests for the worker pool, gathered into tasks: a round trip costs 13 to 80 µs, more than several
 * selections. The requests of one event-loop turn go as one task of a format; while every worker has one, all
 * that comes gathers for the next, so that tasks grow with the load instead of queueing. HTTP thread only.
 * What the pool refuses, loses or sits on is answered in place, and so is what comes when too many wait.
 */
import type { EncodedFormat, SelectionRequest } from '../../engine/selection/selection-types.ts';
import type { PoolAnswer, SelectionPool } from '../../workers/worker-pool.ts';

/**
 * Called once: with the pool's answer, or with `undefined` when the pool has none and the caller must do
 * without.
 */
export type Deliver = (answer: PoolAnswer | undefined) => void;

export interface TurnBatchLimits {
  /** Tasks under way at once. */
  readonly tasksMax: number;
  /** Requests that may gather for the next task. */
  readonly waitingMax: number;
  /** How long a task may take before its requests are answered without it. */
  readonly timeoutMs: number;
}

interface Waiting {
  readonly request: SelectionRequest;
  readonly deliver: Deliver;
}

const OTHER: Readonly<Record<EncodedFormat, EncodedFormat>> = { json: 'messagepack', messagepack: 'json' };

export class TurnBatch {
  readonly #workerPool: Pick<SelectionPool, 'run'>;
  readonly #limits: TurnBatchLimits;
  readonly #waiting: Record<EncodedFormat, Waiting[]> = { json: [], messagepack: [] };
  #waitingCount = 0;
  #next: EncodedFormat = 'json';
  #tasks = 0;
  #scheduled = false;

  constructor(workerPool: Pick<SelectionPool, 'run'>, limits: TurnBatchLimits) {
    this.#workerPool = workerPool;
    this.#limits = limits;
  }

  /** Requests that gather for the next task. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  add(format: EncodedFormat, request: SelectionRequest, deliver: Deliver): void {
    if (this.#waitingCount >= this.#limits.waitingMax) {
      deliver(undefined);
      return;
    }
    this.#waiting[format].push({ request, deliver });
    this.#waitingCount++;
    if (this.#tasks < this.#limits.tasksMax) this.#schedule();
  }

  /** Immediates run after all sockets of the turn have been read. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      // In turns, so that neither format waits for the other to fall silent.
      for (const format of [this.#next, OTHER[this.#next]]) {
        if (this.#tasks < this.#limits.tasksMax && this.#waiting[format].length > 0) this.#send(format);
      }
    });
  }

  #send(format: EncodedFormat): void {
    const batch = this.#waiting[format];
    this.#waiting[format] = [];
    this.#waitingCount -= batch.length;
    this.#tasks++;
    this.#next = OTHER[format];
    let settled = false;
    const settle = (answers: readonly PoolAnswer[] | undefined) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      this.#tasks--;
      // The next task first: its worker computes while these answers are written.
      if (this.#waitingCount > 0) this.#schedule();
      for (const [index, { deliver }] of batch.entries()) deliver(answers?.[index]);
    };
    const timer = setTimeout(() => settle(undefined), this.#limits.timeoutMs);
    this.#workerPool
      .run(
        format,
        batch.map(({ request }) => request),
      )
      // Whatever is wrong with the pool, its status counts it, and each request is answered in place.
      .then(settle, () => settle(undefined));
  }
}
