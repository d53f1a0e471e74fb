/**
 * What a replica holds and can do, as the fleet's machines see it. The loader implements it over its slots,
 * the simulation over a toy table. Loader thread.
 */
import type { LogPosition } from '../bus/bus.ts';
import type { Revocation } from './wire/records.ts';

export interface Held {
  /** Of the content that is being served: 32 hexadecimal digits, the same for the same rows everywhere. */
  readonly digest: string;
  /** When the read of the source began that said so, on this machine's monotonic clock; or earlier. */
  readonly readAtMs: number;
}

/** Where content comes from, for what is stamped on a generation. */
export interface Provenance {
  readonly position: LogPosition;
  /** What `Held.readAtMs` is to be. Never later than the true time, where `isProven`. */
  readonly readAtMs: number;
  /** False while it is reckoned from wall clocks, which may be wrong. */
  readonly isProven: boolean;
  /** Nodes that were taken out (`takeOut`) and about which the source has been asked since. */
  readonly answered: readonly Uint8Array[];
}

export interface PackedSnapshot {
  readonly digest: string;
  /** The caller's own: nobody writes to them afterwards. */
  readonly bytes: Uint8Array;
}

/**
 * Of `takeSnapshot`, `takeDelta` and `loadFromSource` one at a time is under way. They throw `Refusal`
 * (`wire/seal.ts`) for what can never work with these bytes, and anything else for what may work later; then
 * what is held stays as it is.
 */
export interface ReplicaStore {
  /** Undefined before the first generation. */
  held(): Held | undefined;
  /** What is held, packed; undefined before the first generation. */
  snapshot(): PackedSnapshot | undefined;
  /** Publishes a snapshot here. `digest` is what it must have. */
  takeSnapshot(bytes: Uint8Array, digest: string, provenance: Provenance): Promise<void>;
  /** Publishes what is held, which is `from`, with the changes; the result must be `to`. */
  takeDelta(
    bytes: Uint8Array,
    digests: { readonly from: string; readonly to: string },
    provenance: Provenance,
  ): Promise<void>;
  /** Reads the whole source and publishes that. Resolves when it is published. */
  loadFromSource(signal: AbortSignal): Promise<void>;
  /**
   * What is held was still right at this time of the local monotonic clock: its new `readAtMs`, be it later
   * than the one before, or earlier because that was wrong.
   */
  confirm(readAtMs: number): void;

  /**
   * Takes nodes out of selections at once, and holds them out over whatever is published. Never throws for
   * too many: what there is no room for it reports itself.
   */
  revoke(revocations: readonly Revocation[]): void;
  /** What `revoke` holds out now, with the time that is left. */
  revocations(): readonly Revocation[];
  /** True when there was no room for some that `revoke` was given. */
  hasDropped(): boolean;
  /**
   * The same for nodes that the source itself has told of: until content that answers them is published
   * (`Provenance.answered`, or read here), or the time is over. Not among `revocations`.
   */
  takeOut(nodes: readonly Revocation[]): void;

  /**
   * True: this replica is the fleet's loader now. It reads the source at once and goes on doing so, and tells
   * the member of all it publishes (`changed`) and of reads that found nothing new (`confirmed`), in the turn
   * in which `held` says so. False: it no longer publishes anything of its own.
   */
  lead(isLeader: boolean): void;
}
