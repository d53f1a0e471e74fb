/**
 * Counts wrong tokens by address: whoever has sent too many in a minute is refused until it ends, with the
 * right token too, so that guessing gets nowhere and fills no log. HTTP thread. Memory is bounded: while more
 * addresses guess at once than are remembered, the longest remembered one is forgotten.
 */

const WINDOW_MS = 60_000;
const ADDRESSES_MAX = 1_024;

interface Attempts {
  readonly endsAtMs: number;
  count: number;
}

export class LoginGuard {
  readonly #failuresMax: number;
  readonly #now: () => number;
  /** In the order of their first failure. */
  readonly #attempts = new Map<string, Attempts>();

  /** `failuresMax`: wrong tokens of one address in a minute. `now`: monotonic milliseconds. */
  constructor(failuresMax: number, now: () => number) {
    this.#failuresMax = failuresMax;
    this.#now = now;
  }

  /** How long the address is refused from now on; 0 when it may try. */
  refusedMs(address: string): number {
    const attempts = this.#attempts.get(address);
    if (attempts === undefined) return 0;
    return attempts.count < this.#failuresMax ? 0 : Math.max(0, attempts.endsAtMs - this.#now());
  }

  /** Returns true for the failure from which on the address is refused. */
  countFailure(address: string): boolean {
    let attempts = this.#attempts.get(address);
    if (attempts === undefined || attempts.endsAtMs <= this.#now()) {
      this.#attempts.delete(address);
      if (this.#attempts.size >= ADDRESSES_MAX) this.#attempts.delete(this.#attempts.keys().next().value!);
      attempts = { endsAtMs: this.#now() + WINDOW_MS, count: 0 };
      this.#attempts.set(address, attempts);
    }
    attempts.count++;
    return attempts.count === this.#failuresMax;
  }
}
