/**
 * What readers on several threads make together: selections a second of one thread and of two, which share
 * the slots and nothing that is written. Beside it loops that share nothing at all: what they do not double,
 * this machine's second core does not give.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Cache } from '../../src/index.ts';
import { type BenchResult, median, rounded } from '../harness/result.ts';

const WORKER_URL = new URL('./reader-thread.ts', import.meta.url);
const THREADS = 2;

/** What a thread is told to do. */
export interface ReaderTask {
  readonly work: 'loop' | 'records';
  readonly ms: number;
}

export interface ReaderTimes {
  readonly ms: number;
  readonly rounds: number;
}

export async function readerThreadResults(cache: Cache, times: ReaderTimes): Promise<BenchResult[]> {
  const workers = Array.from(
    { length: THREADS },
    () => new Worker(WORKER_URL, { workerData: cache.handle() }),
  );
  try {
    await Promise.all(workers.map(worker => once(worker, 'message')));
    const results: BenchResult[] = [];
    for (const work of ['loop', 'records'] as const) results.push(...(await compare(workers, work, times)));
    return results;
  } finally {
    await Promise.all(workers.map(worker => worker.terminate()));
  }
}

/** One thread and all of them in turn; medians over the rounds. */
async function compare(
  workers: readonly Worker[],
  work: ReaderTask['work'],
  { ms, rounds }: ReaderTimes,
): Promise<BenchResult[]> {
  const alone: number[] = [];
  const together: number[] = [];
  for (let round = 0; round < rounds; round++) {
    alone.push(await rate(workers.slice(round % THREADS, (round % THREADS) + 1), { work, ms }));
    together.push(await rate(workers, { work, ms }));
  }
  const name = work === 'loop' ? 'floor: empty loops' : 'sortition: records';
  const floor = `${name}, 1 thread`;
  return [
    { name: floor, requests_per_second: rounded(median(alone)) },
    { name: `${name}, ${THREADS} threads`, requests_per_second: rounded(median(together)), floor },
  ];
}

/** Calls a second of `workers` together. */
async function rate(workers: readonly Worker[], task: ReaderTask): Promise<number> {
  const rates = workers.map(async worker => {
    const answered = once(worker, 'message') as Promise<[number]>;
    worker.postMessage(task);
    return (await answered)[0];
  });
  return (await Promise.all(rates)).reduce((sum, each) => sum + each, 0);
}
