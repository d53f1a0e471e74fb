/**
 * Listens to what the source says of its changes, for as long as the loader lives, and passes it on: the
 * source side reconnects by itself and says when something may have been missed. Loader thread.
 */

import type { ChangeStatus, NodeChange } from './source/node-changes.ts';
import type { SourceReader } from './source-reader.ts';

/** What is told of; synchronous, and never fails. */
export interface ChangeListener {
  onNodes(change: Extract<NodeChange, { kind: 'nodes' }>): void;
  /** Everything is to be loaded by a load that begins after this. */
  onMissed(reason: string): void;
  /** The source has answered: `syncedMs` is later than before. */
  onAlive(): void;
  onStatus(status: ChangeStatus): void;
  /** The feed has ended with an error, which is a programmer's. */
  onFailure(error: unknown): void;
}

/** Longest that the first load waits for the feed, so that no change falls between the two. */
const CONNECT_WAIT_MS = 2_000;

export class ChangeWatch {
  readonly #source: SourceReader;
  readonly #listener: ChangeListener;
  readonly #settled = Promise.withResolvers<void>();
  #status: ChangeStatus | undefined;
  /** When the source was last asked and has answered, monotonic; forgotten at a gap. */
  #syncedMs: number | undefined;

  constructor(source: SourceReader, listener: ChangeListener) {
    this.#source = source;
    this.#listener = listener;
  }

  /** Absent while the source has said nothing, or cannot. */
  get status(): ChangeStatus | undefined {
    return this.#status;
  }

  /**
   * Every change that was made before this moment, monotonic, has been told of; undefined where that is not
   * known.
   */
  get syncedMs(): number | undefined {
    return this.#status?.mode === 'triggers' && this.#status.connected ? this.#syncedMs : undefined;
  }

  /** Begins to listen; ends when `signal` aborts. */
  start(attributes: readonly string[], signal: AbortSignal): void {
    const changes = this.#source.changes({ attributes, signal, onStatus: status => this.#become(status) });
    if (changes === undefined) {
      this.#settled.resolve();
      return;
    }
    void this.#listen(changes);
  }

  /**
   * Resolves when changes come in, or will not, or that takes too long: then something is missed, and said.
   */
  async settled(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>(resolve => {
      timer = setTimeout(resolve, CONNECT_WAIT_MS);
    });
    await Promise.race([this.#settled.promise, late]);
    clearTimeout(timer);
  }

  async #listen(changes: AsyncGenerator<NodeChange, void>): Promise<void> {
    try {
      for await (const change of changes) {
        if (change.kind === 'nodes') this.#listener.onNodes(change);
        else if (change.kind === 'missed') this.#missed(change.reason);
        else this.#alive(change.askedMs);
      }
    } catch (error) {
      this.#listener.onFailure(error);
    } finally {
      this.#settled.resolve();
    }
  }

  #missed(reason: string): void {
    this.#syncedMs = undefined;
    this.#listener.onMissed(reason);
    this.#settled.resolve();
  }

  #alive(askedMs: number): void {
    this.#syncedMs = askedMs;
    this.#listener.onAlive();
  }

  #become(status: ChangeStatus): void {
    this.#status = status;
    // A failure is an answer too: the load is not to wait for what is not there. Where changes are followed,
    // the feed says first that it cannot know what was before: that is what the load is for.
    if (status.failureCount > 0 || (status.connected && status.mode === 'none')) this.#settled.resolve();
    this.#listener.onStatus(status);
  }
}
