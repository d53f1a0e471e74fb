/**
 * What a loader thread takes over from the one before it, and from the process before, and what it keeps for
 * the next: the generation, in the snapshot file, and what operators have revoked. A disk that hangs keeps
 * nobody waiting for longer than a named time. Loader thread.
 */
import { inTime } from './in-time.ts';
import { currentSnapshot, type LoadContext } from './load-cycle.ts';
import type { RestoreReport } from './load-report.ts';
import type { SnapshotFileStatus } from './messages.ts';
import { restoreGeneration } from './restore.ts';
import type { RevocationDesk } from './revocation-desk.ts';
import type { KeptRevocation } from './revocation-file.ts';
import { RevocationKeeper } from './revocation-keeper.ts';
import { SnapshotKeeper } from './snapshot-keeper.ts';

export interface KeepingOptions {
  readonly desk: RevocationDesk;
  /** For the next loader thread of this process. */
  readonly onHeld: (held: readonly KeptRevocation[]) => void;
  /** The status is another one. */
  readonly onChange: () => void;
}

/** Of what the process before left on disk: it must not keep the source waiting. */
const START_READ_MS = 5_000;
/** Whoever revokes does not wait longer for a disk. */
const KEPT_WAIT_MS = 2_000;

export class LoaderKeeping {
  readonly #context: LoadContext;
  readonly #desk: RevocationDesk;
  readonly #snapshots: SnapshotKeeper;
  readonly #revocations: RevocationKeeper;

  constructor(context: LoadContext, { desk, onHeld, onChange }: KeepingOptions) {
    this.#context = context;
    this.#desk = desk;
    this.#snapshots = new SnapshotKeeper(context, onChange);
    this.#revocations = new RevocationKeeper(context, {
      onHeld,
      onRead: held => desk.takeOver(held),
      onChange,
    });
  }

  /**
   * Takes over what was left: `held` by the thread before, the rest by the process before. It works in slots:
   * nothing else may meanwhile. Returns what became of the snapshot file, where it was needed and is there.
   */
  async takeOver(held: readonly KeptRevocation[]): Promise<RestoreReport | undefined> {
    this.#desk.takeOver(held);
    this.#desk.recover();
    await inTime(this.#revocations.read(), START_READ_MS);
    if (currentSnapshot(this.#context) !== undefined) return undefined;
    return await restoreGeneration(this.#context, START_READ_MS);
  }

  /** Undefined where no file is configured. */
  get status(): SnapshotFileStatus | undefined {
    const { status } = this.#snapshots;
    const { problem } = this.#revocations;
    return status && { ...status, ...(problem === undefined ? {} : { revocationsProblem: problem }) };
  }

  /** A load is served. */
  loaded(): void {
    this.#snapshots.write();
  }

  /** A generation of the fleet is served; there will be more. */
  taken(): void {
    this.#snapshots.note();
  }

  /** A delta is served: a load will come, or the end. */
  updated(): void {
    this.#snapshots.changed();
  }

  /** Keeps what is held, if it is another set than before. */
  note(): void {
    // What the file says needs no revocation; without one nothing has to be kept for a restart.
    const file = this.#snapshots.status;
    const generation = file === undefined ? Number.POSITIVE_INFINITY : (file.generation ?? 0);
    this.#context.revocations.forgetEnded(generation);
    this.#revocations.note();
  }

  /** Resolves when what was noted is on disk, or cannot be for now. */
  async kept(): Promise<void> {
    await inTime(this.#revocations.settled(), KEPT_WAIT_MS);
  }

  async stop(): Promise<void> {
    await this.#snapshots.stop();
    this.note();
    await this.#revocations.stop();
  }
}
