/** Where and on what a bench ran. */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg, platform, release } from 'node:os';

export interface Environment {
  readonly node: string;
  readonly v8: string;
  readonly cpu: string;
  /** Threads that the machine runs at once. */
  readonly threads: number;
  readonly system: string;
  /** Short hash, `+` when files other than results differ from it; `none` outside of a repository. */
  readonly commit: string;
  readonly date: string;
  /** Load of the machine during the minute before: numbers of a busy machine are worth less. */
  readonly loadBefore: number;
  readonly toy: boolean;
  /** Nodes and snapshot bytes, and what else the bench wants to be known. */
  readonly [detail: string]: string | number | boolean;
}

export function environment(toy: boolean, details: Readonly<Record<string, string | number>>): Environment {
  return {
    node: process.version,
    v8: process.versions.v8,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    threads: availableParallelism(),
    system: `${platform()} ${release()}`,
    commit: commit(),
    date: new Date().toISOString(),
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
    toy,
    ...details,
  };
}

function commit(): string {
  try {
    const hash = git('rev-parse', '--short=12', 'HEAD');
    const others = [
      ':(top)',
      ':(top,exclude)bench/results',
      ':(top,exclude)bench/plots',
      ':(top,exclude)README.md',
    ];
    return git('status', '--porcelain', '--untracked-files=no', '--', ...others) === '' ? hash : `${hash}+`;
  } catch {
    // No repository, no commit yet, or no git: the bench runs all the same.
    return 'none';
  }
}

function git(...args: string[]): string {
  const cwd = import.meta.dirname;
  return execFileSync('git', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}
