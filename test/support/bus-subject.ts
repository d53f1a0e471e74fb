/** What the suite of buses needs of an engine: buses, and the harm that can be done to a server. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Bus, BusError, type LogPosition, type LogRecord } from '../../src/workers/bus/bus.ts';
import type { BusOptions } from '../../src/workers/bus/open-bus.ts';
import type { ProxyTarget } from './tcp-fault-proxy.ts';

export interface BusPart {
  /** Buses of the same fleet share log, blobs, pointer and heartbeats; others have nothing in common. */
  readonly fleet: string;
  /** Where to connect; absent: to the server itself. */
  readonly at?: ProxyTarget;
  readonly timeoutMs?: number;
  readonly pingEveryMs?: number;
}

export interface BusSubject {
  open(part: BusPart): Promise<Bus>;
  /** Absent: there is no server, such as in memory; then what harms one is not tested. */
  readonly server?: BusServer;
}

export interface BusServer {
  /** What its buses are opened with: another process opens one by them. */
  options(part: BusPart): BusOptions;
  /** Where it is now: it moves when it starts again. */
  readonly address: ProxyTarget;
  /** Ends and starts again with all it had. */
  restart(): Promise<void>;
  /** Loses everything that the fleet has, as a server that starts again without its disk. */
  wipe(fleet: string): Promise<void>;
  /** Nothing of it runs, as on a machine that swaps itself to death; undone by `thaw`. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Replaces a piece of a blob, or takes it away. */
  damage(fleet: string, blob: string, piece: string, bytes: Uint8Array | undefined): Promise<void>;
}

const RETRY_PAUSE_MS = 5;

/** Follows a log as a replica does: again from its last record whenever the connection breaks. */
export class Follower {
  readonly records: LogRecord[] = [];
  /** Times that the connection broke. */
  brokenCount = 0;
  /** Why it gave up, such as BUS_GAP. */
  error: BusError | undefined;
  readonly ended: Promise<void>;
  readonly #stop = new AbortController();

  constructor(bus: Bus, after: LogPosition) {
    this.ended = this.#follow(bus, after);
  }

  get texts(): string[] {
    return this.records.map(({ bytes }) => Buffer.from(bytes).toString());
  }

  get positions(): string[] {
    return this.records.map(({ position }) => `${position.epoch}-${position.seq}`);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.ended;
  }

  async #follow(bus: Bus, start: LogPosition): Promise<void> {
    let after = start;
    while (!this.#stop.signal.aborted) {
      try {
        for await (const records of bus.follow(after, this.#stop.signal)) {
          this.records.push(...records);
          after = records.at(-1)!.position;
        }
        return;
      } catch (error) {
        if (!(error instanceof BusError) || error.code !== 'BUS_UNAVAILABLE') {
          this.error = error as BusError;
          return;
        }
        this.brokenCount++;
        await delay(RETRY_PAUSE_MS);
      }
    }
  }
}

/** The code of what `work` throws; '' when it does not throw. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return '';
  } catch (error) {
    if (error instanceof BusError) return error.code;
    throw error;
  }
}

/** Tries again while the engine is not to be had, as a replica does. */
export async function untilAvailable<T>(work: () => Promise<T>, timeoutMs = 20_000): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const again = error instanceof BusError && error.code === 'BUS_UNAVAILABLE';
      if (!again || performance.now() > deadline) throw error;
      await delay(RETRY_PAUSE_MS);
    }
  }
}
