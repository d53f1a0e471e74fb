/** How requests gather into tasks of the worker pool: how many at once, how large, what happens beyond. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { TurnBatch, type TurnBatchLimits } from '../../src/server/answers/turn-batch.ts';
import type { PoolAnswer } from '../../src/workers/worker-pool.ts';

const LIMITS: TurnBatchLimits = { tasksMax: 1, waitingMax: 100, timeoutMs: 60_000 };

interface Task {
  readonly format: string;
  readonly size: number;
  answer(): void;
  fail(): void;
}

/** A pool whose tasks end when the test says so, and what has been delivered, by name. */
function bench(limits: Partial<TurnBatchLimits> = {}) {
  const tasks: Task[] = [];
  const turns = new TurnBatch(
    {
      run: (format, { length: size }) => {
        const { promise, resolve, reject } = Promise.withResolvers<readonly PoolAnswer[]>();
        const answers = Array.from({ length: size }, (_, index): PoolAnswer => {
          return {
            ok: true,
            bytes: Uint8Array.of(index),
            found: 1,
            newFound: 0,
            generation: 1,
            shortage: undefined,
          };
        });
        tasks.push({ format, size, answer: () => resolve(answers), fail: () => reject(new Error('lost')) });
        return promise;
      },
    },
    { ...LIMITS, ...limits },
  );
  const delivered = new Map<string, number | undefined>();
  const add = (name: string, format: 'json' | 'messagepack' = 'json') => {
    turns.add(format, {}, answered => {
      expect(delivered.has(name)).toBe(false);
      delivered.set(name, answered?.ok === true ? answered.bytes[0] : undefined);
    });
  };
  const sizes = () => tasks.map(({ format, size }) => `${size} ${format}`);
  return { turns, tasks, delivered, add, sizes };
}

async function settled(): Promise<void> {
  await turn();
  await turn();
}

describe('requests', () => {
  test('of one turn go as one task, each with its own answer', async () => {
    const { add, tasks, delivered, sizes } = bench();
    for (const name of ['a', 'b', 'c']) add(name);
    expect(tasks).toEqual([]);
    await settled();
    expect(sizes()).toEqual(['3 json']);
    tasks[0]!.answer();
    await settled();
    expect([...delivered]).toEqual([
      ['a', 0],
      ['b', 1],
      ['c', 2],
    ]);
  });

  test('that come while every worker has a task gather for the next one', async () => {
    const { add, tasks, turns, sizes } = bench();
    add('a');
    await settled();
    for (let i = 0; i < 40; i++) {
      add(`later ${i}`);
      await turn();
    }
    expect(sizes()).toEqual(['1 json']);
    expect(turns.waitingCount).toBe(40);
    tasks[0]!.answer();
    await settled();
    expect(sizes()).toEqual(['1 json', '40 json']);
    expect(turns.waitingCount).toBe(0);
  });

  test('of two turns go to two workers where there are two', async () => {
    const { add, sizes } = bench({ tasksMax: 2 });
    for (const name of ['a', 'b', 'c']) {
      add(name);
      await settled();
    }
    expect(sizes()).toEqual(['1 json', '1 json']);
  });

  test('of both formats take turns: neither waits for the other to fall silent', async () => {
    const { add, tasks, sizes } = bench();
    add('first');
    await settled();
    add('packed', 'messagepack');
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 5; j++) add(`json ${i} ${j}`);
      tasks.at(-1)!.answer();
      await settled();
    }
    expect(sizes()).toEqual(['1 json', '1 messagepack', '10 json', '5 json']);
  });
});

describe('a request is left to be answered in place', () => {
  test('at once when too many wait', async () => {
    const { add, delivered, turns } = bench({ waitingMax: 2 });
    for (const name of ['a', 'b', 'c']) add(name);
    expect([...delivered]).toEqual([['c', undefined]]);
    expect(turns.waitingCount).toBe(2);
  });

  test('when its task is refused or lost; the next task goes all the same', async () => {
    const { add, tasks, delivered, sizes } = bench();
    add('a');
    await settled();
    add('b');
    tasks[0]!.fail();
    await settled();
    expect([...delivered]).toEqual([['a', undefined]]);
    expect(sizes()).toEqual(['1 json', '1 json']);
  });

  test('when its task takes too long; an answer that comes later is dropped', async () => {
    const { add, tasks, delivered } = bench({ timeoutMs: 20 });
    add('a');
    await expect.poll(() => delivered.has('a')).toBe(true);
    tasks[0]!.answer();
    await settled();
    expect([...delivered]).toEqual([['a', undefined]]);
  });
});
