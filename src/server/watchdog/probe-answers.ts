/** What the watchdog answers to probes, from what it has heard of the main thread and from its silence. */
import type { WatchdogOptions } from '../config/options.ts';
import type { Problem } from '../routes/problem.ts';
import type { Beat } from './watchdog-messages.ts';

const METRICS_AGE = 'sortition_metrics_age_seconds';
const MS_PER_S = 1_000;

export class ProbeAnswers {
  readonly #options: WatchdogOptions;
  readonly #silentMs: () => number;
  #beat: Beat;
  #metrics: { readonly text: string; readonly atMs: number } | undefined;
  readonly #firstMetrics = Promise.withResolvers<void>();

  /** `silentMs`: how long the main thread has been silent. */
  constructor(options: WatchdogOptions, silentMs: () => number, beat: Beat) {
    this.#options = options;
    this.#silentMs = silentMs;
    this.#beat = beat;
  }

  setBeat(beat: Beat): void {
    this.#beat = beat;
  }

  setMetrics(text: string): void {
    this.#metrics = { text, atMs: performance.now() };
    this.#firstMetrics.resolve();
  }

  get mayBePaused(): boolean {
    return this.#beat.mayBePaused;
  }

  /** How long the main thread stands still; 0 where it may be at a breakpoint. */
  stillMs(): number {
    return this.#beat.isDebugged ? 0 : this.#silentMs();
  }

  generation(): number {
    return this.#beat.generation;
  }

  /** Why the process is to be ended; undefined: it lives. */
  death(): Problem | undefined {
    return this.#stallBeyond(this.#options.hungMs);
  }

  /** Why nothing should be sent here; undefined: it is ready. */
  unreadiness(): Problem | undefined {
    return this.#stallBeyond(this.#options.stallMs) ?? this.#beat.unready;
  }

  /** What the main thread counted last, and how old that is. Waits for the first time only. */
  async metrics(): Promise<string> {
    await this.#firstMetrics.promise;
    const { text, atMs } = this.#metrics!;
    const ageS = (performance.now() - atMs) / MS_PER_S;
    const help = 'Time since the main thread said what is above.';
    return `${text}# HELP ${METRICS_AGE} ${help}\n# TYPE ${METRICS_AGE} gauge\n${METRICS_AGE} ${ageS}\n`;
  }

  #stallBeyond(limitMs: number): Problem | undefined {
    const stillMs = Math.round(this.stillMs());
    if (limitMs === 0 || stillMs <= limitMs) return undefined;
    return { code: 'STALLED', detail: `the main thread has stood still for ${stillMs} ms` };
  }
}
