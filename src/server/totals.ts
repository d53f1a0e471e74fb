/** What status and metrics are made from. Types only; main thread. */
import type { Cache } from '../workers/cache-types.ts';
import type { RingTender } from '../workers/ring-tender.ts';
import type { SelectionPool } from '../workers/worker-pool.ts';
import type { AccessKeeper } from './access/access-keeper.ts';
import type { AppContext } from './app-context.ts';
import type { ThreadReport } from './thread-report.ts';
import type { StallCounts } from './watchdog/watchdog.ts';

export interface WholeParts {
  readonly context: AppContext;
  readonly cache: Cache;
  readonly workerPool: SelectionPool;
  readonly access: AccessKeeper;
  readonly tender: RingTender | undefined;
}

/** The counters of all threads, as of the last time that they were asked. */
export interface Totals extends WholeParts {
  readonly reports: readonly ThreadReport[];
  readonly total: ThreadReport;
  readonly httpThreadRestarts: number;
  readonly stalls: StallCounts;
}
