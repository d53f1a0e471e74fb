/**
 * A cache without threads: rows in, reader out, all on the thread of the test. For tests and benches of the
 * engine.
 */
import { randomFillSync } from 'node:crypto';
import type { SnapshotLayout } from '../../native-layout/snapshot-layout.ts';
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { DEFAULT_PREFIX_BITS, type PrefixBits } from '../../src/engine/address/network-keys.ts';
import type { Kernel, KernelKind } from '../../src/engine/kernel/kernel.ts';
import { openKernel } from '../../src/engine/kernel/open-kernel.ts';
import {
  type PlacementPlan,
  type PlacementSettings,
  placementPlan,
} from '../../src/engine/placement/placement-plan.ts';
import { type ControlWords, Lease, Publisher, sharedControlWords } from '../../src/engine/publication.ts';
import { Reader } from '../../src/engine/reader.ts';
import { KEY_WORDS } from '../../src/engine/selection/random.ts';
import { DEFAULT_LIMITS, type SelectionLimits } from '../../src/engine/selection/selection-request.ts';
import { reserveMemory, type SharedMemory, slotBuffer, slotLayout } from '../../src/engine/shared-memory.ts';
import { BuildMemory } from '../../src/engine/snapshot/build-memory.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import type { Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { type BuildCounts, SnapshotBuilder } from '../../src/engine/snapshot/snapshot-builder.ts';
import { validateSnapshot } from '../../src/engine/snapshot/snapshot-validator.ts';
import { compiledKernel } from '../../src/workers/kernel-module.ts';

/** The compiled kernel. Tests never fall back: without it they fail. */
export function wasmModule(): WebAssembly.Module {
  const { module, problem } = compiledKernel();
  if (module === undefined) throw new Error(`no kernel: ${problem}; npm run kernel builds it`);
  return module;
}

export interface LocalCacheOptions {
  readonly capacity?: number;
  readonly readers?: number;
  readonly settings?: PlacementSettings;
  readonly limits?: SelectionLimits;
  readonly prefixBits?: PrefixBits;
  readonly allowRanges?: readonly string[];
  /** Key of the id index's hash. */
  readonly indexSeed?: number;
  /** Key of the readers' randomness; from the operating system by default. */
  readonly seed?: number;
  /** Who draws and encodes; `wasm` by default. */
  readonly kernel?: KernelKind;
}

export class LocalCache {
  readonly plan: PlacementPlan;
  readonly layout: SnapshotLayout;
  readonly memory: SharedMemory;
  readonly slots: readonly SharedArrayBuffer[];
  readonly words: ControlWords;
  readonly seats: number;
  readonly publisher: Publisher;
  readonly #options: LocalCacheOptions;
  readonly #buildMemory: BuildMemory;
  clockMs = 1000;

  constructor(options: LocalCacheOptions = {}) {
    this.#options = options;
    this.plan = placementPlan(options.settings ?? { placements: {}, distinctAttributes: [] });
    const capacity = options.capacity ?? 20_000;
    this.layout = slotLayout(capacity, this.plan);
    this.#buildMemory = new BuildMemory(capacity, this.plan);
    this.memory = reserveMemory(this.layout, options.readers ?? 2, options.kernel !== 'typescript');
    this.slots = this.memory.slots.map(slotBuffer);
    const { words, seats } = sharedControlWords(this.memory.control);
    this.words = words;
    this.seats = seats;
    this.publisher = new Publisher(words, seats);
  }

  /** Builds, validates and publishes `rows`; returns what was counted. */
  publish(rows: Iterable<NodeRow>): BuildCounts & { snapshot: Snapshot } {
    return this.publishAs(this.publisher.nextGeneration(), rows);
  }

  /** The same as generation `generation`. */
  publishAs(generation: number, rows: Iterable<NodeRow>): BuildCounts & { snapshot: Snapshot } {
    const slot = this.publisher.claimSlot();
    const views = snapshotViews(this.slots[slot]!, this.layout);
    const options = {
      plan: this.plan,
      prefixBits: this.#options.prefixBits ?? DEFAULT_PREFIX_BITS,
      allowRanges: this.#options.allowRanges ?? [],
      indexSeed: this.#options.indexSeed ?? 0x5eed,
    };
    const builder = new SnapshotBuilder(views, options, this.#buildMemory);
    for (const row of rows) builder.append(row);
    builder.finish({ generation, readAtMonotonic: this.clockMs, readAtUnix: 0 });
    const snapshot = validateSnapshot(views, this.#buildMemory);
    this.publisher.publish(slot, generation);
    return { ...builder.counts(), snapshot };
  }

  /** A kernel over the slots, of the kind that was asked for. */
  kernel(seed = this.#options.seed, kind: KernelKind = this.#options.kernel ?? 'wasm'): Kernel {
    const key =
      seed === undefined ? randomFillSync(new Uint32Array(KEY_WORDS)) : new Uint32Array(KEY_WORDS).fill(seed);
    return openKernel({
      module: kind === 'wasm' ? wasmModule() : undefined,
      slots: this.memory.slots,
      layout: this.layout,
      limits: this.#options.limits ?? DEFAULT_LIMITS,
      key,
    });
  }

  /** A reader in a seat of its own; `seed` is the key of its randomness. */
  reader(threadId = 0, seed = this.#options.seed, kernel = this.#options.kernel): Reader {
    return new Reader({
      lease: Lease.claim(this.words, this.seats, threadId),
      slots: this.slots,
      layout: this.layout,
      plan: this.plan,
      limits: this.#options.limits ?? DEFAULT_LIMITS,
      kernel: this.kernel(seed, kernel),
      now: () => this.clockMs,
    });
  }
}
