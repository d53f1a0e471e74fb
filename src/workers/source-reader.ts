/**
 * Reads a source to its end within the time of a load, on the loader thread, also where the source itself
 * does not keep to its signal: then the load goes on without it, and the read is left behind.
 */
import { assert } from '../engine/assert.ts';
import { CacheError } from '../engine/errors.ts';
import type { FieldRows } from '../engine/snapshot/field-rows.ts';
import type { NodeRow } from '../engine/snapshot/node-row.ts';
import { abortFailure } from './source/abort.ts';
import type { ChangeRequest, NodeChange } from './source/node-changes.ts';
import {
  isFieldRows,
  type NodesSummary,
  type ReadRequest,
  type ReadSummary,
  type RowBatch,
  type RowSource,
} from './source/row-source.ts';

/** Time that a read which is given up has to end in order, so that its connection is closed. */
const LEAVE_TIMEOUT_MS = 2_000;
/** Reads that may be left behind at once; each holds a thread or a connection of the process. */
const LEFT_BEHIND_MAX = 3;

/** Takes rows in either form; see `SnapshotBuilder`. */
export interface RowSink {
  append(row: NodeRow): void;
  appendFields(rows: FieldRows): void;
}

export class SourceReader {
  readonly #source: RowSource;
  #leftBehindCount = 0;

  constructor(source: RowSource) {
    this.#source = source;
  }

  get description(): string {
    return this.#source.description;
  }

  /** True when the source can say what changes, and be asked about given nodes. */
  get followsChanges(): boolean {
    return this.#source.changes !== undefined && this.#source.readNodes !== undefined;
  }

  get onlineWindowMs(): number | undefined {
    return this.#source.onlineWindowMs;
  }

  /** What changes; see `RowSource`. Nothing, where the source cannot say. */
  changes(request: ChangeRequest): AsyncGenerator<NodeChange, void> | undefined {
    return this.#source.changes?.(request);
  }

  /** Hands every row to `sink`. Throws what the source throws, SOURCE_TIMEOUT, or the signal's reason. */
  read(request: ReadRequest, sink: RowSink): Promise<ReadSummary> {
    return this.#drain(() => this.#source.read(request), request, sink);
  }

  /** The same for the nodes `ids`, 32 bytes each; the source follows changes. */
  readNodes(ids: Uint8Array, request: ReadRequest, sink: RowSink): Promise<NodesSummary> {
    assert(this.#source.readNodes !== undefined, 'only a source that follows changes is asked about nodes');
    const { readNodes } = this.#source;
    return this.#drain(() => readNodes(ids, request), request, sink);
  }

  async #drain<Summary>(
    begin: () => AsyncGenerator<RowBatch, Summary>,
    request: ReadRequest,
    sink: RowSink,
  ): Promise<Summary> {
    if (this.#leftBehindCount >= LEFT_BEHIND_MAX) {
      const detail = `${this.description}: ${LEFT_BEHIND_MAX} reads of earlier loads have not ended yet`;
      throw new CacheError('SOURCE_UNAVAILABLE', detail);
    }
    const rows = begin();
    const stop = stopOf(request.signal, this.description);
    try {
      for (;;) {
        const step = await Promise.race([rows.next(), stop.promise]);
        if (step.done) return step.value;
        if (isFieldRows(step.value)) sink.appendFields(step.value);
        else for (const row of step.value) sink.append(row);
        if (request.signal.aborted) throw abortFailure(request.signal, this.description);
      }
    } finally {
      stop.forget();
      await this.#leave(rows);
    }
  }

  close(): Promise<void> {
    return this.#source.close();
  }

  /** Ends the read. One that does not end in time is counted until it does. */
  async #leave<Summary>(rows: AsyncGenerator<unknown, Summary>): Promise<void> {
    // What fails now changes nothing: the load has its rows, or its error. Nobody looks at the summary.
    const left = rows.return(undefined as Summary).then(ended, ended);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>(resolve => {
      timer = setTimeout(() => resolve(false), LEAVE_TIMEOUT_MS);
    });
    const inTime = await Promise.race([left, late]);
    clearTimeout(timer);
    if (inTime) return;
    this.#leftBehindCount++;
    void left.then(() => this.#leftBehindCount--);
  }
}

function ended(): true {
  return true;
}

/** A promise that rejects when `signal` aborts. */
function stopOf(signal: AbortSignal, what: string): { promise: Promise<never>; forget: () => void } {
  const { promise, reject } = Promise.withResolvers<never>();
  // Nobody may be waiting for it when it comes.
  promise.catch(() => undefined);
  const stop = () => reject(abortFailure(signal, what));
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return { promise, forget: () => signal.removeEventListener('abort', stop) };
}
