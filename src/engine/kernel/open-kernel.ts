/** Chooses who does the work of a reader, by what its slots are made of. */
import type { SnapshotLayout } from '../../../native-layout/snapshot-layout.ts';
import { Random } from '../selection/random.ts';
import type { SelectionLimits } from '../selection/selection-request.ts';
import type { SlotMemory } from '../shared-memory.ts';
import type { Kernel } from './kernel.ts';
import { TwinKernel } from './twin-kernel.ts';
import { WasmKernel } from './wasm-kernel.ts';

export interface KernelOptions {
  /** The compiled kernel, where there is one. */
  readonly module: WebAssembly.Module | undefined;
  readonly slots: readonly SlotMemory[];
  readonly layout: SnapshotLayout;
  readonly limits: SelectionLimits;
  /** Eight words from the operating system's generator; copied, and cleared in place. */
  readonly key: Uint32Array;
}

export function openKernel({ module, slots, layout, limits, key }: KernelOptions): Kernel {
  const memories = slots.filter(slot => slot instanceof WebAssembly.Memory);
  if (module === undefined || memories.length < slots.length) return new TwinKernel(new Random(key), limits);
  return new WasmKernel({ module, slots: memories, layout, limits, key });
}
