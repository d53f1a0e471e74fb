/**
 * The program of one replica: a cache of a fleet in a process of its own, that selects all the time and
 * remembers whatever it should never see. Its parent, `fleet-process.ts`, gives it its options in the first
 * message, and asks it things. It ends with its parent.
 */
import { createHash } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import { openCache } from '../../src/workers/cache.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import type { LoaderStatus } from '../../src/workers/messages.ts';
import type {
  AgeSample,
  FromReplica,
  ReplicaAnswers,
  ReplicaOptions,
  ReplicaQuestion,
  ReplicaReport,
} from './fleet-process.ts';

const SELECT_EVERY_MS = 5;
const PICKS = 20;
/** What went wrong is told so often; the rest would say the same. */
const FAULTS_MAX = 10;
const SAMPLES_MAX = 20_000;

class Replica {
  readonly #cache: Cache;
  readonly #probeId: string | undefined;
  readonly #faults: string[] = [];
  readonly #samples: AgeSample[] = [];
  #selections = 0;
  #generation = 0;
  #place: { readonly epoch: number; readonly seq: number } | undefined;
  /** Loader threads that were killed on purpose. */
  #killed = 0;

  constructor(cache: Cache, { probeId }: ReplicaOptions) {
    this.#cache = cache;
    this.#probeId = probeId;
    cache.onStatus(status => this.#heard(status));
    setInterval(() => this.#select(), SELECT_EVERY_MS);
  }

  report(): ReplicaReport {
    const cache = this.#cache;
    return {
      status: cache.status(),
      generation: cache.generation(),
      ageMs: cache.ageMs(),
      selections: this.#selections,
      faults: this.#faults,
    };
  }

  /** What it says of each of the nodes, as one hash. */
  contents(ids: readonly string[]): string {
    const { nodes } = this.#cache.lookup(ids);
    return createHash('sha256').update(JSON.stringify(nodes)).digest('hex');
  }

  /** Whether the node can be picked, and how many can: all that can are selected. */
  canBePicked(id: string): { readonly isPicked: boolean; readonly count: number } {
    const { total } = this.#cache.status().nodes!;
    const all = { count: total, distinct: 'none', fillWithNew: true, partial: true };
    const { nodes } = this.#cache.select(all);
    return { isPicked: nodes.some(node => node.id === id), count: nodes.length };
  }

  /** The next thread knows no position: what it serves is found in the log again, maybe further back. */
  async killLoader(): Promise<void> {
    this.#killed++;
    this.#place = undefined;
    await loaders.at(-1)!.terminate();
  }

  samples(): readonly AgeSample[] {
    return this.#samples.splice(0);
  }

  #heard(status: LoaderStatus): void {
    tell({ status });
    const place = status.fleet?.position;
    const before = this.#place;
    if (status.restarts > this.#killed)
      this.#fault(`the loader thread died: ${JSON.stringify(status.lastError)}`);
    if (place === undefined || status.state === 'restarting') return;
    if (before !== undefined && (place.epoch - before.epoch || place.seq - before.seq) < 0) {
      this.#fault(`the position went back from ${JSON.stringify(before)} to ${JSON.stringify(place)}`);
    }
    this.#place = place;
  }

  #select(): void {
    const cache = this.#cache;
    // Before the first generation there is nothing to select from.
    if (cache.generation() === 0) return;
    try {
      const { nodes } = cache.select({ count: PICKS });
      if (nodes.length !== PICKS) this.#fault(`a selection of ${nodes.length} nodes`);
      this.#sampleAge();
    } catch (error) {
      this.#fault(`a selection failed: ${(error as Error).stack}`);
    }
    const generation = cache.generation();
    if (generation < this.#generation) this.#fault(`${this.#generation} was followed by ${generation}`);
    this.#generation = generation;
    this.#selections++;
  }

  /** In this order: whatever comes between makes the content younger, and the claim no harder to keep. */
  #sampleAge(): void {
    if (this.#probeId === undefined || this.#samples.length >= SAMPLES_MAX) return;
    const atMs = machineMs();
    const ageMs = this.#cache.ageMs();
    const port = this.#cache.lookup([this.#probeId]).nodes[0]?.port;
    this.#samples.push({ atMs, ageMs, port });
  }

  #fault(what: string): void {
    if (this.#faults.length < FAULTS_MAX) this.#faults.push(what);
  }
}

/** The clock that all processes of a machine share. */
function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function tell(message: FromReplica): void {
  // The parent may be gone; then this process is about to be.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

type Answers = { [K in keyof ReplicaAnswers]: (question: never) => unknown };

function answersOf(cache: Cache, replica: Replica): Answers {
  return {
    report: () => replica.report(),
    contents: ({ ids }: { ids: readonly string[] }) => replica.contents(ids),
    canBePicked: ({ id }: { id: string }) => replica.canBePicked(id),
    samples: () => replica.samples(),
    fleet: () => cache.fleet(),
    refresh: () => cache.refresh(),
    revoke: ({ ids, holdMs }: { ids: readonly string[]; holdMs?: number }) =>
      cache.revoke(ids, holdMs === undefined ? {} : { holdMs }),
    restore: ({ ids }: { ids: readonly string[] }) => cache.restore(ids),
    killLoader: () => replica.killLoader(),
    close: () => cache.close(),
  };
}

/** There is no other thread in this process. */
const loaders: Worker[] = [];
process.on('worker', worker => loaders.push(worker));
process.once('disconnect', () => process.exit());
process.once('message', (options: ReplicaOptions) => void run(options));

async function run(options: ReplicaOptions): Promise<void> {
  const cache = await openCache({ ...options.cache, waitForFirstLoad: false });
  const answers = answersOf(cache, new Replica(cache, options));
  process.on('message', (question: ReplicaQuestion) => void answer(question, answers));
  tell({ opened: true });
}

async function answer({ number, kind, ...question }: ReplicaQuestion, answers: Answers): Promise<void> {
  try {
    tell({ number, value: await answers[kind](question as never) });
  } catch (error) {
    tell({ number, problem: (error as Error).stack ?? String(error) });
  }
}
