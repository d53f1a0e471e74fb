/**
 * Entry of a thread of `reader-threads.ts`: does what it is told for so long, and says how often in a second.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { attachCache, type CacheHandle } from '../../src/index.ts';
import type { ReaderTask } from './reader-threads.ts';

const COUNT = 110;
const REQUEST = { count: COUNT, newFraction: 5 / COUNT };
/** Calls between two looks at the clock. */
const BATCH = 64;
/** As long as a selection, so that both kinds look at the clock as often. */
const LOOP_STEPS = 2_000;

const reader = attachCache(workerData as CacheHandle);
const records = new Uint8Array(COUNT * RECORD_BYTES);
let sink = 0;

const WORK: Record<ReaderTask['work'], () => void> = {
  loop: () => {
    for (let i = 0; i < LOOP_STEPS; i++) sink = (Math.imul(sink, 1_664_525) + 1_013_904_223) | 0;
  },
  records: () => {
    sink += reader.selectRecords(REQUEST, records).bytes;
  },
};

parentPort?.on('message', ({ work, ms }: ReaderTask) => {
  const once = WORK[work];
  const started = performance.now();
  let calls = 0;
  let elapsed = 0;
  while (elapsed < ms) {
    for (let i = 0; i < BATCH; i++) once();
    calls += BATCH;
    elapsed = performance.now() - started;
  }
  parentPort?.postMessage((1000 * calls) / elapsed);
});
parentPort?.postMessage('ready');
