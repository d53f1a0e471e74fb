/**
 * Says how long a thread has stood still, from the beats that come of it. Time in which the thread that
 * watches did not run either (the process was stopped, the machine asleep) is not counted.
 */

/** It is looked at least so often as a beat is due; more than twice that is a time without a look. */
const LATE_LOOKS = 2;

export class BeatWatch {
  readonly #everyMs: number;
  #beatAtMs: number;
  #lookedAtMs: number;

  /** `everyMs`: how often beats and looks are due. Times are monotonic milliseconds. */
  constructor(everyMs: number, nowMs: number) {
    this.#everyMs = everyMs;
    this.#beatAtMs = nowMs;
    this.#lookedAtMs = nowMs;
  }

  /** Returns how long no beat had come. */
  beat(nowMs: number): number {
    const stillMs = this.look(nowMs);
    this.#beatAtMs = nowMs;
    return stillMs;
  }

  /** How long no beat has come. */
  look(nowMs: number): number {
    const sinceLookMs = nowMs - this.#lookedAtMs;
    if (sinceLookMs > LATE_LOOKS * this.#everyMs) this.#beatAtMs += sinceLookMs - this.#everyMs;
    this.#lookedAtMs = nowMs;
    return Math.max(0, nowMs - this.#beatAtMs);
  }
}
