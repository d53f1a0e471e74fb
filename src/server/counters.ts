/**
 * What an HTTP thread counts: plain numbers, because a metrics library on the hot path costs as much as the
 * pick.
 */
import type { EncodedFormat } from '../engine/selection/selection-types.ts';

export type Way = 'prepared' | 'inPlace' | 'pool';
/** `full`, `partial` (short, and that was fine), `shortage` (short, and it was not), `refused` (an error). */
export type Outcome = 'full' | 'partial' | 'shortage' | 'refused';

export const DENIAL_CODES = ['UNAUTHORIZED', 'FORBIDDEN', 'RATE_LIMITED'] as const;
export type DenialCode = (typeof DENIAL_CODES)[number];

export interface SelectionCount {
  readonly way: Way;
  readonly format: EncodedFormat;
  readonly outcome: Outcome;
  count: number;
}

export interface RequestCount {
  readonly route: string;
  /** `2xx` to `5xx`. */
  readonly statusClass: string;
  count: number;
}

const WAYS: readonly Way[] = ['prepared', 'inPlace', 'pool'];
const FORMATS: readonly EncodedFormat[] = ['json', 'messagepack'];
const OUTCOMES: readonly Outcome[] = ['full', 'partial', 'shortage', 'refused'];

export class Counters {
  readonly selections: readonly SelectionCount[] = WAYS.flatMap(way =>
    FORMATS.flatMap(format => OUTCOMES.map(outcome => ({ way, format, outcome, count: 0 }))),
  );
  /** Nodes handed out. */
  picks = 0;
  /** Requests answered in place because the pool would not or could not. */
  poolFallbacks = 0;
  /** Requests refused because a limit was reached. */
  shed = 0;
  /** Requests of the data routes that were refused to whoever asked, by code. */
  readonly denied: Record<DenialCode, number> = { UNAUTHORIZED: 0, FORBIDDEN: 0, RATE_LIMITED: 0 };
  readonly #requests = new Map<string, RequestCount>();

  countSelection(way: Way, format: EncodedFormat, outcome: Outcome): void {
    const formatIndex = format === 'json' ? 0 : 1;
    const index =
      (WAYS.indexOf(way) * FORMATS.length + formatIndex) * OUTCOMES.length + OUTCOMES.indexOf(outcome);
    this.selections[index]!.count++;
  }

  /** Whatever is none of the codes is none of access. */
  countDenied(code: string): void {
    if (code in this.denied) this.denied[code as DenialCode]++;
  }

  /** `route` is a pattern of ours, never a client's text: the number of labels is bounded. */
  countRequest(route: string, status: number): void {
    this.requestCount(route, `${Math.floor(status / 100)}xx`).count++;
  }

  /** The entry itself, for a path too hot to look it up each time. */
  requestCount(route: string, statusClass: string): RequestCount {
    const key = `${route} ${statusClass}`;
    let entry = this.#requests.get(key);
    if (entry === undefined) {
      entry = { route, statusClass, count: 0 };
      this.#requests.set(key, entry);
    }
    return entry;
  }

  requests(): IterableIterator<RequestCount> {
    return this.#requests.values();
  }
}
