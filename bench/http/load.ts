/** The load generator as the benches use it: one order at a time, and what a server spent on it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { LoadOrder, LoadOutcome } from './load-generator.ts';
import type { RunningServer } from './servers.ts';

const LOAD_URL = new URL('./load-generator.ts', import.meta.url);

export interface Outcome extends LoadOutcome {
  readonly mainThreadUs: number | undefined;
  readonly processUs: number | undefined;
}

export class Load {
  readonly #process: ChildProcess = fork(fileURLToPath(LOAD_URL));

  async run(server: RunningServer, order: Omit<LoadOrder, 'port'>): Promise<Outcome> {
    this.#process.send({ ...order, port: server.port } satisfies LoadOrder);
    await this.#message();
    const before = server.cpu();
    const outcome = (await this.#message()) as LoadOutcome;
    const after = server.cpu();
    const perRequest = (key: 'mainThreadUs' | 'processUs') =>
      before === undefined || after === undefined ? undefined : (after[key] - before[key]) / outcome.requests;
    return { ...outcome, mainThreadUs: perRequest('mainThreadUs'), processUs: perRequest('processUs') };
  }

  stop(): void {
    this.#process.kill();
  }

  /** The next message of the load generator; rejects when it ends instead. */
  async #message(): Promise<unknown> {
    const done = new AbortController();
    const { signal } = done;
    const ended = once(this.#process, 'exit', { signal }).then(([code]) => {
      throw new Error(`the load generator ended with code ${code}`);
    });
    try {
      const [message] = await Promise.race([once(this.#process, 'message', { signal }), ended]);
      return message;
    } finally {
      // Takes the listeners away; nobody waits for the loser any more.
      ended.catch(() => {});
      done.abort();
    }
  }
}
