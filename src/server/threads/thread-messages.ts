/** What crosses between the main thread and the other HTTP threads: plain data only. */
import type { ErrorData } from '../../engine/errors.ts';
import type { RingMemory } from '../../engine/prepared/ring.ts';
import type { EncodedFormat, SelectionRequest } from '../../engine/selection/selection-types.ts';
import type { CacheHandle } from '../../workers/cache-types.ts';
import type { FleetView } from '../../workers/fleet-link.ts';
import type { LoaderStatus, RingTenant } from '../../workers/messages.ts';
import type { PoolAnswer } from '../../workers/worker-pool.ts';
import type { AccessData } from '../access/access-gate.ts';
import type { Identity } from '../access/identity.ts';
import type { TlsMaterial } from '../access/tls-material.ts';
import type { Phase } from '../app-context.ts';
import type { ServerOptions } from '../config/options.ts';
import type { ServerStatus } from '../server-status.ts';
import type { ThreadReport } from '../thread-report.ts';
import type { LifeMessage } from './kept-thread.ts';

/** What an HTTP thread is started with. */
export interface HttpThreadData {
  readonly cache: CacheHandle;
  /** The thread's own share of every limit. */
  readonly options: ServerOptions;
  readonly port: number;
  readonly rings: RingShare | undefined;
  readonly loader: LoaderStatus;
  readonly phase: Phase;
  readonly logLevel: string;
  readonly access: AccessData | undefined;
  readonly tls: TlsMaterial | undefined;
}

/** The rings of one HTTP thread. */
export interface RingShare {
  readonly memory: RingMemory;
  readonly firstRing: number;
  readonly rings: number;
}

/** What the main thread is asked by the others, and what it answers. */
export interface Asked {
  readonly run: { readonly format: EncodedFormat; readonly requests: readonly SelectionRequest[] };
  readonly status: undefined;
  readonly metrics: undefined;
  readonly fleet: undefined;
}

export interface Answered {
  readonly run: readonly PoolAnswer[];
  readonly status: ServerStatus;
  readonly metrics: string;
  readonly fleet: FleetView | undefined;
}

export type MessageFromThread =
  | LifeMessage
  | { readonly kind: 'log'; readonly line: string }
  /** It has closed its listener. */
  | { readonly kind: 'refusing' }
  | { readonly kind: 'report'; readonly report: ThreadReport }
  | { readonly kind: 'tend'; readonly ring: number; readonly tenant: RingTenant | undefined }
  | { [K in keyof Asked]: { kind: 'ask'; what: K; id: number; question: Asked[K] } }[keyof Asked];

export type MessageToThread =
  | { readonly kind: 'loader'; readonly status: LoaderStatus }
  | { readonly kind: 'phase'; readonly phase: Phase }
  | { readonly kind: 'report' }
  | { readonly kind: 'identities'; readonly identities: readonly Identity[] }
  | { readonly kind: 'unfit'; readonly unfit: Pick<RingTenant, 'ring' | 'tenancy'> }
  | {
      readonly kind: 'answer';
      readonly id: number;
      readonly ok: true;
      readonly value: Answered[keyof Answered];
    }
  | { readonly kind: 'answer'; readonly id: number; readonly ok: false; readonly error: ErrorData };
