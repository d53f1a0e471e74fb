/**
 * A thread of the server that is kept alive: started, and started again after a pause when it has ended
 * without having been told to. Main thread.
 */
import { Worker } from 'node:worker_threads';
import { inTime } from '../../workers/in-time.ts';
import { terminateOrLeave } from '../../workers/thread-end.ts';

/** Pauses before it is started again: doubled each time, until it has lived for a while. */
const PAUSE_FIRST_MS = 100;
const PAUSE_LONGEST_MS = 10_000;
const SETTLED_MS = 30_000;
/** Ends in a row after which it is not started again: something is wrong that starting does not heal. */
const ENDS_MAX = 12;
/** To load its modules, on the slowest machine, and to listen. */
const START_LIMIT_MS = 60_000;
/** One that is told to end and does not hangs in a call of the system. */
const END_LIMIT_MS = 5_000;
/** At the deadline of a shutdown there is no time to wait. */
const LAST_END_LIMIT_MS = 300;

/** What every such thread says of itself, beside what it is there for. */
export type LifeMessage =
  | { readonly kind: 'listening'; readonly url: string | undefined }
  | { readonly kind: 'failed'; readonly detail: string };

export type Post<ToThread> = (message: ToThread, transfer?: ArrayBuffer[]) => void;

export interface KeptThreadOptions<ToThread, FromThread> {
  /** `an HTTP thread`: in what is said of it. */
  readonly title: string;
  readonly name: string;
  /** Its entry file. */
  readonly url: URL;
  /** Made anew for each start. */
  readonly data: () => unknown;
  /** `post`: to the thread that has spoken, which may be another one by the time of the answer. */
  readonly onMessage: (message: FromThread, post: Post<ToThread>) => void;
  /** It has ended, told to or not. */
  readonly onExit: () => void;
  /** It had listened, and has ended without having been told to; `again`: it is started again. */
  readonly onEnd: (reason: string, again: boolean) => void;
  /** It was started again, and listens. */
  readonly onBack: () => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class KeptThread<ToThread, FromThread> {
  readonly #options: KeptThreadOptions<ToThread, FromThread>;
  #worker: Worker | undefined;
  #startedAtMs = 0;
  #ends = 0;
  #restarts = 0;
  #restart: NodeJS.Timeout | undefined;
  #stopping = false;
  #failure: string | undefined;
  #isListening = false;
  /** It has listened once: then it is kept alive. */
  #hasListened = false;
  /** It hangs where nobody can end it. */
  #isLeft = false;

  constructor(options: KeptThreadOptions<ToThread, FromThread>) {
    this.#options = options;
  }

  /** It has come to listen, and has not ended. */
  get isListening(): boolean {
    return this.#isListening;
  }

  /** Times that it was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Resolves when it listens, with the URL that it says. Rejects when it ends instead. */
  async start(): Promise<string | undefined> {
    const { title, now, onMessage } = this.#options;
    this.#startedAtMs = now();
    this.#failure = undefined;
    const worker = this.#newWorker();
    const late = setTimeout(
      () => this.replace(`it has not listened for ${START_LIMIT_MS} ms`),
      START_LIMIT_MS,
    );
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
    worker.on('message', (message: LifeMessage | FromThread) => {
      if (!isLifeMessage(message)) {
        onMessage(message, (answer, transfer = []) => worker.postMessage(answer, transfer));
      } else if (message.kind === 'failed') {
        this.#failure = message.detail;
      } else {
        clearTimeout(late);
        this.#isListening = true;
        if (this.#hasListened) this.#options.onBack();
        this.#hasListened = true;
        resolve(message.url);
      }
    });
    worker.on('error', error => {
      this.#failure = (error as Error).message;
    });
    worker.once('exit', code => {
      clearTimeout(late);
      const reason = this.#failure ?? `it ended with code ${code}`;
      this.#exited(reason);
      reject(new Error(`${title} does not listen: ${reason}`));
    });
    return promise;
  }

  post(message: ToThread): void {
    this.#worker?.postMessage(message);
  }

  /** Sends `last`, and lets it end; at the latest after `deadlineMs`. */
  async drain(last: ToThread, deadlineMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise<void>(resolve => worker.once('exit', () => resolve()));
    this.post(last);
    if (await inTime(ended, deadlineMs)) return;
    await this.#terminate(LAST_END_LIMIT_MS);
  }

  /** Ends it at once. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    await this.#terminate(END_LIMIT_MS);
  }

  #newWorker(): Worker {
    const { name, url, data } = this.#options;
    try {
      this.#worker = new Worker(url, {
        name,
        workerData: data(),
        // Those of the program are about its own entry.
        argv: [],
        execArgv: [],
      });
      return this.#worker;
    } catch (error) {
      this.#exited((error as Error).message);
      throw error;
    }
  }

  /** One that could not be ended is left, and not waited for again. */
  async #terminate(limitMs: number): Promise<void> {
    if (this.#worker === undefined || this.#isLeft) return;
    this.#isLeft = !(await terminateOrLeave(this.#worker, this.#options.title, limitMs));
  }

  /** Ends it, for another one to be started. */
  replace(reason: string): void {
    this.#failure = reason;
    void this.#terminate(END_LIMIT_MS);
  }

  #exited(reason: string): void {
    this.#worker = undefined;
    this.#isLeft = false;
    this.#isListening = false;
    this.#options.onExit();
    // Whoever started it for the first time hears that it does not listen.
    if (this.#stopping || !this.#hasListened) return;
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

function isLifeMessage(message: unknown): message is LifeMessage {
  const { kind } = message as LifeMessage;
  return kind === 'listening' || kind === 'failed';
}
