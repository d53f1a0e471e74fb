/** What a fault of the matrix is, and what it has in hand while it is injected. */
import { setTimeout as delay } from 'node:timers/promises';
import type { HttpLoad } from './http-load.ts';
import type { ServeFlags } from './served/served-process.ts';
import type { ServedScene } from './served-scene.ts';
import type { Step, StepHits } from './steps.ts';

export interface Described {
  describe(): Promise<string>;
}

/** A fault as the matrix numbers it; a number may have several, which share its right behaviour. */
export interface Fault<Scene extends Described = ServedScene> {
  /** `F3`. */
  readonly number: string;
  readonly name: string;
  /** What its server is started with beside the ordinary; others than the fault before: a restart. */
  readonly flags?: ServeFlags;
  /** Why it cannot be injected on this machine; undefined where it can. */
  readonly unavailable?: () => Promise<string | undefined>;
  /**
   * Injects it, sees that what is right happens, and mends it. Throws when something is not right. Failed
   * requests of the load are no business of its own.
   */
  readonly run: (run: FaultRun<Scene>) => Promise<void>;
}

export interface FaultRunOptions<Scene extends Described> {
  readonly scene: Scene;
  readonly load: HttpLoad;
  readonly fault: string;
  readonly seconds: number;
  readonly random: () => number;
  readonly hits: StepHits;
}

const LOOK_EVERY_MS = 20;
const PATIENCE_MS = 30_000;

export class FaultRun<Scene extends Described = ServedScene> {
  readonly scene: Scene;
  readonly load: HttpLoad;
  readonly random: () => number;
  readonly seconds: number;
  readonly #fault: string;
  readonly #hits: StepHits;
  /** From the mending to what was there before; undefined where nothing had to be mended. */
  recoveryMs: number | undefined;
  /** What the table says beside the counts. */
  readonly notes: string[] = [];
  readonly counted: Record<string, number> = {};

  constructor({ scene, load, fault, seconds, random, hits }: FaultRunOptions<Scene>) {
    this.scene = scene;
    this.load = load;
    this.seconds = seconds;
    this.random = random;
    this.#fault = fault;
    this.#hits = hits;
  }

  /** Throws unless it is so. */
  check(holds: boolean, what: string): void {
    if (!holds) throw new Error(`not so: ${what}`);
  }

  /** Waits until it is so, and throws when that takes too long. */
  async until(
    what: string,
    condition: () => boolean | Promise<boolean>,
    withinMs = PATIENCE_MS,
  ): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!(await condition())) {
      if (performance.now() > deadline) {
        throw new Error(`not within ${withinMs} ms: ${what}; ${await this.#described()}`);
      }
      await delay(LOOK_EVERY_MS);
    }
  }

  /** How the scene stands, for whoever has to find out what went wrong. */
  async #described(): Promise<string> {
    return this.scene.describe().catch(error => `and it does not say how it is: ${(error as Error).message}`);
  }

  /** Lets the fault last, as long as the run gives each. */
  async last(share = 1): Promise<void> {
    await delay(this.seconds * share * 1_000);
  }

  /** Again and again until the time of the fault is over; at least once. */
  async repeat(work: (times: number) => Promise<void>, share = 1): Promise<number> {
    const deadline = performance.now() + this.seconds * share * 1_000;
    let times = 0;
    do await work(times++);
    while (performance.now() < deadline);
    return times;
  }

  /** Mends the fault, and measures how long it takes until all is well again. */
  async mend(
    work: () => unknown,
    what: string,
    condition: () => boolean | Promise<boolean>,
    withinMs = PATIENCE_MS,
  ): Promise<void> {
    await work();
    const mendedMs = performance.now();
    this.load.silentSince(undefined);
    await this.until(what, condition, withinMs);
    this.recoveryMs = performance.now() - mendedMs;
    this.load.enter('after');
  }

  /** How often something was done that is counted over all runs. */
  count(what: string, times: number): void {
    this.counted[what] = (this.counted[what] ?? 0) + times;
  }

  note(text: string): void {
    this.notes.push(text);
  }

  /** The fault has come to that step of the load cycle. */
  hit(step: Step, times = 1): void {
    this.#hits.add(step, this.#fault, times);
  }

  /** A whole number from 0 to `below` - 1. */
  draw(below: number): number {
    return Math.floor(this.random() * below);
  }
}
