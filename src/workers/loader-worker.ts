/**
 * Entry of the loader thread: the one thread that writes snapshots. Loads on an interval with jitter and on
 * demand, one load at a time; after a failure it tries again with backoff. Says every change of its state to
 * the thread above.
 *
 * States: starting → loading ⇄ waiting (after a success) or backing-off (after a failure) → stopped.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { AssertionError, assert } from '../engine/assert.ts';
import { CacheError, type ErrorData } from '../engine/errors.ts';
import { placementPlan } from '../engine/placement/placement-plan.ts';
import { Publisher, sharedControlWords } from '../engine/publication.ts';
import { slotLayout } from '../engine/shared-memory.ts';
import { BuildMemory } from '../engine/snapshot/build-memory.ts';
import { monotonicMs } from './clock.ts';
import { type LoadContext, loadFailure, runLoadCycle } from './load-cycle.ts';
import type {
  FailureReport,
  LoaderState,
  LoaderStatus,
  LoaderWorkerData,
  LoadReport,
  MessageFromLoader,
  MessageToLoader,
  RefreshResult,
} from './messages.ts';
import { openSource } from './source/open-source.ts';
import { SourceReader } from './source-reader.ts';

/** Shortest time between the end of a load and the start of the next planned one. */
const PAUSE_SHORTEST_MS = 10;

class LoaderThread {
  readonly #port: MessagePort;
  readonly #context: LoadContext;
  #state: LoaderState = 'starting';
  #succeeded = 0;
  #failed = 0;
  #consecutive = 0;
  #lastLoad: LoadReport | undefined;
  #lastError: FailureReport | undefined;
  #timer: NodeJS.Timeout | undefined;
  #nextLoadInMs: number | undefined;
  #startedMs = 0;
  /** Requests that the running load answers, and those that came too late for it: they get the one after. */
  #waiting: number[] = [];
  #acceptDrop = false;
  #stopping = new AbortController();

  constructor(port: MessagePort, context: LoadContext) {
    this.#port = port;
    this.#context = context;
  }

  run(): void {
    this.#port.on('message', (message: MessageToLoader) => {
      if (message.kind === 'stop') void this.#stop();
      else this.#demand(message.requestId, message.acceptDrop);
    });
    void this.#load();
  }

  /**
   * A demand during a load waits for a load that begins after it: the running one may have read before the
   * change.
   */
  #demand(requestId: number, acceptDrop: boolean): void {
    this.#waiting.push(requestId);
    this.#acceptDrop ||= acceptDrop;
    if (this.#state === 'waiting' || this.#state === 'backing-off') void this.#load();
  }

  async #load(): Promise<void> {
    clearTimeout(this.#timer);
    const answers = this.#waiting;
    const acceptDrop = this.#acceptDrop;
    this.#waiting = [];
    this.#acceptDrop = false;
    this.#startedMs = monotonicMs();
    this.#enter('loading', undefined);
    const deadline = AbortSignal.timeout(this.#context.settings.refresh.timeoutMs);
    const signal = AbortSignal.any([deadline, this.#stopping.signal]);
    let result: RefreshResult;
    try {
      const report = await runLoadCycle(this.#context, { acceptDrop, signal });
      this.#succeed(report);
      result = { ok: true, report };
    } catch (error) {
      // A programmer's error: the thread ends, is replaced, and that shows.
      if (error instanceof AssertionError) return endByUncaught(error);
      const data = loadFailure(error, deadline, this.#context.settings.refresh.timeoutMs);
      this.#fail(data);
      result = { ok: false, error: data };
    }
    // The status goes first: whoever waited for the load finds it there.
    if (!this.#stopping.signal.aborted) this.#plan();
    for (const requestId of answers) this.#post({ kind: 'refreshed', requestId, result });
  }

  #succeed(report: LoadReport): void {
    this.#succeeded++;
    this.#consecutive = 0;
    this.#lastLoad = report;
    this.#lastError = undefined;
  }

  #fail(error: ErrorData): void {
    this.#failed++;
    this.#consecutive++;
    this.#lastError = { ...error, at: new Date().toISOString(), consecutive: this.#consecutive };
  }

  /** Plans the next load: at once when somebody asked meanwhile, else after the interval or the backoff. */
  #plan(): void {
    if (this.#waiting.length > 0) {
      void this.#load();
      return;
    }
    const { refresh } = this.#context.settings;
    const failed = this.#consecutive > 0;
    const ms = failed
      ? backoffMs(this.#consecutive, refresh.backoffFirstMs, refresh.backoffLongestMs)
      : Math.max(PAUSE_SHORTEST_MS, this.#intervalMs() - (monotonicMs() - this.#startedMs));
    this.#timer = setTimeout(() => void this.#load(), ms);
    this.#enter(failed ? 'backing-off' : 'waiting', Math.round(ms));
  }

  /** From the start of a load to the start of the next. */
  #intervalMs(): number {
    const { everyMs, jitterRatio } = this.#context.settings.refresh;
    return everyMs * (1 - jitterRatio * Math.random());
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stopping.abort(new CacheError('CACHE_CLOSED', 'the cache was closed'));
    await this.#context.source.close();
    this.#enter('stopped', undefined);
    this.#port.close();
  }

  #enter(state: LoaderState, nextLoadInMs: number | undefined): void {
    this.#state = state;
    this.#nextLoadInMs = nextLoadInMs;
    this.#post({ kind: 'status', status: this.#status() });
  }

  #status(): LoaderStatus {
    return {
      state: this.#state,
      source: this.#context.source.description,
      refreshes: { succeeded: this.#succeeded, failed: this.#failed },
      restarts: 0,
      ...(this.#lastLoad === undefined ? {} : { lastLoad: this.#lastLoad }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
      ...(this.#nextLoadInMs === undefined ? {} : { nextLoadInMs: this.#nextLoadInMs }),
    };
  }

  #post(message: MessageFromLoader): void {
    this.#port.postMessage(message);
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
function endByUncaught(error: Error): void {
  queueMicrotask(() => {
    throw error;
  });
}

const port = parentPort;
assert(port !== null, 'the loader runs as a worker thread');
const data = workerData as LoaderWorkerData;
const plan = placementPlan(data.reader);
const { words, seats } = sharedControlWords(data.control);
new LoaderThread(port, {
  source: new SourceReader(openSource(data.source)),
  publisher: new Publisher(words, seats),
  slots: data.slots,
  layout: slotLayout(data.reader.nodes, plan),
  plan,
  settings: data.load,
  buildMemory: new BuildMemory(data.reader.nodes, plan),
}).run();
