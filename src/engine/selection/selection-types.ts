/** The words of a selection: what is asked for, and what comes back. Types only. */
import type { IdDigits } from './id-digits.ts';

/** A node's key: 64 hexadecimal digits, or 32 bytes. */
export type NodeId = string | Uint8Array;

/**
 * Keys of nodes: one by one; or all in one piece, 32 bytes each, which costs next to nothing; or, in the
 * server, where they stand in a text.
 */
export type NodeIds = readonly NodeId[] | Uint8Array | IdDigits;

export type PoolName = 'vetted' | 'new';

export interface SelectionRequest {
  /** How many nodes, 1 to the configured `countMax`; 110 by default. */
  readonly count?: number | undefined;
  /** Share of picks from the new pool, 0 to 1; the placement's by default. Exact in expectation. */
  readonly newFraction?: number | undefined;
  /** Ids never returned; their networks stay usable. */
  readonly exclude?: NodeIds | undefined;
  /** Ids never returned, and their networks blocked. Ids the cache does not know block nothing. */
  readonly held?: NodeIds | undefined;
  /** Name of a placement; `default` by default. */
  readonly placement?: string | undefined;
  /** `network`, `none`, or the name of an attribute that was prepared; the placement's by default. */
  readonly distinct?: string | undefined;
  /** True: a short answer is fine (HTTP then answers 200). False by default. */
  readonly partial?: boolean | undefined;
  /** True: new nodes may fill up for missing vetted ones. False by default. */
  readonly fillWithNew?: boolean | undefined;
  /** `random` (default): the order carries no information; `vetted-first`: vetted picks, then new ones. */
  readonly order?: 'random' | 'vetted-first' | undefined;
}

export interface PickedNode {
  /** 64 lower-case hexadecimal digits. */
  readonly id: string;
  /** Canonical text: dotted decimal, or RFC 5952 IPv6. */
  readonly ip: string;
  readonly port: number;
  readonly pool: PoolName;
}

/** Why fewer nodes were found than asked for. Counts are of the placement's candidates at that generation. */
export interface Shortage {
  readonly requested: number;
  readonly found: number;
  /** Vetted picks wanted and made. */
  readonly vettedWanted: number;
  readonly vettedFound: number;
  /** New picks wanted and made. */
  readonly newWanted: number;
  readonly newFound: number;
  /** Candidates of the placement: nodes, and groups of the distinct rule (networks). */
  readonly vettedNodes: number;
  readonly vettedGroups: number;
  readonly newNodes: number;
  readonly newGroups: number;
  /** Ids of `exclude` and `held` that the cache knows. */
  readonly excludedKnown: number;
  readonly heldKnown: number;
  /** Nodes of the generation that have been revoked since, in any placement. */
  readonly revoked: number;
  /** One sentence for people. */
  readonly reason: string;
}

export type LookupPool = PoolName | 'ineligible';

export interface FoundNode {
  readonly id: string;
  readonly ip: string;
  readonly port: number;
  /** `ineligible`: not for new data (suspended, exiting, full, offline), but it still holds some. */
  readonly pool: LookupPool;
}

export interface LookupResult {
  readonly generation: number;
  readonly ageMs: number;
  /** In the order asked for; `undefined` at the place of an unknown id. */
  readonly nodes: readonly (FoundNode | undefined)[];
  /** The unknown ids, as 64 hexadecimal digits, in the order asked for. */
  readonly unknown: readonly string[];
}

/** Wire formats that the engine encodes by itself. */
export type EncodedFormat = 'json' | 'messagepack';

/** An answer written into a caller's buffer. */
export interface EncodedSelection {
  /** Bytes written from the start of the buffer. */
  readonly bytes: number;
  readonly generation: number;
  readonly found: number;
  /** Of them from the new pool. */
  readonly newFound: number;
  /** Present when fewer nodes than asked for were found; the bytes hold those that were. */
  readonly shortage: Shortage | undefined;
}
