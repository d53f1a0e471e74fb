/** Threads that are ended while they throw, block and go on: all of them end. */
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { terminateOrLeave } from '../../src/workers/thread-end.ts';

/** A quarter of the time at least one of these outlives Node's own order, so many times in a row. */
const ROUNDS = 25;
const AT_ONCE = 4;
const LIMIT_MS = 20_000;

/** Throws where nobody catches it, and never comes back to its event loop, as a worker of Piscina. */
const THROWS_AND_GOES_ON = `
  const { parentPort } = require('node:worker_threads');
  const bell = new Int32Array(new SharedArrayBuffer(4));
  let tasks = 0;
  async function task() {
    tasks++;
    if (tasks === 3) queueMicrotask(() => { throw new Error('a bug'); });
    await undefined;
    parentPort.postMessage(tasks);
    Atomics.wait(bell, 0, 0, 5);
    void task();
  }
  void task();
`;

async function endsOne(): Promise<boolean> {
  const worker = new Worker(THROWS_AND_GOES_ON, { eval: true });
  await new Promise(resolve => worker.once('error', resolve));
  return terminateOrLeave(worker, 'a thread that throws', LIMIT_MS);
}

test('a thread ends although it throws and goes on, again and again', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const ended = await Promise.all(Array.from({ length: AT_ONCE }, endsOne));
    expect(ended).toEqual(Array(AT_ONCE).fill(true));
  }
}, 60_000);
