/**
 * Starts the servers under test, each in a process of its own on a free loopback port, and reads their CPU
 * time.
 */

import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../src/server/demo/free-port.ts';
import { type CpuTime, cpuOf } from '../harness/process-cpu.ts';
import type { PeerKind, PeerReady } from './peer-server.ts';

export interface RunningServer {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** CPU seconds so far, of the main thread (which answers) and of the whole process; absent beyond Linux. */
  cpu(): CpuTime | undefined;
  stop(): Promise<void>;
}

const PEER_URL = new URL('./peer-server.ts', import.meta.url);
const MAIN_URL = new URL('../../src/server/main.ts', import.meta.url);
const READY_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 20;
const STOP_TIMEOUT_MS = 10_000;

/**
 * No log; connections stay open; a machine that is busy with other things sheds no load; the end needs no
 * grace, because nobody is there any more.
 */
const FLAGS = [
  ...['--log-level', 'warn'],
  ...['--http-requests-per-socket-max', '100000000'],
  ...['--http-event-loop-delay-max-ms', '0'],
  ...['--shutdown-drain-delay-ms', '0'],
];

export async function startPeer(
  name: string,
  kind: PeerKind,
  bodyFile: string,
  rows: number,
): Promise<RunningServer> {
  const child = fork(fileURLToPath(PEER_URL), [kind, bodyFile, String(rows)]);
  const [{ port }] = (await Promise.race([once(child, 'message'), endOf(child, name)])) as [PeerReady];
  return running(name, port, child);
}

/** The product as users start it: `sortition serve`, with the flags given. */
export async function startOurs(name: string, flags: readonly string[]): Promise<RunningServer> {
  const port = await freePort();
  const args = [fileURLToPath(MAIN_URL), 'serve', '--port', String(port), ...FLAGS, ...flags];
  const child = spawn(process.execPath, args, {
    env: plainEnvironment(),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await Promise.race([ready(port, name), endOf(child, name)]);
  return running(name, port, child);
}

/** Without the caller's own settings of the product: the bench measures its defaults. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('SORTITION_')));
}

function running(name: string, port: number, child: ChildProcess): RunningServer {
  return { name, port, pid: child.pid ?? 0, cpu: () => cpuOf(child.pid), stop: () => stop(child) };
}

/** Until `/readyz` says so on that port; the data port listens before that of the probes. */
export async function ready(port: number, name: string): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      await answer.arrayBuffer();
      if (answer.ok) return;
    } catch {
      // Not listening yet.
    }
    if (performance.now() > deadline)
      throw new Error(`"${name}" was not ready within ${READY_TIMEOUT_MS} ms`);
    await new Promise(resolve => setTimeout(resolve, READY_POLL_MS));
  }
}

/** Rejects when the process ends: nobody should wait for its answer then. */
async function endOf(child: ChildProcess, name: string): Promise<never> {
  const [code, signal] = await once(child, 'exit');
  throw new Error(`"${name}" ended with ${signal ?? `code ${code}`}`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  child.kill('SIGTERM');
  await ended;
  clearTimeout(timer);
}
