/**
 * The selection worker pool on Piscina: for batches and heavy requests, whose work would hold an event loop
 * too long. Fixed threads, a bounded queue, a deadline a task, errors as data. A worker that dies costs its
 * own task and is replaced; its reader seat is freed when its thread has ended.
 */
import { fileURLToPath } from 'node:url';
import { FixedQueue, Piscina } from 'piscina';
import { encodedBytesMax } from '../engine/encoding/encode.ts';
import { CacheError, type ErrorData } from '../engine/errors.ts';
import {
  callFillers,
  fillerCalls,
  type RingMemory,
  type RingWords,
  sharedRingWords,
} from '../engine/prepared/ring.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  SelectionRequest,
} from '../engine/selection/selection-types.ts';
import type { Cache } from './cache-types.ts';
import type { SelectionTask, SelectionTaskResult, TendOrder, TendResult, TendTask } from './messages.ts';
import type { SelectionWorkerData } from './selection-worker-data.ts';
import { terminateOrLeave } from './thread-end.ts';
import { SELECTION_WORKER_URL } from './worker-urls.ts';

export interface SelectionPoolOptions {
  readonly threads: number;
  /** Tasks that may wait for a worker. */
  readonly queueMax: number;
  /** A task that takes longer loses its worker. 10,000 by default. */
  readonly taskTimeoutMs?: number;
  /** What `tend` keeps full. None by default: it then fills nothing. */
  readonly rings?: RingMemory | undefined;
}

/**
 * An answer of the pool. `bytes` are private to the caller, with the room of BATCH_ROOM around those of a
 * `run`: they lie one behind the other where no answer is an error.
 */
export type PoolAnswer =
  | ({ readonly ok: true; readonly bytes: Uint8Array<ArrayBuffer> } & Omit<EncodedSelection, 'bytes'>)
  | { readonly ok: false; readonly error: ErrorData };

export interface SelectionPoolStatus {
  readonly threads: number;
  readonly queued: number;
  readonly tasks: number;
  /** Tasks that failed because their worker died or missed the deadline. */
  readonly lost: number;
}

export interface SelectionPool {
  /** One answer a request, in order. Throws OVERLOADED (nothing was queued), WORKER_LOST, CACHE_CLOSED. */
  run(format: EncodedFormat, requests: readonly SelectionRequest[]): Promise<readonly PoolAnswer[]>;
  /** Throws OVERLOADED when `run` would, as far as this thread knows: for who has not read what is asked. */
  refuseWhenFull(): void;
  /** Has a worker keep rings full. Comes to an end early when a `run` waits for it. Throws as `run`. */
  tend(order: TendOrder): Promise<TendResult>;
  status(): SelectionPoolStatus;
  close(): Promise<void>;
}

const DEFAULT_TASK_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** For the end of a worker that has thrown. */
const END_TIMEOUT_MS = 10_000;
/** Heap of one worker; snapshots are shared memory and do not count. */
const WORKER_HEAP_MB = 256;

/** Starts the workers and resolves when all of them have answered once. */
export async function openSelectionPool(cache: Cache, options: SelectionPoolOptions): Promise<SelectionPool> {
  const pool = new PiscinaPool(cache, options);
  await pool.warmUp();
  return pool;
}

class PiscinaPool implements SelectionPool {
  readonly #piscina: Piscina<SelectionTask | TendTask, SelectionTaskResult | TendResult>;
  readonly #options: SelectionPoolOptions;
  readonly #bytesMax: number;
  readonly #ringWords: RingWords | undefined;
  /** Tasks that have been given and are not done, by kind. */
  #tending = 0;
  #running = 0;
  #tasks = 0;
  #lost = 0;
  #closed = false;

  constructor(cache: Cache, options: SelectionPoolOptions) {
    const handle = cache.handle();
    const { limits } = handle.settings;
    this.#options = options;
    this.#ringWords = options.rings === undefined ? undefined : sharedRingWords(options.rings).words;
    this.#bytesMax = encodedBytesMax('json', limits.countMax);
    this.#piscina = new Piscina({
      filename: fileURLToPath(SELECTION_WORKER_URL),
      name: 'answer',
      minThreads: options.threads,
      maxThreads: options.threads,
      // Fixed threads: none is ever idle long enough to be ended.
      idleTimeout: Number.POSITIVE_INFINITY,
      // Our own bound refuses first, with a code; theirs stands behind it.
      maxQueue: options.queueMax + options.threads,
      concurrentTasksPerWorker: 1,
      atomics: 'sync',
      resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
      argv: [],
      // Those of the program are about its own entry.
      execArgv: [],
      env: {},
      workerData: { cache: handle, rings: options.rings } satisfies SelectionWorkerData,
      taskQueue: new FixedQueue(),
      trackUnmanagedFds: false,
      closeTimeout: CLOSE_TIMEOUT_MS,
      recordTiming: false,
      stricterFIFO: false,
      workerHistogram: false,
    });
    // Piscina reports here what it also rejects its tasks with; without a listener it would end the process.
    this.#piscina.on('error', () => {});
    this.#piscina.on('workerCreate', ({ id }: { readonly id: number }) => this.#seeToEnd(id));
  }

  /** Piscina orders once that a worker ends that has thrown, which is not always enough. */
  #seeToEnd(threadId: number): void {
    const worker = this.#piscina.threads.find(thread => thread.threadId === threadId);
    worker?.once('error', () => void terminateOrLeave(worker, 'a selection worker', END_TIMEOUT_MS));
  }

  async warmUp(): Promise<void> {
    const hello: SelectionTask = { format: 'json', requests: [], bytesMax: this.#bytesMax };
    await Promise.all(Array.from({ length: this.#options.threads }, () => this.#piscina.run(hello)));
  }

  async run(format: EncodedFormat, requests: readonly SelectionRequest[]): Promise<readonly PoolAnswer[]> {
    const task: SelectionTask = { format, requests, bytesMax: this.#bytesMax };
    const busy = this.#running + this.#tending;
    // Nobody is free: whoever keeps rings full comes away, also one that is still to begin.
    if (this.#ringWords !== undefined && this.#tending > 0 && busy >= this.#options.threads) {
      callFillers(this.#ringWords);
    }
    this.#running++;
    try {
      return cut((await this.#answer('answer', task)) as SelectionTaskResult);
    } finally {
      this.#running--;
    }
  }

  async tend(order: TendOrder): Promise<TendResult> {
    // Now, not when the worker begins: a call in between is for this task too.
    const calls = this.#ringWords === undefined ? 0 : fillerCalls(this.#ringWords);
    this.#tending++;
    try {
      return (await this.#answer('tend', { ...order, calls })) as TendResult;
    } finally {
      this.#tending--;
    }
  }

  refuseWhenFull(): void {
    if (this.#piscina.queueSize < this.#options.queueMax) return;
    throw new CacheError('OVERLOADED', `${this.#options.queueMax} tasks wait for a selection worker`);
  }

  status(): SelectionPoolStatus {
    const { threads, queueSize } = this.#piscina;
    return { threads: threads.length, queued: queueSize, tasks: this.#tasks, lost: this.#lost };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#piscina.close({ force: false });
  }

  /** `name`: the function of the worker. */
  async #answer(
    name: 'answer' | 'tend',
    task: SelectionTask | TendTask,
  ): Promise<SelectionTaskResult | TendResult> {
    if (this.#closed) throw new CacheError('CACHE_CLOSED', 'the selection workers are closed');
    this.refuseWhenFull();
    this.#tasks++;
    const deadline = new AbortController();
    const timeoutMs = this.#options.taskTimeoutMs ?? DEFAULT_TASK_TIMEOUT_MS;
    const timer = setTimeout(() => deadline.abort(), timeoutMs);
    try {
      return await this.#piscina.run(task, { name, signal: deadline.signal });
    } catch (cause) {
      this.#lost++;
      const reason = deadline.signal.aborted ? `took longer than ${timeoutMs} ms` : (cause as Error).message;
      throw new CacheError('WORKER_LOST', `a task of the selection workers failed: ${reason}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }
}

function cut(result: SelectionTaskResult): PoolAnswer[] {
  return result.answers.map(answer => {
    if (!answer.ok) return answer;
    const { start, end, ...rest } = answer;
    return { ...rest, bytes: result.bytes.subarray(start, end) };
  });
}
