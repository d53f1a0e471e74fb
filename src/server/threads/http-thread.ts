/**
 * One HTTP thread beside the main one, as the main thread sees it: kept alive, replaced when it hangs, told
 * what changes, and added to the sums. Main thread.
 */
import { inTime } from '../../workers/in-time.ts';
import { isDebugged } from '../inspection.ts';
import { emptyReport, endedReport, summedReport, type ThreadReport } from '../thread-report.ts';
import { KeptThread, type LifeMessage, type Post } from './kept-thread.ts';
import type { HttpThreadData, MessageFromThread, MessageToThread } from './thread-messages.ts';
import { HTTP_THREAD_URL } from './thread-url.ts';

const REPORT_TIMEOUT_MS = 250;

type FromThread = Exclude<MessageFromThread, LifeMessage>;

export interface HttpThreadOptions {
  readonly name: string;
  /** Made anew for each start. */
  readonly data: () => HttpThreadData;
  readonly onMessage: (message: FromThread, reply: Post<MessageToThread>) => void;
  /** It has ended without having been told to; `again`: it is started again. */
  readonly onEnd: (reason: string, again: boolean) => void;
  /** It was started again, and listens. */
  readonly onBack: () => void;
  /** It hangs, and is about to be replaced. */
  readonly onHang: (reason: string) => void;
  /** Looks in a row (`look`) that find it silent, after which it is replaced; 0: never. */
  readonly silentLooksMax: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class HttpThread {
  readonly #options: HttpThreadOptions;
  readonly #thread: KeptThread<MessageToThread, FromThread>;
  #silentLooks = 0;
  #isBeingReplaced = false;
  #report: ThreadReport | undefined;
  /** Of the threads before the one that lives. */
  #ended: ThreadReport | undefined;
  /** Those who wait for a report; each for a moment only. */
  readonly #awaitingReport = new Set<() => void>();
  #asked = false;
  #refuses: (() => void) | undefined;

  constructor(options: HttpThreadOptions) {
    const { name, data, onBack, onEnd, now } = options;
    this.#options = options;
    this.#thread = new KeptThread({
      title: 'an HTTP thread',
      name,
      url: HTTP_THREAD_URL,
      data,
      onMessage: (message, reply) => this.#heard(message, reply),
      onExit: () => this.#exited(),
      onEnd,
      onBack,
      now,
    });
  }

  get restarts(): number {
    return this.#thread.restarts;
  }

  /** Resolves when it listens. Rejects when it ends instead. */
  async start(): Promise<void> {
    await this.#thread.start();
  }

  post(message: MessageToThread): void {
    this.#thread.post(message);
  }

  /**
   * Called every second: replaces a thread that reports nothing any more. The kernel goes on giving
   * connections to one that hangs, and nobody answers them. Counted in looks: a main thread that has stood
   * still has heard nobody.
   */
  look(): void {
    const { onHang, silentLooksMax } = this.#options;
    const isWatched = this.#thread.isListening && silentLooksMax > 0 && !isDebugged();
    if (!isWatched || this.#isBeingReplaced || ++this.#silentLooks <= silentLooksMax) return;
    const reason = `its event loop has stood still for ${silentLooksMax} s`;
    this.#isBeingReplaced = true;
    onHang(reason);
    this.#thread.replace(reason);
  }

  /** What it has counted, up to now when it answers in time; zeros when nothing was ever heard of it. */
  async report(): Promise<ThreadReport> {
    if (this.#thread.isListening) await this.#heardOrLate();
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

  /** Lets it take no more connections. Resolves when it takes none, or after `limitMs`. */
  async refuse(limitMs: number): Promise<void> {
    if (!this.#thread.isListening) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#refuses = resolve;
    this.post({ kind: 'phase', phase: 'refusing' });
    await inTime(promise, limitMs);
  }

  /** Lets it answer what is under way, and end; at the latest after `deadlineMs`. */
  async drain(deadlineMs: number): Promise<void> {
    await this.#thread.drain({ kind: 'phase', phase: 'closing' }, deadlineMs);
  }

  /** Ends it at once. */
  async stop(): Promise<void> {
    await this.#thread.stop();
  }

  #heard(message: FromThread, reply: Post<MessageToThread>): void {
    this.#silentLooks = 0;
    if (message.kind === 'report') {
      this.#report = message.report;
      this.#stopAwaiting();
    } else if (message.kind === 'refusing') {
      this.#refuses?.();
    } else {
      this.#options.onMessage(message, reply);
    }
  }

  #exited(): void {
    this.#silentLooks = 0;
    this.#isBeingReplaced = false;
    this.#stopAwaiting();
    this.#refuses?.();
    if (this.#report === undefined) return;
    const ended = endedReport(this.#report);
    this.#ended = this.#ended === undefined ? ended : summedReport([this.#ended, ended]);
    this.#report = undefined;
  }
}
