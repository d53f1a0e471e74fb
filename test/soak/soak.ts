/**
 * The long run: a served process that loads as often as it may, under steady load whose every answer is
 * checked, while the table changes, nodes are revoked and come back, and its loader and selection workers
 * are terminated at random. Its memory is sampled all along.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { DemoRandom } from '../../src/server/demo/random.ts';
import { connectClient, type PostgresClient } from '../../src/workers/source/postgres/client.ts';
import { PHASES } from '../faults/http-load.ts';
import type { ThreadKind } from '../faults/served/inside-messages.ts';
import type { ServeFlags } from '../faults/served/served-process.ts';
import { NODES, ServedScene } from '../faults/served-scene.ts';
import { type Line, lineThrough, type Sample, secondHalf } from './slope.ts';

export interface SoakOptions {
  readonly seconds: number;
  readonly random: DemoRandom;
  /** Told once a minute how it stands. */
  readonly onMinute?: (text: string) => void;
}

export const MEMORY_KINDS = ['rss', 'heapUsed', 'external', 'arrayBuffers'] as const;
export type MemoryKind = (typeof MEMORY_KINDS)[number];

export interface SoakResult {
  readonly seconds: number;
  readonly requests: number;
  readonly failed: number;
  /** What was wrong with answers, and how often. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  /** Whole loads; those of loaders that were terminated count as failed. */
  readonly loads: { readonly succeeded: number; readonly failed: number };
  readonly loaderKills: number;
  readonly loaderRestarts: number;
  readonly workerKills: number;
  readonly revocations: number;
  readonly changes: number;
  readonly httpThreadRestarts: number;
  /** What the process logged of trouble, the last of it: for whoever has to find out what went wrong. */
  readonly troubles: readonly string[];
  /** Of the second half. */
  readonly memory: Readonly<Record<MemoryKind, Line>>;
}

/** The shortest interval that the option takes: ten loads a second. */
export const REFRESH_EVERY_MS = 100;
const FLAGS: ServeFlags = { 'refresh-every-ms': String(REFRESH_EVERY_MS) };
const SAMPLE_EVERY_MS = 1_000;
const MINUTE_MS = 60_000;
/** Between two terminations of a loader, and of a worker: up to twice as long. */
const LOADER_LIFE_MS = 4_000;
const WORKER_LIFE_MS = 3_000;
const REVOKE_EVERY_MS = 1_000;
const CHANGE_EVERY_MS = 200;
const REVOKED_AT_ONCE = 3;
const WARN_LEVEL = 40;
const TROUBLES_MAX = 20;
const MIB = 1_048_576;

/** What is done to the process all the time, until `signal` aborts. */
class Unrest {
  loaderKills = 0;
  workerKills = 0;
  revocations = 0;
  changes = 0;
  readonly #scene: ServedScene;
  readonly #random: DemoRandom;
  readonly #signal: AbortSignal;

  constructor(scene: ServedScene, random: DemoRandom, signal: AbortSignal) {
    this.#scene = scene;
    this.#random = random;
    this.#signal = signal;
  }

  async run(client: PostgresClient): Promise<void> {
    const pause = (meanMs: number) => () => 2 * meanMs * this.#random.fraction();
    await Promise.all([
      this.#again(pause(LOADER_LIFE_MS), async () => {
        this.loaderKills += await this.#kill('loader');
      }),
      this.#again(pause(WORKER_LIFE_MS), async () => {
        this.workerKills += await this.#kill('selection');
      }),
      this.#again(
        () => REVOKE_EVERY_MS,
        () => this.#revoke(),
      ),
      this.#again(
        () => CHANGE_EVERY_MS,
        () => this.#change(client),
      ),
    ]);
  }

  #kill(thread: ThreadKind): Promise<number> {
    return this.#scene.server.inside('terminate', { thread, count: 1 });
  }

  async #revoke(): Promise<void> {
    const ids = [...this.#scene.addresses.keys()];
    const revoked = Array.from({ length: REVOKED_AT_ONCE }, () => this.#random.pick(ids));
    // Refused while the loader is being started again.
    const answer = await this.#scene.server.admin('/v1/admin/revoke', { ids: revoked, holdSeconds: 5 });
    if (answer.status === 200) this.revocations += revoked.length;
  }

  /** Some fill up, some have room again, some are disqualified, some are so no longer; addresses stay. */
  async #change(client: PostgresClient): Promise<void> {
    const byte = this.#random.below(256);
    const set = this.#random.pick([
      'free_disk = 1000000000',
      'free_disk = 50000000000',
      'disqualified = now()',
      'disqualified = NULL',
    ]);
    const { rowCount } = await client.query(`UPDATE nodes SET ${set} WHERE get_byte(id, 3) = ${byte}`);
    this.changes += rowCount ?? 0;
  }

  async #again(pauseMs: () => number, work: () => Promise<void>): Promise<void> {
    while (!this.#signal.aborted) {
      await delay(pauseMs(), undefined, { signal: this.#signal }).catch(() => undefined);
      if (!this.#signal.aborted) await work();
    }
  }
}

export async function runSoak({ seconds, random, onMinute }: SoakOptions): Promise<SoakResult> {
  const scene = await ServedScene.start();
  const client = await connectClient(scene.postgres.connectionString, 'sortition soak');
  const over = new AbortController();
  try {
    scene.keepsAddresses = true;
    await scene.prepare(FLAGS);
    scene.load.begin();
    scene.load.enter('during');
    const unrest = new Unrest(scene, random, over.signal);
    const running = unrest.run(client);
    const samples = await sampled(scene, seconds, onMinute);
    over.abort();
    await running;
    await scene.load.settled('during');
    return await resultOf(scene, unrest, { seconds, samples });
  } finally {
    over.abort();
    await client.end();
    await scene.stop();
  }
}

type Samples = Readonly<Record<MemoryKind, Sample[]>>;

async function sampled(
  scene: ServedScene,
  seconds: number,
  onMinute: SoakOptions['onMinute'],
): Promise<Samples> {
  const samples: Samples = { rss: [], heapUsed: [], external: [], arrayBuffers: [] };
  const startedMs = performance.now();
  let minutes = 0;
  for (;;) {
    const atMs = performance.now() - startedMs;
    if (atMs >= seconds * 1_000) return samples;
    const memory = await scene.server.inside('memory');
    for (const kind of MEMORY_KINDS) samples[kind].push({ atMs, value: memory[kind] });
    if (atMs >= (minutes + 1) * MINUTE_MS) {
      minutes++;
      const { answered, failed } = scene.load.counts('during');
      const rss = Math.round(memory.rss / MIB);
      onMinute?.(`${minutes} min: ${answered} answers, ${failed} failed, ${rss} MiB resident`);
    }
    await delay(SAMPLE_EVERY_MS);
  }
}

async function resultOf(
  scene: ServedScene,
  unrest: Unrest,
  { seconds, samples }: { readonly seconds: number; readonly samples: Samples },
): Promise<SoakResult> {
  const { loader, httpThreadRestarts } = await scene.status();
  const counts = PHASES.map(phase => scene.load.counts(phase));
  const sum = (of: 'answered' | 'failed') => counts.reduce((all, each) => all + each[of], 0);
  const lines = MEMORY_KINDS.map(kind => [kind, lineThrough(secondHalf(samples[kind]))] as const);
  return {
    seconds,
    requests: sum('answered') + sum('failed'),
    failed: sum('failed'),
    reasons: Object.fromEntries(counts.flatMap(({ reasons }) => [...reasons])),
    slowestMs: Math.round(Math.max(...counts.map(({ slowestMs }) => slowestMs))),
    loads: loader.refreshes,
    loaderKills: unrest.loaderKills,
    loaderRestarts: loader.restarts,
    workerKills: unrest.workerKills,
    revocations: unrest.revocations,
    changes: unrest.changes,
    httpThreadRestarts,
    troubles: scene.server.log
      .filter(({ level }) => level >= WARN_LEVEL)
      .slice(-TROUBLES_MAX)
      .map(line => JSON.stringify(line)),
    memory: Object.fromEntries(lines) as Record<MemoryKind, Line>,
  };
}

/** Nodes of the table. */
export const SOAK_NODES = NODES;
