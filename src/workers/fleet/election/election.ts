/**
 * Who may load for the fleet, and who may load at all: an election with a lease, and permits. Interfaces; the
 * real ones stand beside this file. Loader thread.
 */

/** From the moment of being elected to that of being so no longer. */
export interface Term {
  /** Above that of every term before it, if the election's own memory was never set back. */
  readonly epoch: number;
  /** Aborts when the term is over, or may be. */
  readonly lost: AbortSignal;
  /**
   * True only while nobody else can be elected, by this machine's own monotonic clock: also right in a
   * process that was stopped and goes on, before any timer has run.
   */
  stillHeld(): boolean;
  /** Gives the office back, so that the next leader need not wait for the lease to end. */
  resign(): Promise<void>;
}

export interface Election {
  /** For status and logs; never holds a secret. */
  readonly description: string;
  /** Tries once: the term, or undefined while somebody else has the office. Throws when it cannot ask. */
  attempt(signal: AbortSignal): Promise<Term | undefined>;
  /** No attempt follows soon: no connection is to be kept for it. */
  rest(): Promise<void>;
  close(): Promise<void>;
}

/** At most so many replicas of a fleet load from the source at once. */
export interface LoadPermits {
  /** Waits for a permit; what it resolves to gives it back. Rejects when `signal` aborts. */
  acquire(signal: AbortSignal): Promise<() => Promise<void>>;
}
