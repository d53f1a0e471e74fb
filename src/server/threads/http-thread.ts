/**
 * One HTTP thread beside the main one, as the main thread sees it: started, started again after a pause when
 * it has ended, told what changes, and added to the sums. Main thread.
 */
import { Worker } from 'node:worker_threads';
import { emptyReport, endedReport, summedReport, type ThreadReport } from '../thread-report.ts';
import type { HttpThreadData, MessageFromThread, MessageToThread } from './thread-messages.ts';
import { HTTP_THREAD_URL } from './thread-url.ts';

/** Pauses before it is started again: doubled each time, until it has lived for a while. */
const PAUSE_FIRST_MS = 100;
const PAUSE_LONGEST_MS = 10_000;
const SETTLED_MS = 30_000;
/** Ends in a row after which it is not started again: something is wrong that starting does not heal. */
const ENDS_MAX = 12;
const REPORT_TIMEOUT_MS = 250;

export interface HttpThreadOptions {
  readonly name: string;
  /** Made anew for each start. */
  readonly data: () => HttpThreadData;
  readonly onMessage: (
    message: MessageFromThread,
    reply: (answer: MessageToThread, transfer?: ArrayBuffer[]) => void,
  ) => void;
  /** It has ended without having been told to; `again`: it is started again. */
  readonly onEnd: (reason: string, again: boolean) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class HttpThread {
  readonly #options: HttpThreadOptions;
  #worker: Worker | undefined;
  #startedAtMs = 0;
  #ends = 0;
  #restarts = 0;
  #restart: NodeJS.Timeout | undefined;
  #stopping = false;
  #report: ThreadReport | undefined;
  /** Of the threads before the one that lives. */
  #ended: ThreadReport | undefined;
  /** Those who wait for a report; each for a moment only. */
  readonly #awaitingReport = new Set<() => void>();
  #asked = false;
  #failure: string | undefined;

  constructor(options: HttpThreadOptions) {
    this.#options = options;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Resolves when it listens. Rejects when it ends instead. */
  start(): Promise<void> {
    const worker = new Worker(HTTP_THREAD_URL, {
      name: this.#options.name,
      workerData: this.#options.data(),
      // Those of the program are about its own entry.
      argv: [],
      execArgv: [],
    });
    this.#worker = worker;
    this.#startedAtMs = this.#options.now();
    this.#failure = undefined;
    return new Promise((resolve, reject) => {
      worker.on('message', (message: MessageFromThread) => {
        if (message.kind === 'listening') resolve();
        else this.#heard(worker, message);
      });
      worker.on('error', error => {
        this.#failure = (error as Error).message;
      });
      worker.once('exit', code => {
        const reason = this.#failure ?? `it ended with code ${code}`;
        this.#exited(reason);
        reject(new Error(`an HTTP thread does not listen: ${reason}`));
      });
    });
  }

  post(message: MessageToThread): void {
    this.#worker?.postMessage(message);
  }

  /** What it has counted, up to now when it answers in time; zeros when nothing was ever heard of it. */
  async report(): Promise<ThreadReport> {
    if (this.#worker !== undefined) await this.#heardOrLate();
    const parts = [this.#report, this.#ended].filter(part => part !== undefined);
    return parts.length === 0 ? emptyReport() : summedReport(parts);
  }

  /** One question is under way at a time, for all who ask: a thread that is stuck gathers no more of them. */
  #heardOrLate(): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer);
        this.#awaitingReport.delete(done);
        resolve();
      };
      const timer = setTimeout(done, REPORT_TIMEOUT_MS);
      this.#awaitingReport.add(done);
      if (this.#asked) return;
      this.#asked = true;
      this.post({ kind: 'report' });
    });
  }

  #stopAwaiting(): void {
    this.#asked = false;
    for (const done of this.#awaitingReport) done();
  }

  /** Lets it answer what is under way, and end; at the latest after `deadlineMs`. */
  async drain(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise<void>(resolve => worker.once('exit', () => resolve()));
    this.post({ kind: 'phase', phase: 'closing' });
    const timer = setTimeout(() => void worker.terminate(), deadlineMs);
    await ended;
    clearTimeout(timer);
  }

  /** Ends it at once. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    await this.#worker?.terminate();
  }

  #heard(worker: Worker, message: MessageFromThread): void {
    if (message.kind === 'report') {
      this.#report = message.report;
      this.#stopAwaiting();
    } else if (message.kind === 'failed') {
      this.#failure = message.detail;
    } else {
      this.#options.onMessage(message, (answer, transfer = []) => worker.postMessage(answer, transfer));
    }
  }

  #exited(reason: string): void {
    this.#worker = undefined;
    this.#stopAwaiting();
    if (this.#report !== undefined) {
      const ended = endedReport(this.#report);
      this.#ended = this.#ended === undefined ? ended : summedReport([this.#ended, ended]);
      this.#report = undefined;
    }
    if (this.#stopping) return;
    if (this.#options.now() - this.#startedAtMs > SETTLED_MS) this.#ends = 0;
    this.#ends++;
    const again = this.#ends <= ENDS_MAX;
    this.#options.onEnd(reason, again);
    if (again) this.#startLater(Math.min(PAUSE_FIRST_MS * 2 ** (this.#ends - 1), PAUSE_LONGEST_MS));
  }

  #startLater(ms: number): void {
    this.#restart = setTimeout(() => {
      this.#restarts++;
      // Its end is heard, and said, whatever becomes of the start.
      this.start().catch(() => undefined);
    }, ms);
  }
}
