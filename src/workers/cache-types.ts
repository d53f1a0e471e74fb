/** The faces of the cache: what `openCache` and `attachCache` give. Types only. */
import type { Worker } from 'node:worker_threads';
import type { KernelKind } from '../engine/kernel/kernel.ts';
import type { RingMemory } from '../engine/prepared/ring.ts';
import type { Selection } from '../engine/selection/selection-result.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  LookupResult,
  NodeId,
  NodeIds,
  SelectionRequest,
} from '../engine/selection/selection-types.ts';
import type { FleetView } from './fleet-link.ts';
import type { GuardStatus } from './guard/data-guard.ts';
import type { ValidatorName } from './guard/validators.ts';
import type { LoaderStatus, RefreshResult } from './messages.ts';
import type { RevokeResult } from './revocations.ts';
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
  lookup(ids: NodeIds): LookupResult;
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
  /**
   * Takes nodes out at once: selections that begin after it resolves leave them out, on every thread. They
   * stay out over refreshes until the source has them no longer as eligible, or tells of a change of them, or
   * `holdMs` is over (an hour unless given, 30 days at the most). Throws REQUEST_INVALID naming the id,
   * CAPACITY_EXCEEDED beyond 4,096 nodes, LOADER_LOST while the loader is being started again.
   */
  revoke(ids: readonly NodeId[], options?: { holdMs?: number }): Promise<RevokeResult>;
  /** Ends revocations; the nodes come back with the next generation. Returns how many there were. */
  restore(ids: readonly NodeId[]): Promise<number>;
  /**
   * Lets the next load be published that these validators, and no others, would refuse. Used once, and not
   * after `forMs`. Throws REQUEST_INVALID for a validator that cannot be overridden.
   */
  override(validators: readonly ValidatorName[], forMs: number): Promise<GuardStatus>;
  /** This replica and the others of its fleet; undefined where it loads for itself. */
  fleet(): Promise<FleetView | undefined>;
  /** Has rings of prepared answers dropped what a revocation makes void. */
  addRings(memory: RingMemory): void;
  /** Resolves with the first generation; rejects when the cache closes first, or after `timeoutMs`. */
  ready(options?: { timeoutMs?: number }): Promise<number>;
  /** Ends the loader thread and gives the seat back; refreshes that wait are answered CACHE_CLOSED. */
  close(): Promise<void>;
  /** `await using` waits for the end of `close`; a plain `using` only begins it. */
  [Symbol.asyncDispose](): Promise<void>;
}
