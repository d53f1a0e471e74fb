/**
 * What a source of rows is. A source is opened by the loader thread from plain data (`SourceOptions`), is
 * read once per load, and is closed with the loader. A source may also say what changes, and read the rows of
 * given nodes; one that does not is read as a whole, again and again. A new source is one file plus its line
 * in `open-source.ts`, and passes `test/workers/source/row-source.case.ts`.
 */
import type { FieldRows } from '../../engine/snapshot/field-rows.ts';
import type { NodeRow } from '../../engine/snapshot/node-row.ts';
import type { ChangeRequest, NodeChange } from './node-changes.ts';

/** What a load asks of a source. */
export interface ReadRequest {
  /** Attribute names that placements use; every row carries their values in this order. */
  readonly attributes: readonly string[];
  /** Ends the read: deadline of the whole load, or shutdown. */
  readonly signal: AbortSignal;
}

export type AbsentCounts = Readonly<Record<string, number>>;

/** What a source says at the end of a read. */
export interface ReadSummary {
  /**
   * Nodes that the source left out altogether, by criterion (`disqualified`, `exited`, `gone`). May come
   * later than the rows: they are built and published meanwhile. Settles soon after the request's signal has
   * aborted; its failure may be left alone.
   */
  readonly absent: Promise<AbsentCounts>;
  /** See `NodesSummary`; absent where the source has no clock of its own. */
  readonly clockMicros?: number;
}

/** What a source says at the end of a read of given nodes. */
export interface NodesSummary {
  /**
   * The source's own clock when the read began, in the unit in which Postgres sends times: microseconds since
   * 2000-01-01 UTC.
   */
  readonly clockMicros: number;
}

/** What one step of `check()` found. */
export interface CheckStep {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** What to do about it, when it is not ok. */
  readonly hint?: string;
}

export interface RowSource {
  /** Where truth is read, for status and logs; never holds a secret. */
  readonly description: string;
  /**
   * How old a node's last contact may be. Rows carry that time where this is there; a node whose contact gets
   * older leaves selections, though nothing is written.
   */
  readonly onlineWindowMs?: number;
  /**
   * Rows in batches from one consistent moment of the source; that moment is not before the call. A batch
   * holds until the next one is asked for. Throws `CacheError` with a SOURCE_ code that names the host,
   * column, line or value at fault.
   */
  read(request: ReadRequest): AsyncGenerator<RowBatch, ReadSummary>;
  /**
   * Examines the source step by step for `sortition check`; stops after the first step that makes the rest
   * moot.
   */
  check(request: ReadRequest): AsyncGenerator<CheckStep>;
  /**
   * The rows of the nodes `ids` (32 bytes each, one behind the other; at most NODES_ASKED_MAX) as they are
   * now, from one moment of the source that is not before the call; those that are absent do not come. Only a
   * read that came to its end counts. Throws as `read` does; CAPACITY_EXCEEDED when more are asked for: then
   * everything is to be loaded.
   */
  readNodes?(ids: Uint8Array, request: ReadRequest): AsyncGenerator<RowBatch, NodesSummary>;
  /**
   * What changes from now on, until the request's signal aborts. Never throws for what a connection, a server
   * or a schema does: it goes on trying, and says `missed` when it is there again.
   */
  changes?(request: ChangeRequest): AsyncGenerator<NodeChange, void>;
  close(): Promise<void>;
}

/** Rows as objects, or as places in the bytes that the source received: several times faster. */
export type RowBatch = readonly NodeRow[] | FieldRows;

export function isFieldRows(batch: RowBatch): batch is FieldRows {
  return 'places' in batch;
}

/** Objects that a batch holds at the most. */
export const BATCH_ROWS = 8_192;
/** Nodes that may be asked for at once, and that one change names at the most; more is a full load. */
export const NODES_ASKED_MAX = 10_000;
