/** A cache whose generations are made by deltas or by loads, on the thread of the test. */
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { DEFAULT_PREFIX_BITS } from '../../src/engine/address/network-keys.ts';
import type { ChangeList } from '../../src/engine/delta/change-list.ts';
import { DeltaEngine, type DeltaOutcome } from '../../src/engine/delta/delta-engine.ts';
import { BuildMemory } from '../../src/engine/snapshot/build-memory.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { LocalCache, type LocalCacheOptions } from './local-cache.ts';

/** What a delta is made of. */
export interface TestChanges {
  readonly upserts?: readonly NodeRow[];
  readonly removed?: readonly string[];
}

export class DeltaCache {
  readonly cache: LocalCache;
  readonly engine: DeltaEngine;

  constructor(options: LocalCacheOptions = {}) {
    this.cache = new LocalCache(options);
    const { plan, layout } = this.cache;
    const capacity = layout.extents.rows;
    this.engine = new DeltaEngine(
      capacity,
      {
        plan,
        prefixBits: options.prefixBits ?? DEFAULT_PREFIX_BITS,
        allowRanges: options.allowRanges ?? [],
        seed: 0x5eed,
      },
      new BuildMemory(capacity, plan),
    );
  }

  /** The snapshot that is current. */
  current(): Snapshot {
    const snapshot = new Snapshot(
      snapshotViews(this.cache.slots[this.cache.publisher.currentSlot()]!, this.cache.layout),
    );
    snapshot.takeCounts();
    return snapshot;
  }

  collect({ upserts = [], removed = [] }: TestChanges): ChangeList {
    const changes = this.engine.collect();
    changes.remove(idBytes(removed));
    for (const row of upserts) changes.append(row);
    return changes;
  }

  /** Makes a snapshot by a delta, and publishes it unless told not to. */
  apply(
    changes: ChangeList,
    { publish = true, contentTo }: { publish?: boolean; contentTo?: string } = {},
  ): DeltaOutcome {
    const { publisher, slots, layout, clockMs } = this.cache;
    const slot = publisher.claimSlot();
    const generation = publisher.nextGeneration();
    const outcome = this.engine.apply({
      target: snapshotViews(slots[slot]!, layout),
      current: this.current(),
      changes,
      stamp: { generation, readAtMonotonic: clockMs, readAtUnix: 0 },
      ...(contentTo === undefined ? {} : { contentTo }),
    });
    if (publish && outcome.kind === 'built') publisher.publish(slot, generation);
    return outcome;
  }

  /** The same for changes that are certain to lead to a snapshot. */
  change(changes: TestChanges): Extract<DeltaOutcome, { kind: 'built' }> {
    const outcome = this.apply(this.collect(changes));
    if (outcome.kind !== 'built') throw new Error(`a load is needed: ${outcome.reason}`);
    return outcome;
  }
}

/** Ids in hexadecimal digits as 32 bytes each, one behind the other. */
export function idBytes(ids: readonly string[]): Uint8Array {
  return Buffer.from(ids.join(''), 'hex');
}
