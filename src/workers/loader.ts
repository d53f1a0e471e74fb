/**
 * The loader as its owner sees it: starts the loader thread, starts it again when it dies, passes demands on, keeps its
 * last status. A new loader thread starts only after the old one's `exit` event, so that there is never a second writer.
 */
import { Worker } from 'node:worker_threads';
import { type ErrorData, errorData } from '../engine/errors.ts';
import type {
  LoaderStatus,
  LoaderWorkerData,
  MessageFromLoader,
  MessageToLoader,
  RefreshResult,
} from './messages.ts';
import { LOADER_WORKER_URL } from './worker-urls.ts';

/** Wait before a dead loader is started again: doubles with every death, starts over with a successful load. */
const RESTART_FIRST_MS = 100;
const RESTART_LONGEST_MS = 30_000;
/** Time a loader has to end by itself before it is terminated. */
const STOP_TIMEOUT_MS = 5_000;
/** Demands that may wait for an answer at once. */
const DEMANDS_MAX = 1_000;

export class Loader {
  readonly #data: LoaderWorkerData;
  readonly #listeners = new Set<(status: LoaderStatus) => void>();
  readonly #demands = new Map<number, (result: RefreshResult) => void>();
  #worker: Worker | undefined;
  #nextRequestId = 1;
  #status: LoaderStatus;
  /** Counts of loader threads that are gone. */
  #before = { succeeded: 0, failed: 0 };
  #restarts = 0;
  #deathsSinceSuccess = 0;
  #restartTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(data: LoaderWorkerData, sourceDescription: string) {
    this.#data = data;
    this.#status = {
      state: 'starting',
      source: sourceDescription,
      refreshes: { succeeded: 0, failed: 0 },
      restarts: 0,
    };
  }

  run(): void {
    const worker = new Worker(LOADER_WORKER_URL, {
      name: 'sortition-loader',
      workerData: this.#data,
      env: postgresEnvironment(),
    });
    this.#worker = worker;
    let lastError: unknown;
    worker.on('message', (message: MessageFromLoader) => this.#receive(message));
    worker.on('error', error => {
      lastError = error;
    });
    worker.once('exit', exitCode => this.#exited(exitCode, lastError));
  }

  status(): LoaderStatus {
    return this.#status;
  }

  onStatus(listener: (status: LoaderStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Thread id of the living loader thread, or `undefined` between two of them. */
  get threadId(): number | undefined {
    return this.#worker?.threadId;
  }

  refresh(acceptDrop: boolean): Promise<RefreshResult> {
    const worker = this.#worker;
    if (this.#stopped) return refused({ code: 'CACHE_CLOSED', message: 'the cache is closed' });
    if (worker === undefined)
      return refused({ code: 'LOADER_LOST', message: 'the loader is being started again' });
    if (this.#demands.size >= DEMANDS_MAX) {
      return refused({ code: 'OVERLOADED', message: `${DEMANDS_MAX} refreshes are waiting already` });
    }
    const requestId = this.#nextRequestId++;
    return new Promise(resolve => {
      this.#demands.set(requestId, resolve);
      worker.postMessage({ kind: 'refresh', requestId, acceptDrop } satisfies MessageToLoader);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#restartTimer);
    const worker = this.#worker;
    if (worker !== undefined) {
      const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()));
      const timer = setTimeout(() => void worker.terminate(), STOP_TIMEOUT_MS);
      worker.postMessage({ kind: 'stop' } satisfies MessageToLoader);
      await exited;
      clearTimeout(timer);
    }
    this.#settleAll({ code: 'CACHE_CLOSED', message: 'the cache was closed' });
    this.#become({ ...this.#status, state: 'stopped' });
  }

  #receive(message: MessageFromLoader): void {
    if (message.kind === 'refreshed') {
      this.#demands.get(message.requestId)?.(message.result);
      this.#demands.delete(message.requestId);
      return;
    }
    const { status } = message;
    if (status.refreshes.succeeded > 0) this.#deathsSinceSuccess = 0;
    // A fresh loader thread does not know the load of its predecessor, which readers still use.
    const lastLoad = status.lastLoad ?? this.#status.lastLoad;
    this.#become({
      ...status,
      restarts: this.#restarts,
      refreshes: {
        succeeded: this.#before.succeeded + status.refreshes.succeeded,
        failed: this.#before.failed + status.refreshes.failed,
      },
      ...(lastLoad === undefined ? {} : { lastLoad }),
    });
  }

  #exited(exitCode: number, error: unknown): void {
    this.#worker = undefined;
    if (this.#stopped) return;
    const cause =
      error === undefined ? `it exited with code ${exitCode}` : errorData(error, 'LOADER_LOST').message;
    const lost: ErrorData = { code: 'LOADER_LOST', message: `the loader thread ended: ${cause}` };
    this.#settleAll(lost);
    this.#before = this.#status.refreshes;
    this.#deathsSinceSuccess++;
    this.#restarts++;
    const waitMs = Math.min(RESTART_LONGEST_MS, RESTART_FIRST_MS * 2 ** (this.#deathsSinceSuccess - 1));
    this.#become({
      ...this.#status,
      state: 'restarting',
      restarts: this.#restarts,
      lastError: { ...lost, at: new Date().toISOString(), consecutive: this.#deathsSinceSuccess },
      nextLoadInMs: waitMs,
    });
    this.#restartTimer = setTimeout(() => this.run(), waitMs);
  }

  #settleAll(error: ErrorData): void {
    for (const resolve of this.#demands.values()) resolve({ ok: false, error });
    this.#demands.clear();
  }

  #become(status: LoaderStatus): void {
    this.#status = status;
    for (const listener of this.#listeners) listener(status);
  }
}

function refused(error: ErrorData): Promise<RefreshResult> {
  return Promise.resolve({ ok: false, error });
}

/** The loader gets what `pg` reads from the environment and no other secret of the program. */
function postgresEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('PG')));
}
