/**
 * Reserves the shared memory of a cache, once: the control block and R + 2 slots at their full capacity. The
 * kernel commits pages when they are first touched, so what is reserved and not used costs address space
 * only.
 */
import { slotCountFor } from '../../native-layout/control-block.ts';
import { DESCRIPTION_BYTES_MAX, indexEntriesFor } from '../../native-layout/snapshot-header.ts';
import {
  REVOKED_ROWS_MAX,
  type SnapshotLayout,
  snapshotLayout,
} from '../../native-layout/snapshot-layout.ts';
import { CacheError } from './errors.ts';
import type { PlacementPlan } from './placement/placement-plan.ts';
import { createControlBlock } from './publication.ts';

/**
 * A slot: the memory of a kernel, or a buffer where the kernel cannot run or the slot is too large for it.
 */
export type SlotMemory = WebAssembly.Memory | SharedArrayBuffer;

export interface SharedMemory {
  readonly control: SharedArrayBuffer;
  /** Bytes of a slot that the layout takes; the memory may be larger, by less than a page. */
  readonly slotBytes: number;
  /** All of one kind. */
  readonly slots: readonly SlotMemory[];
}

export const PAGE_BYTES = 65_536;
/** What 32-bit places reach. */
const PAGES_MAX = 65_536;

/** The bytes of a slot. */
export function slotBuffer(slot: SlotMemory): SharedArrayBuffer {
  // Reserved by `reserveMemory`, so a memory is shared.
  return slot instanceof SharedArrayBuffer ? slot : (slot.buffer as SharedArrayBuffer);
}

/** The layout of a slot for `nodes` rows: every column at its largest. */
export function slotLayout(nodes: number, plan: PlacementPlan): SnapshotLayout {
  return snapshotLayout({
    rows: nodes,
    indexEntries: indexEntriesFor(nodes),
    wideAddresses: nodes,
    networks: nodes,
    attributes: plan.attributes.length,
    descriptionBytes: DESCRIPTION_BYTES_MAX,
    sets: plan.sets.map(set => ({
      listed: set.filter === 0 && set.attribute === undefined ? 0 : nodes,
      groups: nodes,
    })),
    revocations: REVOKED_ROWS_MAX,
  });
}

/**
 * Reserves the memory for `readers` seats, for the kernel where `forKernel` is set and the slots are not
 * beyond its reach. Throws CAPACITY_EXCEEDED when the address space is not to be had.
 */
export function reserveMemory(layout: SnapshotLayout, readers: number, forKernel: boolean): SharedMemory {
  const pages = Math.ceil(layout.byteLength / PAGE_BYTES);
  const reserve = () =>
    forKernel && pages <= PAGES_MAX
      ? new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
      : new SharedArrayBuffer(layout.byteLength);
  try {
    const slots = Array.from({ length: slotCountFor(readers) }, reserve);
    return { control: createControlBlock(readers), slotBytes: layout.byteLength, slots };
  } catch (cause) {
    throw new CacheError(
      'CAPACITY_EXCEEDED',
      `cannot reserve ${slotCountFor(readers)} slots of ${layout.byteLength} bytes; ` +
        'lower capacity.nodes or capacity.readers',
      { cause, field: 'capacity.nodes' },
    );
  }
}
