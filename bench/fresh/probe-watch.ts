/**
 * A thread that selects all the time, and by that sees when each probe is gone: probes are the only
 * candidates of their placement, and all of them are asked for. It is the load as well. Any thread.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { ID_BYTES } from '../../native-layout/snapshot-row.ts';
import type { CacheReader } from '../../src/index.ts';
import { nowUs } from './clock.ts';

export const PROBE_COUNTRY = 'XX';
export const PROBE_PLACEMENT = 'probe';
export const PROBES_MAX = 200;

const ID_DIGITS = 2 * ID_BYTES;
/** The last two bytes of a probe's id are its number. */
const NUMBER_DIGITS = 4;

const REQUEST = { placement: PROBE_PLACEMENT, count: PROBES_MAX, newFraction: 0, partial: true } as const;
/** Selections without a pause go on for so long before the thread looks at its messages. */
const TURN_US = 1_000;
const LOOK_EVERY_MS = 2;

export interface WatchOrder {
  /** Probes below this number are gone already. */
  readonly from: number;
  readonly count: number;
  /** Sleep between two selections; 0: none, the thread takes what it gets of a core. */
  readonly pauseMs: number;
}

export interface WatchReport {
  /** Of each probe from `from` on, when the first selection without it had ended; 0: it is still there. */
  readonly goneAtUs: readonly number[];
  /** Selections that had a probe which had been gone before. */
  readonly comebacks: number;
  readonly selections: number;
  readonly seconds: number;
}

export function probeId(number: number): string {
  return number.toString(16).padStart(NUMBER_DIGITS, '0').padStart(ID_DIGITS, 'e');
}

export class ProbeWatch {
  readonly #reader: CacheReader;
  readonly #records = new Uint8Array(PROBES_MAX * RECORD_BYTES);
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  #order: WatchOrder = { from: 0, count: 0, pauseMs: 0 };
  #seenIn = new Float64Array(0);
  #goneAtUs: number[] = [];
  #selections = 0;
  #comebacks = 0;
  #sinceUs = 0;
  #turns: NodeJS.Immediate | undefined;

  constructor(reader: CacheReader) {
    this.#reader = reader;
  }

  /** Resolves when all probes are there, and goes on. */
  async watch(order: WatchOrder): Promise<void> {
    this.stop();
    this.#order = order;
    this.#forget();
    // Whether they are all there yet is no measurement: what is missing is forgotten.
    for (this.#select(); this.#missing() > 0; this.#select()) {
      await delay(LOOK_EVERY_MS);
      this.#forget();
    }
    this.#turns = setImmediate(() => this.#turn());
  }

  /** Resolves when all probes up to and with this number are gone. */
  async gone(number: number): Promise<void> {
    while (this.#goneAtUs.slice(0, number - this.#order.from + 1).includes(0)) await delay(LOOK_EVERY_MS);
  }

  stop(): WatchReport {
    clearImmediate(this.#turns);
    return {
      goneAtUs: this.#goneAtUs,
      comebacks: this.#comebacks,
      selections: this.#selections,
      seconds: (nowUs() - this.#sinceUs) / 1e6,
    };
  }

  #forget(): void {
    const { from, count } = this.#order;
    this.#seenIn = new Float64Array(PROBES_MAX);
    this.#goneAtUs = new Array<number>(count - from).fill(0);
    this.#comebacks = 0;
    this.#selections = 0;
    this.#sinceUs = nowUs();
  }

  #missing(): number {
    return this.#goneAtUs.filter(us => us > 0).length;
  }

  #turn(): void {
    const { pauseMs } = this.#order;
    const endUs = nowUs() + TURN_US;
    do this.#select();
    while (pauseMs === 0 && nowUs() < endUs);
    if (pauseMs > 0) Atomics.wait(this.#sleeper, 0, 0, pauseMs);
    this.#turns = setImmediate(() => this.#turn());
  }

  #select(): void {
    const { from, count } = this.#order;
    const records = this.#records;
    const seenIn = this.#seenIn;
    const goneAtUs = this.#goneAtUs;
    const selection = ++this.#selections;
    const { found } = this.#reader.selectRecords(REQUEST, records);
    const endedUs = nowUs();
    for (let i = 0; i < found; i++) {
      const end = i * RECORD_BYTES + ID_BYTES;
      seenIn[(records[end - 2]! << 8) | records[end - 1]!] = selection;
    }
    for (let number = from; number < count; number++) {
      const isThere = seenIn[number] === selection;
      if (goneAtUs[number - from] === 0) {
        if (!isThere) goneAtUs[number - from] = endedUs;
      } else if (isThere) this.#comebacks++;
    }
  }
}
