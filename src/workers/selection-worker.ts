/**
 * Entry of a selection worker (Piscina): attaches once, then does one task at a time, synchronously. A task
 * is a list of requests, and its result one run of bytes, in which each answer says where it ends, and errors
 * as data; or it is to keep rings full for a while (`ring-tending.ts`). Never awaits.
 */
import { threadId, workerData } from 'node:worker_threads';
import { encodedBytesMax } from '../engine/encoding/encode.ts';
import { CacheError, errorData } from '../engine/errors.ts';
import { DEFAULT_COUNT } from '../engine/selection/selection-request.ts';
import { attachCache } from './cache.ts';
import type {
  SelectionTask,
  SelectionTaskAnswer,
  SelectionTaskResult,
  TendResult,
  TendTask,
} from './messages.ts';
import { RingTending } from './ring-tending.ts';
import type { SelectionWorkerData } from './selection-worker-data.ts';

const { cache: handle, rings } = workerData as SelectionWorkerData;
const cache = attachCache(handle);
/** Scratch that is kept between two tasks; a larger one is given back. */
const SCRATCH_KEPT_BYTES = 4 * 1024 * 1024;
/**
 * Where the answers of a task are encoded, one behind the other; grows to what they need, which the limits of
 * a request bound.
 */
let scratch = new Uint8Array(encodedBytesMax('json', DEFAULT_COUNT));

export function answer(task: SelectionTask): SelectionTaskResult {
  const answers: SelectionTaskAnswer[] = [];
  let end = 0;
  for (const request of task.requests) {
    try {
      const needed = encodedBytesMax(task.format, request.count ?? DEFAULT_COUNT);
      // A count that is too large is refused by the call below, not by an allocation here.
      if (needed <= task.bytesMax) makeRoom(end, needed);
      const { bytes, ...rest } = cache.selectEncoded(task.format, request, scratch.subarray(end));
      end += bytes;
      answers.push({ ok: true, end, ...rest });
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      answers.push({ ok: false, error: errorData(error, 'REQUEST_INVALID') });
    }
  }
  const bytes = scratch.slice(0, end);
  if (scratch.length > SCRATCH_KEPT_BYTES) scratch = new Uint8Array(SCRATCH_KEPT_BYTES);
  return { answers, bytes };
}

/** Makes the scratch take `needed` bytes behind the first `end`, which it keeps. */
function makeRoom(end: number, needed: number): void {
  if (scratch.length - end >= needed) return;
  const larger = new Uint8Array(Math.max(2 * scratch.length, end + needed));
  larger.set(scratch.subarray(0, end));
  scratch = larger;
}

const tending = rings === undefined ? undefined : new RingTending(rings, cache, threadId);

export function tend(task: TendTask): TendResult {
  return tending === undefined ? { filled: 0, unfit: [] } : tending.tend(task);
}
