/**
 * The HTTP threads beside the main one: what they are started with, what they ask for, and what they tell.
 * Main thread.
 */
import { errorData } from '../../engine/errors.ts';
import type { Cache } from '../../workers/cache-types.ts';
import type { RingTender } from '../../workers/ring-tender.ts';
import type { SelectionPool } from '../../workers/worker-pool.ts';
import type { AccessKeeper } from '../access/access-keeper.ts';
import type { AppContext, Phase } from '../app-context.ts';
import type { WatchdogOptions } from '../config/options.ts';
import type { ThreadReport } from '../thread-report.ts';
import { HttpThread } from './http-thread.ts';
import type { Post } from './kept-thread.ts';
import type { Answered, MessageFromThread, MessageToThread, RingShare } from './thread-messages.ts';

export interface HttpThreadsOptions {
  readonly context: AppContext;
  readonly cache: Cache;
  readonly workerPool: SelectionPool;
  /** Beside the main thread. */
  readonly count: number;
  readonly port: number;
  /** The rings of thread `index`, from 1 on; 0 is the main thread. */
  readonly ringsOf: (index: number) => RingShare | undefined;
  readonly tender: RingTender | undefined;
  readonly logLevel: string;
  readonly access: AccessKeeper;
  readonly now: () => number;
}

/** How often it is looked whether they report, which they do as often. */
const LOOK_MS = 1_000;
/** A report may come just after a look, and the next one be a little late. */
const SILENT_LOOKS_LEAST = 3;

type Reply = Post<MessageToThread>;
type Question = Extract<MessageFromThread, { kind: 'ask' }>;

export class HttpThreads {
  readonly #options: HttpThreadsOptions;
  readonly #threads: HttpThread[];
  readonly #stopListening: () => void;
  readonly #looking: NodeJS.Timeout;
  #phase: Phase = 'serving';

  constructor(options: HttpThreadsOptions) {
    this.#options = options;
    this.#threads = Array.from({ length: options.count }, (_, i) => this.#thread(i + 1));
    options.access.onChange(identities => this.#post({ kind: 'identities', identities }));
    this.#stopListening = options.cache.onStatus(status => this.#post({ kind: 'loader', status }));
    this.#looking = setInterval(() => {
      for (const thread of this.#threads) thread.look();
    }, LOOK_MS).unref();
  }

  /** Resolves when all of them listen. */
  async start(): Promise<void> {
    await Promise.all(this.#threads.map(thread => thread.start()));
  }

  /** Times that one of them was started again. */
  get restarts(): number {
    return this.#threads.reduce((sum, { restarts }) => sum + restarts, 0);
  }

  /** Of each thread, in order: an entry is of the same thread whatever becomes of the others. */
  reports(): Promise<ThreadReport[]> {
    return Promise.all(this.#threads.map(thread => thread.report()));
  }

  /** They say that they are not ready. */
  beginDraining(): void {
    this.#phase = 'draining';
    this.#post({ kind: 'phase', phase: 'draining' });
  }

  /** They take no more connections; resolves when all have closed their listeners, or after `limitMs`. */
  async refuse(limitMs: number): Promise<void> {
    this.#phase = 'refusing';
    await Promise.all(this.#threads.map(thread => thread.refuse(limitMs)));
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#phase = 'closing';
    clearInterval(this.#looking);
    await Promise.all(this.#threads.map(thread => thread.drain(deadlineMs)));
  }

  async stop(): Promise<void> {
    this.#stopListening();
    clearInterval(this.#looking);
    await Promise.all(this.#threads.map(thread => thread.stop()));
  }

  #post(message: MessageToThread): void {
    for (const thread of this.#threads) thread.post(message);
  }

  #thread(index: number): HttpThread {
    const { access, cache, context, port, ringsOf, tender, logLevel, now } = this.#options;
    const rings = ringsOf(index);
    return new HttpThread({
      name: `http-${index}`,
      now,
      silentLooksMax: silentLooksMax(context.options.watchdog),
      data: () => ({
        cache: cache.handle(),
        options: context.options,
        port,
        rings,
        loader: cache.status(),
        phase: this.#phase,
        logLevel,
        access: access.data(),
        tls: context.tls,
      }),
      onMessage: (message, reply) => this.#heard(index, message, reply),
      onBack: () => context.log.info({ httpThread: index }, 'an HTTP thread serves again'),
      onHang: reason => {
        context.log.error({ httpThread: index, reason }, 'an HTTP thread hangs and is replaced');
      },
      onEnd: (reason, again) => {
        if (rings !== undefined) tender?.forget(rings.firstRing, rings.rings);
        const fields = { httpThread: index, reason };
        if (again) context.log.error(fields, 'an HTTP thread has ended and is started again');
        else context.log.error(fields, 'an HTTP thread ends again and again: it is left out');
      },
    });
  }

  /** The owner of `ring` is told that its tenant has no whole answer. */
  unfit(unfit: { readonly ring: number; readonly tenancy: number }): void {
    this.#post({ kind: 'unfit', unfit });
  }

  #heard(index: number, message: MessageFromThread, reply: Reply): void {
    const { context, tender } = this.#options;
    if (message.kind === 'tend') tender?.set(message.ring, message.tenant);
    if (message.kind === 'log') {
      const { level, msg, time, pid, hostname, ...fields } = JSON.parse(message.line) as Record<
        string,
        unknown
      >;
      const method = LOG_METHODS[Number(level)] ?? 'info';
      context.log[method]({ ...fields, httpThread: index }, String(msg));
    }
    if (message.kind === 'ask') void this.#answer(message, reply);
  }

  async #answer(question: Question, reply: Reply): Promise<void> {
    const { id } = question;
    try {
      const value = await this.#valueOf(question);
      reply({ kind: 'answer', id, ok: true, value }, buffersOf(question, value));
    } catch (error) {
      reply({ kind: 'answer', id, ok: false, error: errorData(error, 'WORKER_LOST') });
    }
  }

  #valueOf(question: Question): Promise<Answered[keyof Answered]> {
    const { context, workerPool } = this.#options;
    switch (question.what) {
      case 'run':
        return workerPool.run(question.question.format, question.question.requests);
      case 'status':
        return context.whole.status();
      case 'metrics':
        return context.whole.metrics();
      case 'fleet':
        return context.whole.fleet();
    }
  }
}

function silentLooksMax({ hungMs }: WatchdogOptions): number {
  return hungMs === 0 ? 0 : Math.max(SILENT_LOOKS_LEAST, Math.ceil(hungMs / LOOK_MS));
}

const LOG_METHODS: Readonly<Record<number, 'debug' | 'info' | 'warn' | 'error'>> = {
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'error',
};

/** The bytes of a batch are one buffer, which moves to the thread that asked. */
function buffersOf(question: Question, value: Answered[keyof Answered]): ArrayBuffer[] {
  if (question.what !== 'run') return [];
  const answers = value as Answered['run'];
  return [...new Set(answers.flatMap(answer => (answer.ok ? [answer.bytes.buffer] : [])))];
}
