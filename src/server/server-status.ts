/** What `/v1/status` says: the whole server, as people, scripts and dashboards read it. */
import type { KernelKind } from '../engine/kernel/kernel.ts';
import type { NodeCounts } from '../workers/load-report.ts';
import type { LoaderStatus } from '../workers/messages.ts';
import type { AccessStatus } from './access/access-keeper.ts';
import type { PreparedCounts } from './answers/prepared-answers.ts';

export interface ServerStatus {
  readonly version: string;
  readonly node: string;
  /** What computes the selections: WebAssembly, or its twin. */
  readonly kernel: KernelKind;
  readonly uptimeMs: number;
  readonly ready: boolean;
  /** Why it is not ready; `null` when it is. */
  readonly notReady: string | null;
  readonly draining: boolean;
  readonly generation: number;
  /** `null` before the first generation. */
  readonly ageMs: number | null;
  readonly nodes: NodeCounts | null;
  /** Who may ask the data routes. */
  readonly access: AccessStatus & { readonly tls: boolean };
  readonly loader: LoaderStatus;
  /** Answers by the way they took. */
  readonly ways: {
    readonly prepared: number;
    readonly inPlace: number;
    readonly pool: number;
    readonly poolFallbacks: number;
  };
  /** Rings of prepared answers; `null` while nothing is prepared. */
  readonly prepared: (PreparedCounts & { readonly filled: number; readonly failedTasks: number }) | null;
  /** What each of the threads that serve has answered and holds; the main one first. */
  readonly httpThreads: readonly { readonly answers: number; readonly connections: number }[];
  readonly httpThreadRestarts: number;
  /** Of the main thread's event loop. */
  readonly stalls: { readonly count: number; readonly totalMs: number };
  readonly workerPool: {
    readonly threads: number;
    readonly queued: number;
    readonly tasks: number;
    readonly lost: number;
  };
  readonly picks: number;
}

/** Nobody reads a load's time to a millionth of a microsecond. */
const DECIMALS = 1_000;

/**
 * Without `undefined`, which MessagePack would carry as an extension, and with times to the microsecond. The
 * document is small and rarely asked for.
 */
export function tidied<T>(document: T): T {
  const rounded = (_: string, value: unknown) =>
    typeof value === 'number' ? Math.round(value * DECIMALS) / DECIMALS : value;
  return JSON.parse(JSON.stringify(document, rounded)) as T;
}
