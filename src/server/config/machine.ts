/**
 * What `auto` makes of the machine. One worker prepares answers about as fast as four HTTP threads send them;
 * the loader is busy for some milliseconds a refresh and gets no core of its own.
 *
 *   cores                 1         2          3      4      8      16
 *   worker threads        1         1          1      1      2      4
 *   HTTP threads          1         1          2      3      6      8
 *   ordinary selections   in place  prepared where they are hot, else in place
 */
import { availableParallelism } from 'node:os';

const CORES_A_WORKER = 4;
const WORKERS_MAX = 4;
/** More have not been measured; each has a heap of its own. */
const HTTP_THREADS_MAX = 8;

export interface Machine {
  readonly poolThreads: number;
  readonly httpThreads: number;
  readonly serveFrom: 'prepared' | 'in-place';
}

/** For a machine that runs `cores` threads at once. */
export function machineDefaults(cores: number): Machine {
  const poolThreads = Math.max(1, Math.min(WORKERS_MAX, Math.floor(cores / CORES_A_WORKER)));
  return {
    poolThreads,
    httpThreads: Math.max(1, Math.min(HTTP_THREADS_MAX, cores - poolThreads)),
    // With one core the workers would only take time from the thread that they work for.
    serveFrom: cores > 1 ? 'prepared' : 'in-place',
  };
}

const MACHINE = machineDefaults(availableParallelism());

export const AUTO_POOL_THREADS = MACHINE.poolThreads;
export const AUTO_HTTP_THREADS = MACHINE.httpThreads;
export const AUTO_SERVE_FROM = MACHINE.serveFrom;
