/** What an attaching thread (attach-worker.ts) is started with, and what it can be told. */
import type { CacheHandle } from '../../src/workers/cache-types.ts';

export interface AttachData {
  readonly handle?: CacheHandle;
  /** Threads between this one and the one that attaches. */
  readonly depth?: number;
}

/** `spin`: select for ever, without ever coming back to the event loop. `end`: leave without closing. */
export type AttachCommand = { readonly attach: CacheHandle } | 'select' | 'close' | 'spin' | 'end';
