/**
 * While the event loop is late: how much of a turn goes to answers. What comes beyond it in the same turn is
 * refused at once, by ready bytes and past the framework, so that refusing takes little from answering. HTTP
 * threads.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PROBLEM_TYPE, problemDocument, problemHeaders } from '../routes/problem.ts';

export class TurnBudget {
  readonly #budgetMs: number;
  readonly #now: () => number;
  /** Runs `end` when the turn is over. */
  readonly #atTurnEnd: (end: () => void) => void;
  /** Undefined between turns. */
  #startedAtMs: number | undefined;

  /** `now`: monotonic milliseconds. */
  constructor(
    budgetMs: number,
    now: () => number,
    atTurnEnd: (end: () => void) => void = end => void setImmediate(end),
  ) {
    this.#budgetMs = budgetMs;
    this.#now = now;
    this.#atTurnEnd = atTurnEnd;
  }

  /** True while the turn has time for another answer; the first one of a turn always has. */
  hasTime(): boolean {
    const now = this.#now();
    if (this.#startedAtMs === undefined) {
      this.#startedAtMs = now;
      this.#atTurnEnd(() => {
        this.#startedAtMs = undefined;
      });
      return true;
    }
    return now - this.#startedAtMs < this.#budgetMs;
  }
}

const PREFIXES = ['/v1/selection', '/v1/lookup'];

/** The routes that cost something; probes, status and metrics are never refused. */
export function mayBeShed({ url = '' }: IncomingMessage): boolean {
  return PREFIXES.some(prefix => url.startsWith(prefix));
}

/** Refuses with a problem document that is the same for all. */
export class Shedder {
  readonly #body: Buffer;
  readonly #headers: string[];

  constructor(eventLoopDelayMaxMs: number) {
    const detail = `the event loop is later than ${eventLoopDelayMaxMs} ms`;
    const problem = { code: 'OVERLOADED', detail } as const;
    this.#body = Buffer.from(JSON.stringify(problemDocument(problem)));
    this.#headers = [
      ...Object.entries({ ...problemHeaders(problem), 'content-type': PROBLEM_TYPE }).flat(),
      'content-length',
      String(this.#body.length),
    ];
  }

  refuse(raw: ServerResponse): void {
    raw.writeHead(SERVICE_UNAVAILABLE, this.#headers).end(this.#body);
  }
}

export const SERVICE_UNAVAILABLE = 503;
