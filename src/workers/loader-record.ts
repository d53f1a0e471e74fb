/** What the loader has done so far, and how it stands: its status, as every face shows it. Loader thread. */
import type { ErrorData } from '../engine/errors.ts';
import type { ReplicaStatus } from './fleet-link.ts';
import type { LoadContext } from './load-cycle.ts';
import type { DeltaReport, LoadReport, NodeCounts, RestoreReport } from './load-report.ts';
import type { FailureReport, FleetNews, LoaderState, LoaderStatus, SnapshotFileStatus } from './messages.ts';
import type { ChangeStatus } from './source/node-changes.ts';

export class LoaderRecord {
  readonly #context: LoadContext;
  #succeeded = 0;
  #failed = 0;
  #failuresInARow = 0;
  #deltas = 0;
  #deltasFailed = 0;
  #takenOut = 0;
  #lastLoad: LoadReport | undefined;
  #lastDelta: DeltaReport | undefined;
  /** The newest of each kind. */
  #news: Readonly<Record<string, FleetNews>> = {};
  #restored: RestoreReport | undefined;
  #nodes: NodeCounts | undefined;
  #lastError: FailureReport | undefined;

  constructor(context: LoadContext) {
    this.#context = context;
  }

  /** Loads that have failed since the last good one. */
  get failuresInARow(): number {
    return this.#failuresInARow;
  }

  loaded(report: LoadReport): void {
    this.#succeeded++;
    this.#failuresInARow = 0;
    this.#lastLoad = report;
    this.#nodes = report.nodes;
    this.#lastError = undefined;
  }

  loadFailed(error: ErrorData): ErrorData {
    this.#failed++;
    this.#failuresInARow++;
    this.#lastError = { ...error, at: new Date().toISOString(), consecutive: this.#failuresInARow };
    return error;
  }

  updated(report: DeltaReport): void {
    this.#deltas++;
    this.#lastDelta = report;
    this.#nodes = report.nodes;
  }

  /** Something happened in the fleet. */
  heard(news: FleetNews): void {
    this.#news = { ...this.#news, [news.kind]: news };
  }

  /** What the snapshot file had at the start. */
  restored(report: RestoreReport): void {
    this.#restored = report;
    if (report.nodes !== undefined) this.published(report.nodes);
  }

  /** A generation that was not read here is served now. */
  published(nodes: NodeCounts): void {
    this.#nodes = nodes;
  }

  /** A load follows, which tells how things stand. */
  updateFailed(error: ErrorData): void {
    this.#deltasFailed++;
    this.#lastError = { ...error, at: new Date().toISOString(), consecutive: this.#failuresInARow };
  }

  /** So many nodes left selections at once, because the source said so. */
  takenOut(count: number): void {
    this.#takenOut += count;
  }

  status(
    state: LoaderState,
    {
      changes,
      fleet,
      snapshotFile,
      nextLoadInMs,
    }: {
      readonly changes: ChangeStatus | undefined;
      readonly fleet: ReplicaStatus | undefined;
      readonly snapshotFile: SnapshotFileStatus | undefined;
      readonly nextLoadInMs: number | undefined;
    },
  ): LoaderStatus {
    const { source, revocations, guard } = this.#context;
    return {
      state,
      source: source.description,
      refreshes: { succeeded: this.#succeeded, failed: this.#failed },
      restarts: 0,
      revoked: revocations.count,
      deltas: { published: this.#deltas, failed: this.#deltasFailed, takenOut: this.#takenOut },
      guard: guard.status(),
      ...(changes === undefined ? {} : { changes }),
      ...(this.#restored === undefined ? {} : { restored: this.#restored }),
      ...(fleet === undefined ? {} : { fleet, fleetNews: this.#news }),
      ...(snapshotFile === undefined ? {} : { snapshotFile }),
      ...(this.#nodes === undefined ? {} : { nodes: this.#nodes }),
      ...(this.#lastLoad === undefined ? {} : { lastLoad: this.#lastLoad }),
      ...(this.#lastDelta === undefined ? {} : { lastDelta: this.#lastDelta }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
      ...(nextLoadInMs === undefined ? {} : { nextLoadInMs }),
    };
  }
}
