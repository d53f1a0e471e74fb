/** Stops servers of other projects for a while. `SIGCONT` lets them go on. */
import { execFile } from 'node:child_process';
import { platform } from 'node:os';
import { promisify } from 'node:util';
import { until } from './until.ts';

/** A line a thread; elsewhere one for the process. */
const STATES = platform() === 'linux' ? ['-L', '-o', 'stat='] : ['-o', 'stat='];

/**
 * Resolves when no thread of the process runs any more: until then one may still have answered. One that has
 * ended, and that its stopped parent cannot wait for, does not run either.
 */
export async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await until(`process ${pid} stands still`, async () => {
    const { stdout } = await promisify(execFile)('ps', [...STATES, '-p', String(pid)]);
    return stdout
      .trim()
      .split('\n')
      .every(state => /^[TZ]/i.test(state));
  });
}
