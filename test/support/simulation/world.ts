/**
 * Virtual time: events in the order of their times and, at one time, of their making; between two times
 * everything that they set going runs to its end. One thread and one seed give one run. A cell is a machine
 * in it, with clocks of its own, that can stand still and die.
 */
import type { FleetClock, Random } from '../../../src/workers/fleet/clock.ts';
import { dataRandom } from '../data-random.ts';
import { Trace } from './trace.ts';

interface Event {
  readonly atMs: number;
  readonly number: number;
  /** Undefined once it is cancelled. */
  run: (() => void) | undefined;
}

/** Uniform from 0 up to 1. */
export function seededRandom(seed: number): Random {
  const draw = dataRandom(seed);
  return () => draw(2 ** 32) / 2 ** 32;
}

const flushed = () => new Promise<void>(resolve => setImmediate(resolve));

export class World {
  nowMs = 0;
  readonly trace = new Trace();
  readonly #seed: number;
  readonly #heap: Event[] = [];
  #eventCount = 0;
  #streamCount = 0;
  #failure: { readonly what: string; readonly atMs: number } | undefined;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** The first thing that was found wrong. */
  get failure(): string | undefined {
    return this.#failure === undefined ? undefined : `at ${this.#failure.atMs} ms: ${this.#failure.what}`;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  fail(what: string): void {
    this.note(`FAILURE ${what}`);
    this.#failure ??= { what, atMs: this.nowMs };
  }

  note(what: string): void {
    this.trace.add(this.nowMs, what);
  }

  /** A stream of random numbers of its own: what one part draws does not change what another does. */
  stream(): Random {
    return seededRandom(Math.imul(this.#seed, 0x9e3779b1) + Math.imul(++this.#streamCount, 0x85ebca77));
  }

  /** Calls back after `ms`, whole milliseconds and never too early; the function returned prevents it. */
  after(ms: number, run: () => void): () => void {
    const event: Event = { atMs: this.nowMs + Math.max(0, Math.ceil(ms)), number: this.#eventCount++, run };
    this.#push(event);
    return () => {
      event.run = undefined;
    };
  }

  /** Lets time pass until `untilMs`, or until something is wrong. */
  async run(untilMs: number): Promise<void> {
    await flushed();
    while (this.#failure === undefined) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.nowMs = next.atMs;
      let hasRun = false;
      while (this.#heap[0] !== undefined && this.#heap[0].atMs <= this.nowMs) {
        const { run } = this.#pop();
        run?.();
        hasRun ||= run !== undefined;
      }
      if (hasRun) await flushed();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(event, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): Event {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++;
      if (!isBefore(heap[below]!, last)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number);
}

export type CellState = 'running' | 'paused' | 'dead';

/** A machine's monotonic clock may run so much too fast or too slow. */
const DRIFT_RATIO = 0.0002;
const UNIX_MS = 1_900_000_000_000;

export class Cell {
  readonly name: string;
  readonly world: World;
  readonly random: Random;
  /** What the wall clock is off. */
  skewMs = 0;
  readonly #startMs: number;
  readonly #rate: number;
  #state: CellState = 'running';
  #held: (() => void)[] = [];

  constructor(name: string, world: World) {
    this.name = name;
    this.world = world;
    this.random = world.stream();
    this.#startMs = Math.floor(this.random() * 1e9);
    this.#rate = 1 + DRIFT_RATIO * (2 * this.random() - 1);
  }

  get state(): CellState {
    return this.#state;
  }

  readonly clock: FleetClock = {
    nowMs: () => this.#startMs + this.world.nowMs * this.#rate,
    unixMs: () => UNIX_MS + this.world.nowMs + this.skewMs,
    after: (ms, callback) => this.world.after(ms / this.#rate, () => this.deliver(callback)),
  };

  /** What reaches the machine: later while it stands still, never when it is dead. */
  deliver(work: () => void): void {
    if (this.#state === 'running') work();
    else if (this.#state === 'paused') this.#held.push(work);
  }

  pause(): void {
    if (this.#state !== 'running') return;
    this.#state = 'paused';
    this.world.note(`${this.name} stands still`);
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    this.world.note(`${this.name} goes on`);
    const held = this.#held;
    this.#held = [];
    for (const work of held) work();
  }

  kill(): void {
    if (this.#state === 'dead') return;
    this.#state = 'dead';
    this.#held = [];
    this.world.note(`${this.name} is killed`);
  }

  sleep(ms: number): Promise<void> {
    return new Promise(resolve => {
      this.clock.after(ms, resolve);
    });
  }

  /** From `least` to `most`, mostly near the least. */
  span(least: number, most: number): number {
    const share = this.random();
    return least + (most - least) * share * share * share;
  }
}
