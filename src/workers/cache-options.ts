/** What `openCache` takes. Types only; defaults and checks are in `settings.ts`. */
import type { PlacementOptions } from '../engine/placement/placement.ts';
import type { FleetOptions } from './fleet-options.ts';
import type { SnapshotSigningOptions } from './snapshot-signature.ts';
import type { SourceOptions } from './source/open-source.ts';

export interface RefreshOptions {
  /**
   * Time between the starts of two loads. 90,000 by default. A load that takes longer is followed by the next
   * one after a short pause.
   */
  readonly everyMs?: number;
  /**
   * Part of `everyMs` by which a load may come earlier, at random, so that replicas spread. 0.1 by default.
   */
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
  /** Largest part of the rows that may have the id of another row. 0.01 by default. */
  readonly duplicateRatioMax?: number;
  /**
   * Largest part by which vetted plus new, and vetted alone, may shrink from one generation to the next. 0.2
   * by default.
   */
  readonly dropRatioMax?: number;
  /** The same within an hour, against the most that was served: for a slow decline. 0.5 by default. */
  readonly dropPerHourRatioMax?: number;
  /** How many times as many nodes one generation may have as the one before, from 100 on. 10 by default. */
  readonly growthFactorMax?: number;
  /** Largest share that one network may have of the vetted or of the new nodes. 1 by default: no limit. */
  readonly networkShareMax?: number;
  /**
   * A drop, growth or concentration is published all the same when so many loads in a row after the first
   * refused one say the same. 0 by default: never by itself.
   */
  readonly confirmations?: number;
  /** Fewest vetted nodes that may be chosen. 0 by default. */
  readonly vettedMin?: number;
  /**
   * Fewest nodes that may be chosen (vetted plus new). 1 by default: an empty load never replaces a good one.
   */
  readonly nodesMin?: number;
  /**
   * Special-use ranges that are allowed all the same, by name (`private-10`, `loopback`, …). None by default.
   */
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
  /** Keys of that file: who signs it, and whose signature is asked for. None by default. */
  readonly snapshotSigning?: SnapshotSigningOptions;
  /** Replicas that share loads over a bus. None by default: the cache loads for itself. */
  readonly fleet?: FleetOptions;
  /** False: `openCache` resolves before the first generation is there; see `ready`. True by default. */
  readonly waitForFirstLoad?: boolean;
  /** Longest wait of `openCache` for the first generation. 60,000 by default. */
  readonly readyTimeoutMs?: number;
}
