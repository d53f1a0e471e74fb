/** The main thread as another HTTP thread reaches it: questions with answers, and notices. */
import type { MessagePort } from 'node:worker_threads';
import { CacheError, errorFromData } from '../../engine/errors.ts';
import type { EncodedFormat, SelectionRequest } from '../../engine/selection/selection-types.ts';
import type { LoaderStatus } from '../../workers/messages.ts';
import type { PoolAnswer } from '../../workers/worker-pool.ts';
import type { Answered, Asked, MessageFromThread, MessageToThread } from './thread-messages.ts';

/** Questions that may wait for an answer; the pool refuses long before. */
const QUESTIONS_MAX = 10_000;

interface Waiting {
  resolve(value: Answered[keyof Answered]): void;
  reject(error: Error): void;
}

export class MainThread {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  #questions = 0;
  /** The newest status of the loader; absent before the first change. */
  loader: LoaderStatus | undefined;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /** Answers to questions are not passed on. */
  listen(onMessage: (message: MessageToThread) => void): void {
    this.#port.on('message', (message: MessageToThread) => {
      if (message.kind === 'loader') this.loader = message.status;
      else if (message.kind === 'answer') this.#settle(message);
      else onMessage(message);
    });
  }

  post(message: MessageFromThread): void {
    this.#port.postMessage(message);
  }

  ask<K extends keyof Asked>(what: K, question: Asked[K]): Promise<Answered[K]> {
    return new Promise((resolve, reject) => {
      this.refuseWhenFull();
      const id = ++this.#questions;
      this.#waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      this.post({ kind: 'ask', what, id, question } as MessageFromThread);
    });
  }

  /** As the pool, of which there is one. */
  run(format: EncodedFormat, requests: readonly SelectionRequest[]): Promise<readonly PoolAnswer[]> {
    return this.ask('run', { format, requests });
  }

  /** Whether the pool has room is known to the main thread alone. */
  refuseWhenFull(): void {
    if (this.#waiting.size < QUESTIONS_MAX) return;
    throw new CacheError('OVERLOADED', `${QUESTIONS_MAX} questions wait for the main thread`);
  }

  #settle(message: Extract<MessageToThread, { kind: 'answer' }>): void {
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.ok) waiting?.resolve(message.value);
    else waiting?.reject(errorFromData(message.error));
  }
}
