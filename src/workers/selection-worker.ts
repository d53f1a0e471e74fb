/**
 * Entry of a selection worker (Piscina): attaches once, then answers one task at a time, synchronously. A task is a list
 * of requests; its result is one run of bytes, cut up by `ends`, and errors as data. Never waits, never awaits.
 */
import { workerData } from 'node:worker_threads';
import { encodedBytesMax } from '../engine/encode.ts';
import { CacheError, errorData } from '../engine/errors.ts';
import { DEFAULT_COUNT } from '../engine/selection-request.ts';
import { attachCache } from './cache.ts';
import type { CacheHandle } from './cache-types.ts';
import type { SelectionTask, SelectionTaskAnswer, SelectionTaskResult } from './messages.ts';

const handle = workerData as CacheHandle;
const cache = attachCache(handle);
/** Where one answer is encoded; grows to the largest that was asked for, which `limits.countMax` bounds. */
let scratch = new Uint8Array(encodedBytesMax('json', DEFAULT_COUNT));

export function answer(task: SelectionTask): SelectionTaskResult {
  const answers: SelectionTaskAnswer[] = [];
  const pieces: Uint8Array[] = [];
  let end = 0;
  for (const request of task.requests) {
    try {
      const needed = encodedBytesMax(task.format, request.count ?? DEFAULT_COUNT);
      // A count that is too large is refused by the call below, not by an allocation here.
      if (scratch.length < needed && needed <= task.bytesMax) scratch = new Uint8Array(needed);
      const { bytes, ...rest } = cache.selectEncoded(task.format, request, scratch);
      pieces.push(scratch.slice(0, bytes));
      end += bytes;
      answers.push({ ok: true, end, ...rest });
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      answers.push({ ok: false, error: errorData(error, 'REQUEST_INVALID') });
    }
  }
  return { answers, bytes: joined(pieces, end) };
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
