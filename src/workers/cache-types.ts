/** The faces of the cache: what `openCache` and `attachCache` give. Types only. */
import type { Worker } from 'node:worker_threads';
import type { KernelKind } from '../engine/kernel/kernel.ts';
import type { Selection } from '../engine/selection/selection-result.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  LookupResult,
  NodeId,
  SelectionRequest,
} from '../engine/selection/selection-types.ts';
import type { LoaderStatus, RefreshResult } from './messages.ts';
import type { ReaderSettings } from './settings.ts';

/** What crosses to another thread: shared memory and plain data, for `worker.postMessage` or `workerData`. */
export interface CacheHandle {
  readonly kind: 'sortition-cache';
  readonly control: SharedArrayBuffer;
  readonly slotBytes: number;
  /** Shared memory, of the kind that this machine can have. */
  readonly slots: readonly object[];
  /** The compiled kernel, where there is one. */
  readonly kernel: object | undefined;
  readonly settings: ReaderSettings;
}

/** A thread's own access to the cache. Every call is synchronous, takes no lock and never waits. */
export interface CacheReader {
  /** Who draws and encodes: the WebAssembly kernel, or its plain twin where that cannot run. */
  readonly kernel: KernelKind;
  /** Picks nodes from one whole generation. Throws REQUEST_INVALID, PLACEMENT_UNKNOWN, SNAPSHOT_NOT_READY. */
  select(request?: SelectionRequest): Selection;
  /** The same, encoded into `target` as a whole answer; see `encodedBytesMax`. Allocates next to nothing. */
  selectEncoded(format: EncodedFormat, request: SelectionRequest, target: Uint8Array): EncodedSelection;
  /** The same as fixed-width node records (`native-layout/node-record.ts`), RECORD_BYTES each. */
  selectRecords(request: SelectionRequest, target: Uint8Array): EncodedSelection;
  lookup(ids: readonly NodeId[]): LookupResult;
  /** The generation that the next call would use, 0 before the first. */
  generation(): number;
  /** Milliseconds since the read of that generation began; Infinity before the first. */
  ageMs(): number;
  /**
   * Watches a worker of this thread, so that its seat is freed even when it is terminated. Workers that this
   * thread starts while it has a reader are watched without being asked; `adopt` is for those it started
   * before. Only the thread that started a worker can watch it. So a seat stays taken until the cache is
   * closed when a thread is terminated whose own parent has no reader, or is itself terminated; a thread that
   * ends in order gives its seat back by itself, whoever started it.
   */
  adopt(worker: Worker): void;
  /** Gives the seat back. Every later call throws CACHE_CLOSED. */
  close(): void;
  [Symbol.dispose](): void;
}

/** The owner's side: the loader thread belongs to it. */
export interface Cache extends CacheReader {
  /**
   * For other threads of the process: `worker.postMessage(cache.handle())`, then `attachCache` over there.
   */
  handle(): CacheHandle;
  status(): LoaderStatus;
  /** Called on every change of the loader's state; returns how to stop listening. */
  onStatus(listener: (status: LoaderStatus) => void): () => void;
  /**
   * Loads now; while a load runs, once more after it. Demands that wait together share one load. `acceptDrop`
   * waives the drop limit once.
   */
  refresh(options?: { acceptDrop?: boolean }): Promise<RefreshResult>;
  /** Resolves with the first generation; rejects when the cache closes first, or after `timeoutMs`. */
  ready(options?: { timeoutMs?: number }): Promise<number>;
  /** Ends the loader thread and gives the seat back; refreshes that wait are answered CACHE_CLOSED. */
  close(): Promise<void>;
  /** `await using` waits for the end of `close`; a plain `using` only begins it. */
  [Symbol.asyncDispose](): Promise<void>;
}
