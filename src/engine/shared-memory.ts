/**
 * Reserves the shared memory of a cache, once: the control block and R + 2 slots at their full capacity. The
 * kernel commits pages when they are first touched, so what is reserved and not used costs address space
 * only.
 */
import { slotCountFor } from '../../native-layout/control-block.ts';
import { DESCRIPTION_BYTES_MAX, indexEntriesFor } from '../../native-layout/snapshot-header.ts';
import { type SnapshotLayout, snapshotLayout } from '../../native-layout/snapshot-layout.ts';
import { CacheError } from './errors.ts';
import type { PlacementPlan } from './placement/placement-plan.ts';
import { createControlBlock } from './publication.ts';

export interface SharedMemory {
  readonly control: SharedArrayBuffer;
  readonly slots: readonly SharedArrayBuffer[];
}

/** The layout of a slot for `nodes` rows: every column at its largest. */
export function slotLayout(nodes: number, plan: PlacementPlan): SnapshotLayout {
  return snapshotLayout({
    rows: nodes,
    indexEntries: indexEntriesFor(nodes),
    wideAddresses: nodes,
    attributes: plan.attributes.length,
    descriptionBytes: DESCRIPTION_BYTES_MAX,
    sets: plan.sets.map(set => ({
      listed: set.filter === 0 && set.attribute === undefined ? 0 : nodes,
      groups: nodes,
    })),
  });
}

/**
 * Reserves the memory for `readers` seats. Throws CAPACITY_EXCEEDED when the address space is not to be had.
 */
export function reserveMemory(layout: SnapshotLayout, readers: number): SharedMemory {
  const slots: SharedArrayBuffer[] = [];
  try {
    while (slots.length < slotCountFor(readers)) slots.push(new SharedArrayBuffer(layout.byteLength));
  } catch (cause) {
    throw new CacheError(
      'CAPACITY_EXCEEDED',
      `cannot reserve ${slotCountFor(readers)} slots of ${layout.byteLength} bytes; ` +
        'lower capacity.nodes or capacity.readers',
      { cause, field: 'capacity.nodes' },
    );
  }
  return { control: createControlBlock(readers), slots };
}
