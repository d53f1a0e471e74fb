/**
 * Entry of a selection worker (Piscina): attaches once, then does one task at a time, synchronously. A task
 * is a list of requests, and its result one run of bytes, in which each answer says where it is, and errors
 * as data; or it is to keep rings full for a while (`ring-tending.ts`). Never awaits.
 */
import { threadId, workerData } from 'node:worker_threads';
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { encodedBytesMax } from '../engine/encoding/encode.ts';
import { CacheError, errorData } from '../engine/errors.ts';
import { DEFAULT_COUNT } from '../engine/selection/selection-request.ts';
import { BATCH_ROOM } from './batch-room.ts';
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

/** What is smaller is copied: handing memory over takes longer. */
const MOVED_BYTES_MIN = 32 * 1024;

/** The result, or a note to Piscina to hand it over without a copy. */
export function answer(task: SelectionTask): SelectionTaskResult {
  const { answers, end } = encode(task);
  const bytes = scratch.slice(0, end + BATCH_ROOM[task.format].behind);
  if (scratch.length > SCRATCH_KEPT_BYTES) scratch = new Uint8Array(SCRATCH_KEPT_BYTES);
  const result = { answers, bytes };
  if (bytes.length < MOVED_BYTES_MIN) return result;
  return move({
    [transferableSymbol]: bytes.buffer,
    [valueSymbol]: result,
  }) as unknown as SelectionTaskResult;
}

/** Encodes the answers into the scratch, each where the one before ends and a little further. */
function encode(task: SelectionTask): { readonly answers: SelectionTaskAnswer[]; readonly end: number } {
  const answers: SelectionTaskAnswer[] = [];
  const { before, between, behind } = BATCH_ROOM[task.format];
  let end = before - between;
  for (const request of task.requests) {
    try {
      const needed = encodedBytesMax(task.format, request.count ?? DEFAULT_COUNT);
      // A count that is too large is refused by the call below, not by an allocation here.
      const start = end + between;
      if (needed <= task.bytesMax) makeRoom(start, needed + behind);
      const { bytes, ...rest } = cache.selectEncoded(task.format, request, scratch.subarray(start));
      end = start + bytes;
      answers.push({ ok: true, start, end, ...rest });
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      answers.push({ ok: false, error: errorData(error, 'REQUEST_INVALID') });
    }
  }
  return { answers, end };
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
