/**
 * Every message and result that crosses a thread: plain data only, because classes do not survive the clone.
 */
import type { ErrorData } from '../engine/errors.ts';
import type { RingMemory } from '../engine/prepared/ring.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  SelectionRequest,
} from '../engine/selection/selection-types.ts';
import type { FleetEvent } from './fleet/options.ts';
import type { FleetView, ReplicaStatus } from './fleet-link.ts';
import type { GuardStatus } from './guard/data-guard.ts';
import type { ValidatorName } from './guard/validators.ts';
import type { DeltaCounts, DeltaReport, LoadReport, NodeCounts, RestoreReport } from './load-report.ts';
import type { KeptRevocation } from './revocation-file.ts';
import type { RevokeResult } from './revocations.ts';
import type { LoadSettings, ReaderSettings } from './settings.ts';
import type { ChangeStatus } from './source/node-changes.ts';
import type { SourceOptions } from './source/open-source.ts';

/** What the snapshot file has. */
export interface SnapshotFileStatus {
  /** Of the last one that was written by this process. */
  readonly generation?: number;
  readonly writtenAt?: string;
  /** Why the newest could not be written, when it could not. */
  readonly problem?: string;
  /** Why the file of revocations beside it could not be read or written, when it could not. */
  readonly revocationsProblem?: string;
}

/** Something that happened to a replica in its fleet. */
export interface FleetNews extends FleetEvent {
  readonly atUnixMs: number;
}

export type LoaderState =
  | 'starting'
  | 'loading'
  | 'waiting'
  | 'backing-off'
  | 'following'
  | 'restarting'
  | 'stopped';

export interface FailureReport extends ErrorData {
  readonly at: string;
  /** Failures since the last success. */
  readonly consecutive: number;
}

/** The loader's state as every face shows it. */
export interface LoaderStatus {
  readonly state: LoaderState;
  readonly source: string;
  readonly refreshes: { readonly succeeded: number; readonly failed: number };
  /** Times the loader thread had to be started again. */
  readonly restarts: number;
  /** What is in the generation that the loader published last. */
  readonly nodes?: NodeCounts;
  readonly lastLoad?: LoadReport;
  /** Present while the newest attempt has failed. */
  readonly lastError?: FailureReport;
  /** Nodes that are held out of selections by a revocation. */
  readonly revoked: number;
  /** How changes of the source become known; absent where it cannot say. */
  readonly changes?: ChangeStatus;
  /** This replica in its fleet; absent where it loads for itself. */
  readonly fleet?: ReplicaStatus;
  /** What happened in the fleet: the newest of each kind. */
  readonly fleetNews?: Readonly<Record<string, FleetNews>>;
  /** Absent where none is configured. */
  readonly snapshotFile?: SnapshotFileStatus;
  /** What the snapshot file had at the start; absent where there was none. */
  readonly restored?: RestoreReport;
  /** What became of them. */
  readonly deltas: DeltaCounts;
  readonly lastDelta?: DeltaReport;
  /** What the data guard has refused; absent before the loader has said anything. */
  readonly guard?: GuardStatus;
  /** Milliseconds until the next planned load, as of this report; absent while one runs. */
  readonly nextLoadInMs?: number;
}

/** Answer to a refresh on demand. */
export type RefreshResult =
  | { readonly ok: true; readonly report: LoadReport }
  | { readonly ok: false; readonly error: ErrorData };

/** What the loader thread is started with. */
export interface LoaderWorkerData {
  readonly control: SharedArrayBuffer;
  readonly slots: readonly SharedArrayBuffer[];
  readonly reader: ReaderSettings;
  readonly load: LoadSettings;
  readonly source: SourceOptions;
  /** What operators had revoked when the loader thread before this one ended. */
  readonly held: readonly KeptRevocation[];
}

/** What the loader is asked for; ids are 32 bytes each, one behind the other. */
export interface LoaderQuestions {
  readonly refresh: { readonly acceptDrop: boolean };
  readonly revoke: { readonly ids: Uint8Array; readonly holdMs: number };
  readonly restore: { readonly ids: Uint8Array };
  readonly fleet: Record<string, never>;
  readonly override: { readonly validators: readonly ValidatorName[]; readonly forMs: number };
}

/** What it answers. */
export interface LoaderAnswers {
  readonly refresh: LoadReport;
  readonly revoke: RevokeResult;
  /** Nodes that were held, and are not any more. */
  readonly restore: number;
  /** Undefined where there is none. */
  readonly fleet: FleetView | undefined;
  readonly override: GuardStatus;
}

export type LoaderQuestion = {
  [K in keyof LoaderQuestions]: { readonly kind: K; readonly requestId: number } & LoaderQuestions[K];
}[keyof LoaderQuestions];

export type LoaderAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: ErrorData };

export type MessageToLoader =
  | LoaderQuestion
  /** Rings of prepared answers, whose takers are to know of revocations. */
  | { readonly kind: 'rings'; readonly memory: RingMemory }
  | { readonly kind: 'stop' };

export type MessageFromLoader =
  | { readonly kind: 'status'; readonly status: LoaderStatus }
  | { readonly kind: 'held'; readonly held: readonly KeptRevocation[] }
  | {
      readonly kind: 'answer';
      readonly requestId: number;
      readonly answer: LoaderAnswer<LoaderAnswers[keyof LoaderAnswers]>;
    };

/** A task of the selection workers: requests that are answered together. */
export interface SelectionTask {
  readonly format: EncodedFormat;
  readonly requests: readonly SelectionRequest[];
  /** Largest encoding that any valid request can need. */
  readonly bytesMax: number;
}

export type SelectionTaskAnswer =
  /** Where this answer begins and ends in the bytes of the result. */
  | ({ readonly ok: true; readonly start: number; readonly end: number } & Omit<EncodedSelection, 'bytes'>)
  | { readonly ok: false; readonly error: ErrorData };

export interface SelectionTaskResult {
  readonly answers: readonly SelectionTaskAnswer[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A ring, and the request that it is to be kept full for. */
export interface RingTenant {
  readonly ring: number;
  /** The ring has another tenant when its number is another. */
  readonly tenancy: number;
  readonly format: EncodedFormat;
  readonly request: SelectionRequest;
}

/** Which rings are to be kept full, and for how long. */
export interface TendOrder {
  readonly tenants: readonly RingTenant[];
  readonly durationMs: number;
}

/** Another task of theirs: keeps rings full for a while, and ends early when other work waits. */
export interface TendTask extends TendOrder {
  /** How often fillers had been called when the task was given: it ends when they have been since. */
  readonly calls: number;
}

export interface TendResult {
  /** Answers that were prepared. */
  readonly filled: number;
  /** Tenants whose request has no whole answer now: an error, or fewer nodes than asked for. */
  readonly unfit: readonly Pick<RingTenant, 'ring' | 'tenancy'>[];
}
