/**
 * Keeps the snapshot file near to what is served: at once after a load; at most once in a time after what
 * comes from the fleet, because a file is the whole content. One is written at a time, and then the newest
 * content, whatever came between. Nobody waits for it. Loader thread.
 */
import { packSnapshot } from '../engine/snapshot/snapshot.ts';
import { monotonicMs } from './clock.ts';
import { currentSnapshot, type LoadContext } from './load-cycle.ts';
import type { SnapshotFileStatus } from './messages.ts';
import { writeSnapshotFile } from './snapshot-file.ts';

/** A disk that takes longer than this hangs. */
const LATE_MS = 30_000;
const LATE = `a write has been under way for ${LATE_MS / 1_000} s`;

export class SnapshotKeeper {
  readonly #context: LoadContext;
  readonly #onChange: () => void;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  /** What is served is to be written as soon as nothing else is. */
  #isDue = false;
  /** It is to be written when the time between two files is over. */
  #isNoted = false;
  #isStopped = false;
  /** What is served has changed since, in ways for which no file is written before the next load. */
  #isBehind = false;
  /** The time between two files counts from the end of the first. */
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #status: SnapshotFileStatus = {};

  /** `onChange`: the status is another one. */
  constructor(context: LoadContext, onChange: () => void) {
    this.#context = context;
    this.#onChange = onChange;
  }

  /** Undefined where no file is configured. */
  get status(): SnapshotFileStatus | undefined {
    return this.#context.settings.snapshotFile === undefined ? undefined : this.#status;
  }

  /** Writes what is served. */
  write(): void {
    if (this.#context.settings.snapshotFile === undefined || this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isBehind = false;
    this.#isDue = true;
    this.#isNoted = false;
    this.#writing ??= this.#writeDue();
  }

  /** Another generation is served; there will be more. */
  note(): void {
    if (this.#context.settings.snapshotFile === undefined || this.#isStopped) return;
    if (this.#writing !== undefined) this.#isNoted = true;
    else this.#timer ??= setTimeout(() => this.write(), Math.max(0, this.#notBeforeMs - monotonicMs()));
  }

  /** What is served has changed; a load will write it, or the end. */
  changed(): void {
    this.#isBehind = true;
  }

  /** Writes what is not in the file yet. Resolves when nothing is being written any more. */
  async stop(): Promise<void> {
    if (this.#isBehind || this.#isNoted || this.#timer !== undefined) this.write();
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#writing;
  }

  async #writeDue(): Promise<void> {
    while (this.#isDue) {
      this.#isDue = false;
      await this.#writeCurrent();
    }
    this.#notBeforeMs = monotonicMs() + this.#context.settings.refresh.everyMs;
    this.#writing = undefined;
    if (this.#isNoted) {
      this.#isNoted = false;
      this.note();
    }
  }

  async #writeCurrent(): Promise<void> {
    const { snapshotFile, snapshotSigning } = this.#context.settings;
    const current = currentSnapshot(this.#context);
    if (current === undefined || snapshotFile === undefined) return;
    const { generation } = current;
    const late = setTimeout(() => this.#become({ ...this.#status, problem: LATE }), LATE_MS);
    try {
      // Copied at once: the slot may be written anew while the file is.
      await writeSnapshotFile(snapshotFile, packSnapshot(current.views), snapshotSigning);
      this.#become({ generation, writtenAt: new Date().toISOString() });
    } catch (error) {
      this.#become({ ...this.#status, problem: error instanceof Error ? error.message : String(error) });
    } finally {
      clearTimeout(late);
    }
  }

  #become(status: SnapshotFileStatus): void {
    this.#status = status;
    this.#onChange();
  }
}
