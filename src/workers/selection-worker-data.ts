/** What a selection worker is started with: plain data and shared memory. Types only. */
import type { RingMemory } from '../engine/prepared/ring.ts';
import type { CacheHandle } from './cache-types.ts';

export interface SelectionWorkerData {
  readonly cache: CacheHandle;
  /** Absent: nothing is prepared. */
  readonly rings: RingMemory | undefined;
}
