/** What crosses between the main thread and the watchdog: plain data only. */
import type { HttpOptions, WatchdogOptions } from '../config/options.ts';
import type { LogOptions } from '../log.ts';
import type { Problem } from '../routes/problem.ts';
import type { LifeMessage } from '../threads/kept-thread.ts';

/** What the main thread, which is the one that has started the server, says of itself again and again. */
export interface Beat {
  /** Why it is not ready. */
  readonly unready: Problem | undefined;
  readonly generation: number;
  /** It may be asked what it is at. */
  readonly mayBePaused: boolean;
  /** It may be at a breakpoint: then it neither stalls nor hangs. */
  readonly isDebugged: boolean;
}

export interface WatchdogData {
  readonly options: WatchdogOptions;
  readonly http: HttpOptions;
  readonly log: LogOptions;
  /** How often beats come. */
  readonly beatEveryMs: number;
  readonly beat: Beat;
}

export type MessageToWatchdog =
  | { readonly kind: 'beat'; readonly beat: Beat }
  | { readonly kind: 'metrics'; readonly text: string };

/** The main thread has stood still for so long, and this is what it was at, innermost first. */
export interface Stall {
  readonly stalledMs: number;
  readonly stack?: readonly string[];
  /** Why there is none. */
  readonly noStack?: string;
}

export type MessageFromWatchdog = LifeMessage | ({ readonly kind: 'stalled' } & Stall);
