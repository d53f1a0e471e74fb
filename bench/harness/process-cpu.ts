/** CPU time and memory of another process, by the kernel's own count. Linux only. */
import { readdirSync, readFileSync } from 'node:fs';

export interface CpuTime {
  /** Of the main thread, which answers in a Node.js server. */
  readonly mainThreadUs: number;
  readonly processUs: number;
}

const KIBIBYTE = 1_024;

/** CPU time so far; needs nothing inside the process. Undefined beyond Linux, or when the process is gone. */
export function cpuOf(pid: number | undefined): CpuTime | undefined {
  try {
    const threads = readdirSync(`/proc/${pid}/task`).map(thread => ({
      main: thread === String(pid),
      us: Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1000,
    }));
    const sum = (which: typeof threads) => which.reduce((total, { us }) => total + us, 0);
    return { mainThreadUs: sum(threads.filter(({ main }) => main)), processUs: sum(threads) };
  } catch {
    // Not Linux, or the process is gone: the bench goes on without.
    return undefined;
  }
}

/** Memory of processes together, each shared page counted once (Postgres' buffers are in every backend). */
export function memoryOf(pids: readonly number[]): number | undefined {
  try {
    return pids.reduce((total, pid) => {
      const share = /^Pss: +(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
      return total + Number(share) * KIBIBYTE;
    }, 0);
  } catch {
    // As above.
    return undefined;
  }
}
