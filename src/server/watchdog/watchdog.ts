/**
 * The watchdog as the main thread sees it: beats that tell it that the event loop turns, and what it found
 * when they did not. Main thread.
 */
import type { Logger } from 'pino';
import type { HttpOptions, WatchdogOptions } from '../config/options.ts';
import { isDebugged } from '../inspection.ts';
import type { LogOptions } from '../log.ts';
import { KeptThread } from '../threads/kept-thread.ts';
import { WATCHDOG_THREAD_URL } from '../threads/thread-url.ts';
import { mayBePaused } from './main-stack.ts';
import type { Beat, MessageToWatchdog, Stall, WatchdogData } from './watchdog-messages.ts';

/** Beats in the time that makes a stall; but no fewer and no more than is of use. */
const BEATS_PER_STALL = 4;
const BEAT_EVERY_MS = { least: 25, most: 250 };
/** How old the metrics are at the most that it answers with, while the main thread turns. */
const METRICS_EVERY_MS = 1_000;

/** Stalls so far. */
export interface StallCounts {
  count: number;
  totalMs: number;
}

export interface WatchdogParts {
  readonly options: WatchdogOptions;
  readonly http: HttpOptions;
  readonly logOptions: LogOptions;
  readonly log: Logger;
  readonly readiness: () => Pick<Beat, 'unready' | 'generation'>;
  readonly metrics: () => Promise<string>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class Watchdog {
  readonly #parts: WatchdogParts;
  readonly #thread: KeptThread<MessageToWatchdog, { readonly kind: 'stalled' } & Stall>;
  readonly #timers: NodeJS.Timeout[] = [];
  /** The system chooses a port once; after that it stays. */
  #probes: WatchdogOptions['probes'];
  readonly stalls: StallCounts = { count: 0, totalMs: 0 };

  constructor(parts: WatchdogParts) {
    this.#parts = parts;
    this.#probes = parts.options.probes;
    const { http, log, logOptions, now, options } = parts;
    const data = (): WatchdogData => ({
      options: { ...options, probes: this.#probes },
      http,
      log: logOptions,
      beatEveryMs: beatEveryMs(options),
      beat: this.#beat(),
    });
    this.#thread = new KeptThread({
      title: 'the watchdog',
      name: 'watchdog',
      url: WATCHDOG_THREAD_URL,
      data,
      onMessage: stall => this.#stalled(stall),
      onExit: () => undefined,
      onEnd: (reason, again) => {
        if (again) log.error({ reason }, 'the watchdog has ended and is started again');
        else log.error({ reason }, 'the watchdog ends again and again: it is left out');
      },
      onBack: () => log.info('the watchdog is back'),
      now,
    });
  }

  /** Resolves with the URL of the probes, if it listens for them. Throws why it cannot. */
  async start(): Promise<string | undefined> {
    const url = await this.#thread.start();
    this.#timers.push(setInterval(() => this.beat(), beatEveryMs(this.#parts.options)).unref());
    if (url !== undefined) {
      this.#probes = { ...this.#probes!, port: Number(new URL(url).port) };
      this.#tellMetrics();
    }
    return url;
  }

  /** The event loop turns, and stands as it does now. */
  beat(): void {
    this.#thread.post({ kind: 'beat', beat: this.#beat() });
  }

  #beat(): Beat {
    return { ...this.#parts.readiness(), mayBePaused: mayBePaused(), isDebugged: isDebugged() };
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#thread.stop();
  }

  /** One after the other: however long it takes, none waits behind another. */
  #tellMetrics(): void {
    let isBusy = false;
    const tell = async () => {
      if (isBusy) return;
      isBusy = true;
      try {
        this.#thread.post({ kind: 'metrics', text: await this.#parts.metrics() });
      } catch (error) {
        this.#parts.log.error({ err: error }, 'the watchdog hears no metrics');
      } finally {
        isBusy = false;
      }
    };
    void tell();
    this.#timers.push(setInterval(() => void tell(), METRICS_EVERY_MS).unref());
  }

  #stalled({ stalledMs, stack, noStack }: Stall): void {
    this.stalls.count++;
    this.stalls.totalMs += stalledMs;
    this.#parts.log.warn({ stalledMs, stack, noStack }, 'the event loop of the main thread has stood still');
  }
}

/** The least stall and the least hang that can be asked for are some beats long. */
function beatEveryMs({ stallMs }: WatchdogOptions): number {
  const { least, most } = BEAT_EVERY_MS;
  return stallMs === 0 ? most : Math.min(most, Math.max(least, Math.floor(stallMs / BEATS_PER_STALL)));
}
