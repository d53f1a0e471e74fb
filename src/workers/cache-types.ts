/** The faces of the cache: what `openCache` takes, and what `openCache` and `attachCache` give. Types only. */
import type { Worker } from 'node:worker_threads';
import type { PlacementOptions } from '../engine/placement.ts';
import type { Selection } from '../engine/selection-result.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  LookupResult,
  NodeId,
  SelectionRequest,
} from '../engine/selection-types.ts';
import type { LoaderStatus, RefreshResult } from './messages.ts';
import type { SourceOptions } from './source/open-source.ts';

export interface RefreshOptions {
  /** Time between the starts of two loads. 90,000 by default. */
  readonly everyMs?: number;
  /** Part of `everyMs` by which a load may come earlier, at random, so that replicas spread. 0.1 by default. */
  readonly jitterRatio?: number;
  /** Deadline of one whole load. 60,000 by default. */
  readonly timeoutMs?: number;
  /** First and longest wait after a failed load; doubles in between, with full jitter. 1,000 and 60,000. */
  readonly backoffFirstMs?: number;
  readonly backoffLongestMs?: number;
}

export interface CapacityOptions {
  /** Nodes a snapshot can hold. 1,000,000 by default; reserved as address space, paid for when used. */
  readonly nodes?: number;
  /** Threads that can hold the cache at once. 16 by default. */
  readonly readers?: number;
}

/** What a load must satisfy before it is published. */
export interface GuardOptions {
  /** Largest part of the rows that may be refused one by one. 0.05 by default. */
  readonly rejectRatioMax?: number;
  /** Largest part by which vetted plus new may shrink from one generation to the next. 0.2 by default. */
  readonly dropRatioMax?: number;
  /** Fewest nodes that may be chosen (vetted plus new). 1 by default: an empty load never replaces a good one. */
  readonly nodesMin?: number;
  /** Special-use ranges that are allowed all the same, by name (`private-10`, `loopback`, …). None by default. */
  readonly allowRanges?: readonly string[];
}

export interface CacheOptions {
  readonly source: SourceOptions;
  readonly refresh?: RefreshOptions;
  readonly capacity?: CapacityOptions;
  readonly guard?: GuardOptions;
  readonly placements?: Readonly<Record<string, PlacementOptions>>;
  /** Attributes by which requests may ask to be spread (`distinct`), beside those of the placements. */
  readonly distinctAttributes?: readonly string[];
  /** Bits of an address that name its network, where the source does not name it. 24 and 64 by default. */
  readonly networkPrefixBits?: { readonly ipv4?: number; readonly ipv6?: number };
  readonly limits?: {
    /** Largest `count` of a request. 1,000 by default. */
    readonly countMax?: number;
    /** Largest number of ids in `exclude` and `held` together, and in one lookup. 10,000 by default. */
    readonly idsMax?: number;
  };
  /** File that receives each published snapshot (written aside, synced, renamed). None by default. */
  readonly snapshotFile?: string;
}

/** What crosses to another thread: shared memory and plain data, for `worker.postMessage` or `workerData`. */
export interface CacheHandle {
  readonly kind: 'sortition-cache';
  readonly control: SharedArrayBuffer;
  readonly slots: readonly SharedArrayBuffer[];
  readonly settings: unknown;
}

/** A thread's own access to the cache. Every call is synchronous, takes no lock and never waits. */
export interface CacheReader {
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
  /** Gives the seat back. Every later call throws CACHE_CLOSED. */
  close(): void | Promise<void>;
}

/** The owner's side: the loader thread belongs to it. */
export interface Cache extends CacheReader {
  /** For other threads of the process: `worker.postMessage(cache.handle())`, then `attachCache` over there. */
  handle(): CacheHandle;
  /**
   * Watches a worker, so that its seat is freed even when it is terminated. Needed only for workers that were started
   * before the cache was opened, or by another thread; the others are watched without being asked.
   */
  adopt(worker: Worker): void;
  status(): LoaderStatus;
  /** Called on every change of the loader's state; returns how to stop listening. */
  onStatus(listener: (status: LoaderStatus) => void): () => void;
  /** Loads now; while a load runs, once more after it. Demands that wait together share one load. `acceptDrop` waives the drop limit once. */
  refresh(options?: { acceptDrop?: boolean }): Promise<RefreshResult>;
  /** Resolves with the first generation; rejects when the cache closes first, or after `timeoutMs`. */
  ready(options?: { timeoutMs?: number }): Promise<number>;
  close(): Promise<void>;
}
