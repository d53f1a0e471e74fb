/**
 * What a source says about changes. A change names nodes, never values: whoever hears of it reads the nodes
 * as they are then, so a change that comes twice, late or out of order harms nothing. Types only.
 */

/** How changes become known; `auto` takes the best one that works, from left to right. */
export const CHANGE_MODES = ['triggers', 'updated-at', 'none'] as const;

export type ChangeMode = (typeof CHANGE_MODES)[number];

export type NodeChange =
  | {
      readonly kind: 'nodes';
      /** 32 bytes a node, one behind the other, each node once. */
      readonly ids: Uint8Array;
      /** A byte a node; 1: it is out of selections now, because it is ineligible, absent or deleted. */
      readonly out: Uint8Array;
      /**
       * The earliest of the writes, by the source's wall clock. The commit came after it. Absent where the
       * source cannot say.
       */
      readonly writtenAtUnixMs?: number;
    }
  /** Something may have been missed: everything is to be loaded, by a load that begins after this. */
  | { readonly kind: 'missed'; readonly reason: string }
  | SourceAlive;

/** The source has answered: what was written before it was asked has been told of. */
export interface SourceAlive {
  readonly kind: 'alive';
  /** See `NodesSummary.clockMicros`. */
  readonly clockMicros: number;
  /** When it was asked, on this machine's monotonic clock. */
  readonly askedMs: number;
}

export interface ChangeRequest {
  /** Attribute names that placements use: changes of others are not reported. */
  readonly attributes: readonly string[];
  readonly signal: AbortSignal;
  /** Called whenever the status changes. */
  readonly onStatus?: (status: ChangeStatus) => void;
}

/** How changes become known now, as plain data for status, metrics and log. */
export interface ChangeStatus {
  readonly wanted: ChangeMode | 'auto';
  /** Absent until the source has been reached once. */
  readonly mode?: ChangeMode;
  /** True while changes come in, or none are wanted. */
  readonly connected: boolean;
  /** Since when `mode` and `connected` are what they are. */
  readonly sinceUnixMs: number;
  /** Better modes than the one taken, and why each was not. */
  readonly declined: readonly DeclinedMode[];
  /** Times that the connection was lost, or could not be made, since the start. */
  readonly failureCount: number;
  /** The newest of those failures; it stays when the connection is there again. */
  readonly lastError?: { readonly code: string; readonly message: string; readonly atUnixMs: number };
}

export interface DeclinedMode {
  readonly mode: ChangeMode;
  /** Says what to do to get it. */
  readonly reason: string;
}
