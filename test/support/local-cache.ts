/**
 * A cache without threads: rows in, reader out, all on the thread of the test. For tests and benches of the
 * engine.
 */
import { randomFillSync } from 'node:crypto';
import type { SnapshotLayout } from '../../native-layout/snapshot-layout.ts';
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { DEFAULT_PREFIX_BITS, type PrefixBits } from '../../src/engine/address/network-table.ts';
import {
  type PlacementPlan,
  type PlacementSettings,
  placementPlan,
} from '../../src/engine/placement/placement-plan.ts';
import { type ControlWords, Lease, Publisher, sharedControlWords } from '../../src/engine/publication.ts';
import { Reader } from '../../src/engine/reader.ts';
import { KEY_WORDS, Random } from '../../src/engine/selection/random.ts';
import { DEFAULT_LIMITS, type SelectionLimits } from '../../src/engine/selection/selection-request.ts';
import { reserveMemory, type SharedMemory, slotLayout } from '../../src/engine/shared-memory.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import type { Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { type BuildCounts, SnapshotBuilder } from '../../src/engine/snapshot/snapshot-builder.ts';
import { validateSnapshot } from '../../src/engine/snapshot/snapshot-validator.ts';

export interface LocalCacheOptions {
  readonly capacity?: number;
  readonly readers?: number;
  readonly settings?: PlacementSettings;
  readonly limits?: SelectionLimits;
  readonly prefixBits?: PrefixBits;
  readonly allowRanges?: readonly string[];
  /** Key of the readers' randomness; from the operating system by default. */
  readonly seed?: number;
}

export class LocalCache {
  readonly plan: PlacementPlan;
  readonly layout: SnapshotLayout;
  readonly memory: SharedMemory;
  readonly words: ControlWords;
  readonly seats: number;
  readonly publisher: Publisher;
  readonly #options: LocalCacheOptions;
  clockMs = 1000;

  constructor(options: LocalCacheOptions = {}) {
    this.#options = options;
    this.plan = placementPlan(options.settings ?? { placements: {}, distinctAttributes: [] });
    this.layout = slotLayout(options.capacity ?? 20_000, this.plan);
    this.memory = reserveMemory(this.layout, options.readers ?? 2);
    const { words, seats } = sharedControlWords(this.memory.control);
    this.words = words;
    this.seats = seats;
    this.publisher = new Publisher(words, seats);
  }

  /** Builds, validates and publishes `rows`; returns what was counted. */
  publish(rows: Iterable<NodeRow>): BuildCounts & { snapshot: Snapshot } {
    const slot = this.publisher.claimSlot();
    const views = snapshotViews(this.memory.slots[slot]!, this.layout);
    const builder = new SnapshotBuilder(views, {
      plan: this.plan,
      prefixBits: this.#options.prefixBits ?? DEFAULT_PREFIX_BITS,
      allowRanges: this.#options.allowRanges ?? [],
      indexSeed: 0x5eed,
    });
    for (const row of rows) builder.append(row);
    const generation = this.publisher.nextGeneration();
    builder.finish({ generation, readAtMonotonic: this.clockMs, readAtUnix: 0 });
    const snapshot = validateSnapshot(views);
    this.publisher.publish(slot, generation);
    return { ...builder.counts(), snapshot };
  }

  /** A reader in a seat of its own; `seed` is the key of its randomness. */
  reader(threadId = 0, seed = this.#options.seed): Reader {
    const key =
      seed === undefined ? randomFillSync(new Uint32Array(KEY_WORDS)) : new Uint32Array(KEY_WORDS).fill(seed);
    return new Reader({
      lease: Lease.claim(this.words, this.seats, threadId),
      slots: this.memory.slots,
      layout: this.layout,
      plan: this.plan,
      limits: this.#options.limits ?? DEFAULT_LIMITS,
      random: new Random(key),
      now: () => this.clockMs,
    });
  }
}
