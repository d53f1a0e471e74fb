/**
 * What stands in front of servers in life: asks each whether it is ready, and sends requests to those that
 * are.
 */
import { ask } from './served/http-call.ts';

const ASK_EVERY_MS = 50;
const TIMEOUT_MS = 1_000;

export class Balancer {
  readonly #ready = new Map<string, boolean>();
  readonly #asked = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  #turn = 0;

  /** `urls`: of servers that are ready. */
  constructor(urls: readonly string[]) {
    for (const url of urls) this.#ready.set(url, true);
    this.#timer = setInterval(() => {
      for (const url of this.#ready.keys()) void this.#look(url);
    }, ASK_EVERY_MS);
  }

  add(url: string): void {
    this.#ready.set(url, false);
  }

  remove(url: string): void {
    this.#ready.delete(url);
  }

  isReady(url: string): boolean {
    return this.#ready.get(url) === true;
  }

  /** Those that are ready take turns. */
  next(): string | undefined {
    const ready = [...this.#ready].filter(([, isReady]) => isReady);
    return ready[this.#turn++ % ready.length]?.[0];
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One question at a time: an older answer never stands for a newer one. */
  async #look(url: string): Promise<void> {
    if (this.#asked.has(url)) return;
    this.#asked.add(url);
    const isReady = await ask(url, '/readyz', { timeoutMs: TIMEOUT_MS }).then(
      ({ status }) => status === 200,
      () => false,
    );
    this.#asked.delete(url);
    if (this.#ready.has(url)) this.#ready.set(url, isReady);
  }
}
