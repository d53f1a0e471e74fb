/**
 * Every message and result that crosses a thread: plain data only, because classes do not survive the clone.
 */
import type { ErrorData } from '../engine/errors.ts';
import type {
  EncodedFormat,
  EncodedSelection,
  SelectionRequest,
} from '../engine/selection/selection-types.ts';
import type { LoadSettings, ReaderSettings } from './settings.ts';
import type { SourceOptions } from './source/open-source.ts';

/** What a load published, and what it left out. */
export interface LoadReport {
  readonly generation: number;
  /** When the read began, wall clock, ISO 8601: information only, ages come from the monotonic clock. */
  readonly readAt: string;
  readonly durationMs: number;
  readonly readMs: number;
  readonly buildMs: number;
  readonly validateMs: number;
  readonly publishMs: number;
  /** Bytes of the snapshot that are in use. */
  readonly snapshotBytes: number;
  readonly nodes: NodeCounts;
  /** Rows refused one by one, by reason (`address-invalid`, `port-invalid`, `id-duplicate`, …). */
  readonly refused: Readonly<Record<string, number>>;
  /** Nodes that can be looked up but not selected, by criterion. */
  readonly ineligible: Readonly<Record<string, number>>;
  /** Nodes that the source left out altogether, by criterion. */
  readonly absent: Readonly<Record<string, number>>;
  /** Why those could not be counted; then `absent` is empty. */
  readonly absentError?: string;
  readonly digest: string;
  /** Why the snapshot file could not be written, when it could not. */
  readonly persistError?: string;
}

export interface NodeCounts {
  readonly total: number;
  readonly vetted: number;
  readonly new: number;
  readonly ineligible: number;
  /** Distinct networks among vetted, among new, and over both. */
  readonly vettedNetworks: number;
  readonly newNetworks: number;
  readonly networks: number;
}

export type LoaderState = 'starting' | 'loading' | 'waiting' | 'backing-off' | 'restarting' | 'stopped';

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
  readonly lastLoad?: LoadReport;
  /** Present while the newest attempt has failed. */
  readonly lastError?: FailureReport;
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
}

export type MessageToLoader =
  | { readonly kind: 'refresh'; readonly requestId: number; readonly acceptDrop: boolean }
  | { readonly kind: 'stop' };

export type MessageFromLoader =
  | { readonly kind: 'status'; readonly status: LoaderStatus }
  | { readonly kind: 'refreshed'; readonly requestId: number; readonly result: RefreshResult };

/** A task of the selection workers: requests that are answered together. */
export interface SelectionTask {
  readonly format: EncodedFormat;
  readonly requests: readonly SelectionRequest[];
  /** Largest encoding that any valid request can need. */
  readonly bytesMax: number;
}

export type SelectionTaskAnswer =
  /** `end`: where this answer ends in the bytes of the result; it begins where the one before ends. */
  | ({ readonly ok: true; readonly end: number } & Omit<EncodedSelection, 'bytes'>)
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
