/**
 * Entry of a replica's process: opens the cache as ordered, watches probes on its main thread and on as many
 * more as ordered, and answers the bench. Ends with the bench.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type Cache, openCache, postgresSource } from '../../src/index.ts';
import type { FleetStatus } from '../../src/workers/fleet/member.ts';
import type { FleetOptions } from '../../src/workers/fleet-options.ts';
import { RELAY_SOURCE } from '../../test/support/relay-table.ts';
import { nowUs } from './clock.ts';
import type { ThreadAnswer, ThreadOrder } from './probe-thread.ts';
import { PROBE_COUNTRY, PROBE_PLACEMENT, ProbeWatch, type WatchReport } from './probe-watch.ts';

export interface ReplicaOrder {
  readonly connectionString: string;
  /** Absent: it loads for itself. */
  readonly fleet?: FleetOptions;
  /** Reader threads beside the main one. */
  readonly threads: number;
  readonly nodes: number;
}

export type ReplicaQuestion = { readonly kind: 'status' } | ThreadOrder;

export interface ReplicaStatus {
  readonly fleet: FleetStatus | undefined;
  readonly generation: number;
  readonly loads: number;
  readonly deltas: number;
  /** Of the newest delta that was read here. */
  readonly lastDelta: { readonly readMs: number; readonly applyMs: number } | undefined;
  /** Times that its position in the log was seen to go back. */
  readonly retreats: number;
}

export type ReplicaAnswer = ReplicaStatus | readonly WatchReport[] | 'done';

export type ReplicaMessage =
  | {
      readonly kind: 'ready';
      readonly startedUs: number;
      readonly openedUs: number;
      readonly readyUs: number;
    }
  | { readonly kind: 'leads'; readonly epoch: number; readonly atUs: number }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: ReplicaAnswer };

const THREAD_URL = new URL('./probe-thread.ts', import.meta.url);
/** Full loads are not what is measured. */
const NEVER_MS = 2 ** 31 - 1;

function open({ connectionString, fleet, nodes, threads }: ReplicaOrder): Promise<Cache> {
  return openCache({
    source: postgresSource({ connectionString, ...RELAY_SOURCE }),
    capacity: { nodes, readers: threads + 2 },
    placements: { [PROBE_PLACEMENT]: { filter: { countries: [PROBE_COUNTRY] } } },
    distinctAttributes: ['country', 'exit'],
    refresh: { everyMs: NEVER_MS, backoffFirstMs: 20, backoffLongestMs: 100 },
    ...(fleet === undefined ? {} : { fleet }),
  });
}

class Replica {
  readonly #cache: Cache;
  readonly #watch: ProbeWatch;
  readonly #threads: readonly Worker[];
  #retreats = 0;
  #position = { epoch: 0, seq: 0 };
  #epochLed = 0;

  constructor(cache: Cache, threadCount: number) {
    this.#cache = cache;
    this.#watch = new ProbeWatch(cache);
    this.#threads = Array.from(
      { length: threadCount },
      () => new Worker(THREAD_URL, { workerData: cache.handle() }),
    );
    cache.onStatus(({ fleet }) => this.#follow(fleet));
    this.#follow(cache.status().fleet);
  }

  async answer(question: ReplicaQuestion): Promise<ReplicaAnswer> {
    if (question.kind === 'status') return this.#status();
    const others = this.#threads.map(thread => ask(thread, question));
    if (question.kind === 'stop') {
      const own = this.#watch.stop();
      return [own, ...((await Promise.all(others)) as WatchReport[])];
    }
    if (question.kind === 'watch') await this.#watch.watch(question.order);
    else await this.#watch.gone(question.number);
    await Promise.all(others);
    return 'done';
  }

  #status(): ReplicaStatus {
    const { fleet, refreshes, deltas, lastDelta } = this.#cache.status();
    return {
      fleet,
      generation: this.#cache.generation(),
      loads: refreshes.succeeded,
      deltas: deltas.published,
      lastDelta,
      retreats: this.#retreats,
    };
  }

  #follow(fleet: FleetStatus | undefined): void {
    const { position } = fleet ?? {};
    if (position !== undefined) {
      const { epoch, seq } = this.#position;
      if (position.epoch < epoch || (position.epoch === epoch && position.seq < seq)) this.#retreats++;
      this.#position = position;
    }
    if (fleet?.role !== 'leader' || fleet.epoch <= this.#epochLed) return;
    this.#epochLed = fleet.epoch;
    say({ kind: 'leads', epoch: fleet.epoch, atUs: nowUs() });
  }
}

async function ask(thread: Worker, order: ThreadOrder): Promise<ThreadAnswer> {
  const answered = once(thread, 'message') as Promise<[ThreadAnswer]>;
  thread.postMessage(order);
  return (await answered)[0];
}

function say(message: ReplicaMessage): void {
  process.send?.(message);
}

process.on('disconnect', () => process.exit());
const order = JSON.parse(process.argv[2]!) as ReplicaOrder;
const startedUs = nowUs() - 1e6 * process.uptime();
const openedUs = nowUs();
const cache = await open(order);
const readyUs = nowUs();
const replica = new Replica(cache, order.threads);
process.on('message', ({ id, question }: { id: number; question: ReplicaQuestion }) => {
  void replica.answer(question).then(answer => say({ kind: 'answer', id, answer }));
});
say({ kind: 'ready', startedUs, openedUs, readyUs });
