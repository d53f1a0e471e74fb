/**
 * Keeps what operators have revoked: in the process, for the next loader thread, and beside the snapshot
 * file, for the next process. Not in a fleet: there the others know, and what was restored meanwhile must not
 * come back from a file. One file is written at a time, and then the newest. Loader thread.
 *
 * The file is not written before it was read, so that nothing in it is lost; what cannot be read or written
 * is tried again.
 */
import type { LoadContext } from './load-cycle.ts';
import {
  type KeptRevocation,
  type KeptRevocations,
  readRevocations,
  revocationsPath,
  writeRevocations,
} from './revocation-file.ts';

export interface KeeperOptions {
  /** What is held is another set than before: for the next loader thread. */
  readonly onHeld: (held: readonly KeptRevocation[]) => void;
  /** The file has been read: what it has is to be held. */
  readonly onRead: (held: readonly KeptRevocation[]) => void;
  /** There is a problem, or none any more. */
  readonly onChange: () => void;
}

/** What could not be read or written is tried again after so long. */
const AGAIN_MS = 5_000;

export class RevocationKeeper {
  readonly #context: LoadContext;
  readonly #options: KeeperOptions;
  readonly #path: string | undefined;
  readonly #isOn: boolean;
  /** `Revocations.changeCount` when what is held was told to the process, and when it was written. */
  #toldCount = 0;
  #keptCount = 0;
  #isRead = false;
  #otherLines: readonly string[] = [];
  #working: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Of the file as it was read: it stays until somebody mends the file. */
  #lineProblem: string | undefined;
  #problem: string | undefined;

  constructor(context: LoadContext, options: KeeperOptions) {
    const { snapshotFile, fleet } = context.settings;
    this.#context = context;
    this.#options = options;
    this.#isOn = fleet === undefined;
    this.#path = snapshotFile === undefined || !this.#isOn ? undefined : revocationsPath(snapshotFile);
  }

  /** Why the file could not be read or written last, when it could not, or what in it is not understood. */
  get problem(): string | undefined {
    return this.#problem ?? this.#lineProblem;
  }

  /** Has what the file holds told to `onRead`. Resolves when that is done, or cannot be for now. */
  read(): Promise<void> {
    return this.#work();
  }

  /** Tells and writes what is held, if it is another set. */
  note(): void {
    const { changeCount } = this.#context.revocations;
    if (!this.#isOn) return;
    if (this.#toldCount !== changeCount) {
      this.#toldCount = changeCount;
      this.#options.onHeld(this.#held());
    }
    const isKept = this.#isRead && this.#keptCount === changeCount;
    if (this.#timer === undefined && !isKept) void this.#work();
  }

  /** Resolves when what is held is written, or could not be. */
  async settled(): Promise<void> {
    await this.#working;
  }

  /** Tries once more what is not written, and resolves when nothing is being written any more. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#work();
    clearTimeout(this.#timer);
  }

  #work(): Promise<void> {
    if (this.#path === undefined) return Promise.resolve();
    this.#working ??= this.#readAndWrite(this.#path);
    return this.#working;
  }

  async #readAndWrite(path: string): Promise<void> {
    const { revocations } = this.#context;
    // What is noted from here on is seen by the loop, or begins another.
    await undefined;
    try {
      if (!this.#isRead) this.#take(await readRevocations(path));
      while (this.#keptCount !== revocations.changeCount) {
        const { changeCount } = revocations;
        await writeRevocations(path, this.#held(), this.#otherLines);
        this.#keptCount = changeCount;
      }
      this.#become(undefined);
    } catch (error) {
      this.#become((error as Error).message);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        void this.#work();
      }, AGAIN_MS);
    } finally {
      this.#working = undefined;
    }
  }

  #take({ kept, otherLines, problem }: KeptRevocations): void {
    this.#isRead = true;
    this.#otherLines = otherLines;
    this.#lineProblem = problem;
    this.#options.onRead(kept);
    if (problem !== undefined) this.#options.onChange();
  }

  #held(): KeptRevocation[] {
    const nowMs = Date.now();
    return this.#context.revocations.kept().map(({ id, holdMs }) => ({ id, untilUnixMs: nowMs + holdMs }));
  }

  #become(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.onChange();
  }
}
