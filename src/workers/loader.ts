/**
 * The loader as its owner sees it: starts the loader thread, starts it again when it dies, passes demands on,
 * keeps its last status. A new loader thread starts only after the old one's `exit` event, so that there is
 * never a second writer.
 */
import { Worker } from 'node:worker_threads';
import { type ErrorData, errorData } from '../engine/errors.ts';
import type { RingMemory } from '../engine/prepared/ring.ts';
import { monotonicMs } from './clock.ts';
import { inTime } from './in-time.ts';
import type {
  FailureReport,
  LoaderAnswer,
  LoaderAnswers,
  LoaderQuestions,
  LoaderStatus,
  LoaderWorkerData,
  MessageFromLoader,
  MessageToLoader,
  RefreshResult,
} from './messages.ts';
import { terminateOrLeave } from './thread-end.ts';
import { LOADER_WORKER_URL } from './worker-urls.ts';

/**
 * Wait before a dead loader is started again: doubles with every death, starts over with a successful load.
 */
const RESTART_FIRST_MS = 100;
const RESTART_LONGEST_MS = 30_000;
/** Time a loader has to end by itself before it is terminated. */
const STOP_TIMEOUT_MS = 5_000;
/** Time it has after that. A thread that a system call holds does not end, and is left to the process. */
const TERMINATE_TIMEOUT_MS = 2_000;
/** Questions that may wait for an answer at once. */
const QUESTIONS_MAX = 1_000;

/** Code of the warning that a thread was left behind. */

export class Loader {
  readonly #data: Omit<LoaderWorkerData, 'held'>;
  /** What operators have revoked: the next thread goes on from it. */
  #held: LoaderWorkerData['held'] = [];
  readonly #listeners = new Set<(status: LoaderStatus) => void>();
  readonly #questions = new Map<number, (answer: LoaderAnswer<LoaderAnswers[keyof LoaderAnswers]>) => void>();
  /** What every loader thread has to know, also the next one. */
  readonly #rings: RingMemory[] = [];
  #worker: Worker | undefined;
  #nextRequestId = 1;
  #status: LoaderStatus;
  /** Counts of loader threads that are gone; each of their deaths is a failed refresh. */
  #before = { succeeded: 0, failed: 0 };
  #restarts = 0;
  #deathsSinceSuccess = 0;
  /** The last death, until a load succeeds. */
  #lost: FailureReport | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(data: Omit<LoaderWorkerData, 'held'>, sourceDescription: string) {
    this.#data = data;
    this.#status = {
      state: 'starting',
      source: sourceDescription,
      refreshes: { succeeded: 0, failed: 0 },
      restarts: 0,
      revoked: 0,
      deltas: { published: 0, failed: 0, takenOut: 0 },
    };
  }

  run(): void {
    if (this.#stopped) return;
    const worker = new Worker(LOADER_WORKER_URL, {
      name: 'sortition-loader',
      workerData: { ...this.#data, held: this.#held } satisfies LoaderWorkerData,
      env: postgresEnvironment(),
      // Those of the program (`--input-type`, `--eval`) are about its own entry.
      execArgv: [],
    });
    this.#worker = worker;
    let lastError: unknown;
    worker.on('message', (message: MessageFromLoader) => this.#receive(message));
    worker.on('error', error => {
      lastError = error;
    });
    worker.once('exit', exitCode => this.#exited(exitCode, lastError));
    for (const memory of this.#rings) worker.postMessage({ kind: 'rings', memory } satisfies MessageToLoader);
  }

  /** As the thread said it last; but what grows by itself is as of now. */
  status(): LoaderStatus {
    const { fleet } = this.#status;
    if (fleet?.readAtMs === undefined) return this.#status;
    return { ...this.#status, fleet: { ...fleet, ageMs: Math.max(0, monotonicMs() - fleet.readAtMs) } };
  }

  onStatus(listener: (status: LoaderStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Thread id of the living loader thread, or `undefined` between two of them. */
  get threadId(): number | undefined {
    return this.#worker?.threadId;
  }

  async refresh(acceptDrop: boolean): Promise<RefreshResult> {
    const answer = await this.ask('refresh', { acceptDrop });
    return answer.ok ? { ok: true, report: answer.value } : answer;
  }

  ask<K extends keyof LoaderQuestions>(
    kind: K,
    question: LoaderQuestions[K],
  ): Promise<LoaderAnswer<LoaderAnswers[K]>> {
    const worker = this.#worker;
    if (this.#stopped) return refused({ code: 'CACHE_CLOSED', message: 'the cache is closed' });
    if (worker === undefined)
      return refused({ code: 'LOADER_LOST', message: 'the loader is being started again' });
    if (this.#questions.size >= QUESTIONS_MAX) {
      return refused({ code: 'OVERLOADED', message: `${QUESTIONS_MAX} demands are waiting already` });
    }
    const requestId = this.#nextRequestId++;
    return new Promise(resolve => {
      // The thread answers each question by its own kind.
      this.#questions.set(requestId, resolve as (answer: LoaderAnswer<unknown>) => void);
      worker.postMessage({ kind, requestId, ...question });
    });
  }

  /** Has revocations counted for these rings too. */
  addRings(memory: RingMemory): void {
    this.#rings.push(memory);
    this.#worker?.postMessage({ kind: 'rings', memory } satisfies MessageToLoader);
  }

  /** Resolves at the latest after both timeouts. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#restartTimer);
    this.#settleAll({ code: 'CACHE_CLOSED', message: 'the cache was closed' });
    if (this.#worker !== undefined) await endThread(this.#worker);
    const { nextLoadInMs: _, ...status } = this.#status;
    this.#become({ ...status, state: 'stopped' });
  }

  #receive(message: MessageFromLoader): void {
    if (message.kind === 'answer') {
      this.#questions.get(message.requestId)?.(message.answer);
      this.#questions.delete(message.requestId);
      return;
    }
    if (message.kind === 'held') {
      this.#held = message.held;
      return;
    }
    const { status } = message;
    if (status.refreshes.succeeded > 0) {
      this.#deathsSinceSuccess = 0;
      this.#lost = undefined;
    }
    // A fresh loader thread knows neither its predecessor's load, which readers still use, nor its death.
    const lastLoad = status.lastLoad ?? this.#status.lastLoad;
    const nodes = status.nodes ?? this.#status.nodes;
    const restored = status.restored ?? this.#status.restored;
    const lastError = after(this.#lost, status.lastError);
    this.#become({
      ...status,
      restarts: this.#restarts,
      refreshes: {
        succeeded: this.#before.succeeded + status.refreshes.succeeded,
        failed: this.#before.failed + status.refreshes.failed,
      },
      ...(nodes === undefined ? {} : { nodes }),
      ...(restored === undefined ? {} : { restored }),
      ...(lastLoad === undefined ? {} : { lastLoad }),
      ...(lastError === undefined ? {} : { lastError }),
    });
  }

  #exited(exitCode: number, error: unknown): void {
    this.#worker = undefined;
    if (this.#stopped) return;
    const cause =
      error === undefined ? `it exited with code ${exitCode}` : errorData(error, 'LOADER_LOST').message;
    const lost: ErrorData = { code: 'LOADER_LOST', message: `the loader thread ended: ${cause}` };
    this.#settleAll(lost);
    const { succeeded, failed } = this.#status.refreshes;
    this.#before = { succeeded, failed: failed + 1 };
    this.#deathsSinceSuccess++;
    this.#restarts++;
    const consecutive = (this.#status.lastError?.consecutive ?? 0) + 1;
    this.#lost = { ...lost, at: new Date().toISOString(), consecutive };
    const waitMs = Math.min(RESTART_LONGEST_MS, RESTART_FIRST_MS * 2 ** (this.#deathsSinceSuccess - 1));
    // Before the listeners hear of it: one that closes the cache has to find the timer.
    this.#restartTimer = setTimeout(() => this.run(), waitMs);
    this.#become({
      ...this.#status,
      state: 'restarting',
      refreshes: this.#before,
      restarts: this.#restarts,
      lastError: this.#lost,
      nextLoadInMs: waitMs,
    });
  }

  #settleAll(error: ErrorData): void {
    for (const resolve of this.#questions.values()) resolve({ ok: false, error });
    this.#questions.clear();
  }

  #become(status: LoaderStatus): void {
    this.#status = status;
    for (const listener of this.#listeners) tell(listener, status);
  }
}

/** A listener that throws is the program's to hear of, as an uncaught exception; the loader goes on. */
function tell(listener: (status: LoaderStatus) => void, status: LoaderStatus): void {
  try {
    listener(status);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** The failure to be shown: those of a new thread count on from the death of the one before. */
function after(lost: FailureReport | undefined, error: FailureReport | undefined): FailureReport | undefined {
  if (lost === undefined || error === undefined) return error ?? lost;
  return { ...error, consecutive: lost.consecutive + error.consecutive };
}

/** Asks the thread to end, then ends it, and gives up waiting when even that does not work. */
async function endThread(worker: Worker): Promise<void> {
  const exited = new Promise<true>(resolve => worker.once('exit', () => resolve(true)));
  worker.postMessage({ kind: 'stop' } satisfies MessageToLoader);
  if (await inTime(exited, STOP_TIMEOUT_MS)) return;
  await terminateOrLeave(worker, 'the loader thread', TERMINATE_TIMEOUT_MS);
}

function refused(error: ErrorData): Promise<LoaderAnswer<never>> {
  return Promise.resolve({ ok: false, error });
}

/** What `pg` reads beside `PG*`: the user that nobody named, and where the password file lies. */
const USER_VARIABLES: readonly string[] =
  process.platform === 'win32' ? ['USERNAME', 'APPDATA'] : ['USER', 'LOGNAME', 'HOME'];

/** The loader gets what `pg` reads from the environment and no other secret of the program. */
function postgresEnvironment(): NodeJS.ProcessEnv {
  const passed = Object.entries(process.env).filter(
    ([name]) => name.startsWith('PG') || USER_VARIABLES.includes(name),
  );
  return Object.fromEntries(passed);
}
