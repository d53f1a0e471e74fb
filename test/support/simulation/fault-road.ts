/** The road between a replica and the bus: what it does to calls and records is set while a run goes on. */
import type { LogRecord } from '../../../src/workers/bus/bus.ts';
import type { Journey, MemoryCall, MemoryRoad } from '../../../src/workers/bus/memory-bus.ts';
import type { Random } from '../../../src/workers/fleet/clock.ts';

export interface RoadFaults {
  isRequestCut: boolean;
  isReplyCut: boolean;
  /** Chances. */
  loss: number;
  duplication: number;
  recordLoss: number;
  reordering: number;
  /** Of a record from long ago to come again. */
  replay: number;
  damage: number;
  staleness: number;
  delayMs: number;
}

export function noFaults(): RoadFaults {
  return {
    isRequestCut: false,
    isReplyCut: false,
    loss: 0,
    duplication: 0,
    recordLoss: 0,
    reordering: 0,
    replay: 0,
    damage: 0,
    staleness: 0,
    delayMs: 0,
  };
}

const LATENCY_MS = { least: 1, most: 5 };
const AGAIN_MS_MAX = 300;
const LATE_RECORDS_MAX = 4;
const OLD_RECORDS_MAX = 60;

export class FaultRoad implements MemoryRoad {
  faults = noFaults();
  readonly #random: Random;
  /** Records that come later than they should. */
  #late: LogRecord[] = [];
  /** Records that have come already, oldest first. */
  readonly #old: LogRecord[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  journey(_call: MemoryCall): Journey {
    const { faults } = this;
    return {
      requestMs: this.#travelMs(),
      replyMs: this.#travelMs(),
      isRequestLost: faults.isRequestCut || this.#happens(faults.loss),
      isReplyLost: faults.isReplyCut || this.#happens(faults.loss),
      againMs: this.#happens(faults.duplication) ? AGAIN_MS_MAX * this.#random() : undefined,
    };
  }

  arriving(records: readonly LogRecord[]): readonly LogRecord[] {
    const { recordLoss, reordering, replay, duplication, damage } = this.faults;
    const faults = recordLoss + reordering + replay + duplication + damage;
    this.#old.push(...records);
    this.#old.splice(0, this.#old.length - OLD_RECORDS_MAX);
    if (faults === 0 && this.#late.length === 0) return records;
    const arriving: LogRecord[] = [];
    for (const record of records) {
      if (this.#happens(recordLoss)) continue;
      const sent = { position: record.position, bytes: this.damaged(record.bytes) };
      if (this.#happens(reordering) && this.#late.length < LATE_RECORDS_MAX) this.#late.push(sent);
      else arriving.push(sent);
      if (this.#happens(duplication)) arriving.push(sent);
      if (this.#happens(replay)) arriving.push(this.#old[Math.floor(this.#random() * this.#old.length)]!);
    }
    if (this.#late.length > 0 && (reordering === 0 || this.#happens(0.3))) {
      arriving.push(...this.#late.reverse());
      this.#late = [];
    }
    return arriving;
  }

  /** A bit is turned, the end is cut off, bytes are added, or a word is replaced, such as a length. */
  damaged(bytes: Uint8Array): Uint8Array {
    if (!this.#happens(this.faults.damage) || bytes.length < 8) return bytes;
    const kind = this.#random();
    const at = Math.floor(this.#random() * bytes.length);
    if (kind < 0.25) return bytes.subarray(0, at);
    const copy = new Uint8Array(kind < 0.35 ? bytes.length + 5 : bytes.length);
    copy.set(bytes);
    if (kind < 0.7) copy[at] = copy[at]! ^ (1 << Math.floor(8 * this.#random()));
    else {
      // Lengths stand near the beginning.
      const start = Math.floor(this.#random() * Math.min(60, bytes.length - 4));
      new DataView(copy.buffer).setUint32(start, Math.floor(this.#random() * 2 ** 32), true);
    }
    return copy;
  }

  isStale(_call: MemoryCall): boolean {
    return this.#happens(this.faults.staleness);
  }

  #travelMs(): number {
    const { least, most } = LATENCY_MS;
    const share = this.#random();
    return least + (most - least) * share * share * share + this.faults.delayMs * this.#random();
  }

  #happens(chance: number): boolean {
    return chance > 0 && this.#random() < chance;
  }
}
