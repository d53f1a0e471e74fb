/** The selection workers: batches, errors as data, workers that die, a queue that is full. */
import type { Worker } from 'node:worker_threads';
import { unpack } from 'msgpackr';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { reserveRings, sharedRingWords, Taker } from '../../src/engine/prepared/ring.ts';
import type { RingShape } from '../../src/engine/prepared/ring-layout.ts';
import { sharedControlWords, takenSeats } from '../../src/engine/publication.ts';
import type { SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import { openCache } from '../../src/workers/cache.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import {
  openSelectionPool,
  type PoolAnswer,
  type SelectionPool,
  type SelectionPoolOptions,
} from '../../src/workers/worker-pool.ts';
import { CsvFile, vettedNodes } from '../support/csv-file.ts';
import { until } from '../support/until.ts';

const THREADS = 2;
const COUNT_MAX = 5000;
/** Keeps a worker busy for a good while: many large answers in one task. */
const HEAVY: SelectionRequest[] = Array(60).fill({ count: COUNT_MAX });

let file: CsvFile;
let cache: Cache;
let pools: SelectionPool[] = [];
const threads: Worker[] = [];
const watch = (worker: Worker) => void threads.push(worker);

beforeAll(async () => {
  process.on('worker', watch);
  file = new CsvFile(vettedNodes(COUNT_MAX));
  // Seats for this thread and for the workers, and not one more: a worker that dies must give its own back.
  cache = await openCache({
    source: fileSource(file.path),
    capacity: { nodes: COUNT_MAX, readers: 1 + THREADS },
    limits: { countMax: COUNT_MAX },
    refresh: { everyMs: 3_600_000 },
  });
  await cache.ready();
});

afterEach(async () => {
  await Promise.all(pools.splice(0).map(pool => pool.close()));
  await until('the workers have given their seats back', () => seats() === 1);
});

afterAll(async () => {
  process.off('worker', watch);
  await cache.close();
  file.remove();
});

async function openPool(
  options: Partial<Omit<SelectionPoolOptions, 'threads'>> = {},
): Promise<SelectionPool> {
  const pool = await openSelectionPool(cache, { threads: THREADS, queueMax: 100, ...options });
  pools = [...pools, pool];
  return pool;
}

function seats(): number {
  const { words, seats: all } = sharedControlWords(cache.handle().control);
  return takenSeats(words, all);
}

const livingWorkers = () => threads.slice(1).filter(worker => worker.threadId !== -1);

function parsed(answer: PoolAnswer): { nodes: { id: string }[] } {
  if (!answer.ok) throw new Error(answer.error.message);
  return JSON.parse(Buffer.from(answer.bytes).toString());
}

describe('the selection workers', () => {
  test('answer a batch in its order, each answer with its own bytes', async () => {
    const pool = await openPool();
    const counts = [1, 110, 3, COUNT_MAX, 7];
    const answers = await pool.run(
      'json',
      counts.map(count => ({ count })),
    );
    expect(answers.map(answer => parsed(answer).nodes.length)).toEqual(counts);
    expect(answers.map(answer => answer.ok && answer.found)).toEqual(counts);
    for (const answer of answers) expect(parsed(answer)).toMatchObject({ generation: 1 });
    expect(answers.map(answer => answer.ok && answer.generation)).toEqual(counts.map(() => 1));
  });

  test('answer as MessagePack, and give nothing for an empty batch', async () => {
    const pool = await openPool();
    const [answer] = await pool.run('messagepack', [{ count: 4 }]);
    expect(answer?.ok && unpack(Buffer.from(answer.bytes)).nodes).toHaveLength(4);
    expect(await pool.run('json', [])).toEqual([]);
  });

  test('give errors as data beside the answers of a batch, and shortages with what was found', async () => {
    const pool = await openPool();
    const answers = await pool.run('json', [
      { count: 2 },
      { count: 0 },
      { count: COUNT_MAX + 1 },
      { count: 2, placement: 'nowhere' },
      { exclude: ['bad'] },
      { count: 3, newFraction: 1, exclude: vettedNodes(COUNT_MAX - 1).map(({ id }) => id) },
    ]);
    expect(
      answers.map(answer => (answer.ok ? answer.found : [answer.error.code, answer.error.field])),
    ).toEqual([
      2,
      ['REQUEST_INVALID', 'count'],
      ['REQUEST_INVALID', 'count'],
      ['PLACEMENT_UNKNOWN', 'placement'],
      ['REQUEST_INVALID', 'exclude[0]'],
      1,
    ]);
    expect(answers.at(-1)).toMatchObject({ shortage: { requested: 3, found: 1 } });
    expect(parsed(answers.at(-1)!).nodes.map(({ id }) => id)).toEqual([vettedNodes(COUNT_MAX).at(-1)!.id]);
  });

  test('answer from the newest generation', async () => {
    const pool = await openPool();
    expect(await cache.refresh()).toMatchObject({ ok: true });
    const [answer] = await pool.run('json', [{ count: 1 }]);
    expect(answer).toMatchObject({ ok: true, generation: cache.generation() });
  });

  test('make different picks: each has randomness of its own', async () => {
    const pool = await openPool();
    const answers = await Promise.all(Array.from({ length: 8 }, () => pool.run('json', [{ count: 20 }])));
    const picks = answers.map(([answer]) =>
      parsed(answer!)
        .nodes.map(({ id }) => id)
        .join(),
    );
    expect(new Set(picks).size).toBe(8);
  });

  test('that die cost their own tasks, are replaced, and give their seats to those that follow', async () => {
    const pool = await openPool();
    for (let round = 1; round <= 3; round++) {
      const tasks = Array.from({ length: 6 }, () =>
        pool.run('json', HEAVY).then(
          answers => answers.length,
          error => error.code,
        ),
      );
      await until('tasks wait', () => pool.status().queued === 6 - THREADS);
      await livingWorkers()[0]!.terminate();
      const outcomes = await Promise.all(tasks);
      expect(outcomes.toSorted()).toEqual([...Array(5).fill(HEAVY.length), 'WORKER_LOST']);
      expect(pool.status().lost).toBe(round);
      await until('all workers are there', () => livingWorkers().length === THREADS);
      expect((await pool.run('json', [{ count: 1 }]))[0]).toMatchObject({ ok: true, found: 1 });
    }
    expect(seats()).toBeLessThanOrEqual(1 + THREADS);
  });

  test('refuse what would wait behind a full queue, and take tasks again when it is shorter', async () => {
    const pool = await openPool({ queueMax: 3 });
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, () =>
        pool.run('json', HEAVY).then(
          () => 'answered',
          error => error.code,
        ),
      ),
    );
    expect(outcomes.filter(outcome => outcome === 'answered')).toHaveLength(THREADS + 3);
    expect(outcomes.filter(outcome => outcome === 'OVERLOADED')).toHaveLength(12 - THREADS - 3);
    expect(pool.status()).toMatchObject({ threads: THREADS, queued: 0, lost: 0 });
    expect(await pool.run('json', [{ count: 1 }])).toHaveLength(1);
  });

  test('lose a task that takes longer than its time, and go on', async () => {
    const pool = await openPool({ taskTimeoutMs: 30 });
    const endless = Array(4000).fill({ count: COUNT_MAX });
    await expect(pool.run('json', endless)).rejects.toMatchObject({
      code: 'WORKER_LOST',
      message: expect.stringContaining('30 ms'),
    });
    await until('the pool answers again', () => livingWorkers().length === THREADS);
    await expect(retried(() => pool.run('json', [{ count: 1 }]))).resolves.toHaveLength(1);
  });

  test('answer nothing after close, and give their seats back', async () => {
    const pool = await openPool();
    expect(seats()).toBe(1 + THREADS);
    await pool.close();
    await expect(pool.run('json', [{ count: 1 }])).rejects.toMatchObject({ code: 'CACHE_CLOSED' });
    await until('the seats are free', () => seats() === 1);
  });
});

describe('workers that keep rings full', () => {
  const SHAPE: RingShape = { rings: 2, slots: 20, slotBytes: 4_096 };
  /** Far longer than a test may take: each of them ends because it is called away. */
  const LONG_MS = 600_000;

  async function openTendingPool() {
    const rings = reserveRings(SHAPE);
    const { words } = sharedRingWords(rings);
    const pool = await openPool({ rings, taskTimeoutMs: LONG_MS });
    const tend = (ring: number) => {
      const tenancy = new Taker(words, SHAPE, ring, 0).adopt();
      const tenants = [{ ring, tenancy, format: 'json', request: { count: 3 } }] as const;
      return pool.tend({ tenants, durationMs: LONG_MS });
    };
    return { pool, tend };
  }

  test('come away for a task that was given before they had begun', async () => {
    const { pool, tend } = await openTendingPool();
    const heavy = Array.from({ length: THREADS }, () => pool.run('json', HEAVY));
    // They wait behind the heavy ones, and it behind them.
    const tended = [tend(0), tend(1)];
    expect(await pool.run('json', [{ count: 1 }])).toHaveLength(1);
    await Promise.all([...heavy, ...tended]);
  });

  test('come away when the others are busy, however few they are', async () => {
    const { pool, tend } = await openTendingPool();
    const heavy = pool.run('json', HEAVY);
    const tended = tend(0);
    const small = pool.run('json', [{ count: 1 }]);
    await tended;
    await Promise.all([heavy, small]);
  });

  test('stay while another is free', async () => {
    const { pool, tend } = await openTendingPool();
    let ended = false;
    const tended = tend(0).then(() => {
      ended = true;
    });
    for (let i = 0; i < 20; i++) await pool.run('json', [{ count: 1 }]);
    expect(ended).toBe(false);
    await Promise.all([tended, pool.run('json', HEAVY), pool.run('json', [{ count: 1 }])]);
  });
});

/**
 * A worker that has just been started may take longer for its first task than the short time of the test
 * above.
 */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let left = 50; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}
