/**
 * The machine's own hiccups: the spread of a piece of work that touches no memory and allocates nothing. A
 * tail that the empty loop shows as well is the machine's, not ours.
 */
import { rounded } from './result.ts';

/** Latencies of single calls, kept raw: nothing is binned, nothing is thrown away. */
export class Latencies {
  readonly #samplesUs: Float64Array;
  #count = 0;

  constructor(capacity: number) {
    this.#samplesUs = new Float64Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  /** Keeps one latency, in microseconds, while there is room. */
  add(us: number): void {
    if (this.#count < this.#samplesUs.length) this.#samplesUs[this.#count++] = us;
  }

  /** Calls `run` `calls` times, or until there is no room left; returns a number that depends on the work. */
  record(run: () => number, calls: number): number {
    let sum = 0;
    const end = Math.min(this.#count + calls, this.#samplesUs.length);
    for (let i = this.#count; i < end; i++) {
      const started = performance.now();
      sum += run();
      this.#samplesUs[i] = 1000 * (performance.now() - started);
    }
    this.#count = end;
    return sum;
  }

  /** Enough percentiles to draw the distribution. */
  summary(): {
    p50_us: number;
    mean_us: number;
    p90_us: number;
    p99_us: number;
    p999_us: number;
    p9999_us: number;
    p99999_us: number;
    max_us: number;
    samples: number;
  } {
    const sorted = this.#samplesUs.slice(0, this.#count).sort();
    // Without samples there is no index, and no number.
    const at = (share: number) =>
      rounded(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN);
    const mean = sorted.reduce((sum, sample) => sum + sample, 0) / sorted.length;
    return {
      p50_us: at(0.5),
      mean_us: rounded(mean),
      p90_us: at(0.9),
      p99_us: at(0.99),
      p999_us: at(0.999),
      p9999_us: at(0.9999),
      p99999_us: at(0.99999),
      max_us: at(1),
      samples: sorted.length,
    };
  }
}

const SPINS_FIRST = 1_000;

/** A loop of plain arithmetic that takes about `us` microseconds on this machine when nothing disturbs it. */
export function emptyLoop(us: number): () => number {
  const spin = (spins: number) => {
    let x = 1;
    for (let i = 0; i < spins; i++) x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0;
    return x;
  };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 2_000; i++) {
    const started = performance.now();
    spin(SPINS_FIRST);
    best = Math.min(best, 1000 * (performance.now() - started));
  }
  const spins = Math.max(1, Math.round((SPINS_FIRST * us) / best));
  return () => spin(spins) & 1;
}
