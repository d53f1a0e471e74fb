/** What a runner asks of a served process from the inside, and what comes back. Plain data. */

/** Threads by what they are for. */
export type ThreadKind = 'main' | 'loader' | 'selection' | 'http' | 'watchdog';

/**
 * A line of the product's source at which threads are caught: found by its text, so that it moves with it.
 */
export interface Place {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * What happens to a thread that comes to the place: it ends itself, is terminated from outside, or stands
 * still for a while and goes on.
 */
export type TrapAction =
  | { readonly kind: 'exit' }
  | { readonly kind: 'terminate' }
  | { readonly kind: 'stall'; readonly ms: number }
  | { readonly kind: 'kill-process' };

export interface Trap {
  readonly place: Place;
  readonly action: TrapAction;
  /** It goes off so many times. */
  readonly times: number;
}

export interface MemoryReading {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
}

export interface InsideQuestions {
  /** Runs the text in every thread of that kind, and does not wait for it. Answers how many there are. */
  readonly evaluate: { readonly thread: ThreadKind; readonly expression: string };
  /** Terminates threads of that kind, the oldest first. Answers how many were. */
  readonly terminate: { readonly thread: ThreadKind; readonly count: number };
  readonly set: { readonly trap: Trap };
  /** How often the trap has gone off. */
  readonly sprung: { readonly place: Place };
  readonly clear: Record<string, never>;
  readonly memory: Record<string, never>;
  /** Ids of the living threads of that kind. */
  readonly threads: { readonly thread: ThreadKind };
}

export interface InsideAnswers {
  readonly evaluate: number;
  readonly terminate: number;
  readonly set: null;
  readonly sprung: number;
  readonly clear: null;
  readonly memory: MemoryReading;
  readonly threads: readonly number[];
}

export type InsideQuestion = {
  [K in keyof InsideQuestions]: { readonly number: number; readonly kind: K } & InsideQuestions[K];
}[keyof InsideQuestions];

export type FromInside =
  | { readonly number: number; readonly value: unknown }
  | { readonly number: number; readonly problem: string };
