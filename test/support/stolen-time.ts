/** What other programs take from a thread. Any thread; for limits that are promised where it has a core. */
import { performance } from 'node:perf_hooks';

export class StolenTime {
  readonly #loop = performance.eventLoopUtilization();
  readonly #cpu = process.threadCpuUsage();

  /** Milliseconds since the start in which this thread had work to do, and did not run. */
  ms(): number {
    const { active } = performance.eventLoopUtilization(this.#loop);
    const { user, system } = process.threadCpuUsage(this.#cpu);
    return Math.max(0, active - (user + system) / 1_000);
  }
}
