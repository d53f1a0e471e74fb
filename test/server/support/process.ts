/**
 * The command as users run it: a process of its own, in a directory of its own, with nothing of our
 * environment.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { until } from '../../support/until.ts';

const MAIN = resolve('src/server/main.ts');

export interface Spawned {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
}

export interface SpawnOptions {
  readonly cwd: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Leads a process group of its own, as a command in a terminal does: Ctrl-C goes to the whole group. */
  readonly group?: boolean;
}

export function sortition(args: readonly string[], options: SpawnOptions): Spawned {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: options.cwd,
    env: { PATH: process.env.PATH ?? '', ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: options.group ?? false,
  });
  const out: Buffer[] = [];
  const error: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => error.push(chunk));
  return {
    child,
    stdout: () => Buffer.concat(out).toString(),
    stderr: () => Buffer.concat(error).toString(),
    ended: once(child, 'close').then(([code]) => code as number | null),
  };
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runSortition(args: readonly string[], options: SpawnOptions): Promise<Finished> {
  const { ended, stdout, stderr } = sortition(args, options);
  const code = await ended;
  return { code, stdout: stdout(), stderr: stderr() };
}

/** The data address out of a server's log, once it listens. */
export async function listeningUrl(server: Spawned): Promise<string> {
  const line = () => /"url":"([^"]+)"/.exec(server.stderr())?.[1];
  await until('the server listens', () => line() !== undefined);
  return line()!;
}
