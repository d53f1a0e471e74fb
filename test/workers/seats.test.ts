/** Seats of readers: how they come back from threads that end in every way that a thread can end. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sharedControlWords, takenSeats } from '../../src/engine/publication.ts';
import { attachCache, openCache } from '../../src/workers/cache.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import { CsvFile, vettedNodes } from '../support/csv-file.ts';
import type { SeatCommand } from '../support/seat-messages.ts';
import { until } from '../support/until.ts';

const SEAT_URL = new URL('../support/seat-worker.ts', import.meta.url);

let file: CsvFile;
let cache: Cache;
const workers: Worker[] = [];

beforeEach(async () => {
  file = new CsvFile(vettedNodes(20));
  cache = await openCache({
    source: fileSource(file.path),
    capacity: { nodes: 20, readers: 24 },
    refresh: { everyMs: 3_600_000 },
  });
});

afterEach(async () => {
  await Promise.all(workers.splice(0).map(worker => worker.terminate()));
  await cache.close();
  file.remove();
});

function startThread(): Worker {
  const worker = new Worker(SEAT_URL, { workerData: cache.handle() });
  workers.push(worker);
  return worker;
}

async function tell(worker: Worker, command: SeatCommand): Promise<unknown> {
  const answer = once(worker, 'message');
  worker.postMessage(command);
  const [message] = await answer;
  return (message as { done: unknown }).done;
}

function seats(): number {
  const { words, seats: all } = sharedControlWords(cache.handle().control);
  return takenSeats(words, all);
}

describe('the seat of a terminated thread', () => {
  test('that another attached thread has started is freed by that thread', async () => {
    const parent = startThread();
    await tell(parent, 'attach');
    for (let round = 0; round < 3; round++) {
      await tell(parent, 'startChild');
      expect(seats()).toBe(3);
      await tell(parent, 'terminateChild');
      await until('the seat of the child is free', () => seats() === 2);
    }
  });

  test('is freed once its parent thread has attached and adopts it', async () => {
    const parent = startThread();
    await tell(parent, 'startChild');
    await tell(parent, 'attach');
    expect(seats()).toBe(3);
    await tell(parent, 'adoptChild');
    await tell(parent, 'terminateChild');
    await until('the seat of the child is free', () => seats() === 2);
  });

  test('is freed when the reader of its parent has been closed meanwhile', async () => {
    const reader = attachCache(cache.handle());
    const thread = startThread();
    await tell(thread, 'attach');
    reader.close();
    expect(seats()).toBe(2);
    await thread.terminate();
    await until('the seat is free', () => seats() === 1);
  });
});

describe('a thread that ends', () => {
  test('has closed its readers before later exit handlers run', async () => {
    const thread = startThread();
    await tell(thread, 'attach');
    const messages: unknown[] = [];
    thread.on('message', message => messages.push(message));
    const exited = once(thread, 'exit');
    thread.postMessage('exitSelecting');
    await exited;
    expect(messages).toContainEqual({ selected: 'CACHE_CLOSED' });
    expect(seats()).toBe(1);
  });
});

describe('twenty readers of one thread', () => {
  test('add one listener to the thread, for its end and for the workers that it starts', async () => {
    const thread = startThread();
    const added: unknown[] = [];
    for (let i = 0; i < 20; i++) added.push(await tell(thread, 'attach'));
    expect(seats()).toBe(21);
    expect(new Set(added.map(each => JSON.stringify(each)))).toEqual(
      new Set([JSON.stringify({ exit: 1, worker: 1 })]),
    );
  });

  test('take no listener away from the cache when they are closed', async () => {
    const before = process.listenerCount('worker');
    const readers = Array.from({ length: 20 }, () => attachCache(cache.handle()));
    expect(process.listenerCount('worker')).toBe(before);
    for (const reader of readers) reader[Symbol.dispose]();
    expect(process.listenerCount('worker')).toBe(before);
    await cache.close();
    expect(process.listenerCount('worker')).toBe(before - 1);
  });
});
