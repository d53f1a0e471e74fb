/**
 * Runs the model checker Spin over a model: makes the verifier of one variant, compiles it, lets it search
 * every state, and reads what it found.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { compileC } from './c-compiler.ts';
import { aptGet, findProgram, mayInstall } from './server-program.ts';

export interface Variant {
  /** The file of the model. */
  readonly model: string;
  /** What is defined for it: `name` or `name=value`. */
  readonly defines: readonly string[];
  /** Longest path that is followed; one that is longer is an error, not an omission. */
  readonly depthMax: number;
  readonly timeoutMs: number;
}

export interface Verification {
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  readonly memoryMb: number;
  readonly seconds: number;
  /** The property that does not hold; `undefined` when all do, in every state that can be reached. */
  readonly violated: string | undefined;
  /** Lines of the model that no path has reached. */
  readonly unreachedLines: readonly number[];
}

/** What a model in which processes wait for ever has violated. */
export const ENDS = 'ends';

const MEMORY_MAX_MB = 1_900;
/** The table of states begins with 2 to the power of this many places, and grows. */
const TABLE_BITS = 22;
const OUTPUT_BYTES_MAX = 16 * 2 ** 20;
/**
 * Nothing that would make the search less than exhaustive: collapse compression loses nothing, unlike bit
 * states and hash compaction.
 */
const FLAGS = ['-w', '-DSAFETY', '-DCOLLAPSE', `-DMEMLIM=${MEMORY_MAX_MB}`];

/** `quick`: compiled in less time, for short searches. */
export async function verify(variant: Variant, { quick = false } = {}): Promise<Verification> {
  const spin = await findSpin();
  const directory = await mkdtemp(join(tmpdir(), 'sortition-spin-'));
  const run = promisify(execFile);
  try {
    const defines = variant.defines.map(name => `-D${name}`);
    await run(spin, [...defines, '-a', variant.model], { cwd: directory }).catch(error => {
      throw new Error(`Spin cannot read ${variant.model}: ${(error as { stdout?: string }).stdout}`, {
        cause: error,
      });
    });
    const program = join(directory, 'pan');
    compileC({ source: join(directory, 'pan.c'), program, flags: [...FLAGS, quick ? '-O1' : '-O2'] });
    const limits = [`-m${variant.depthMax}`, `-w${TABLE_BITS}`];
    const { stdout } = await run(program, limits, {
      cwd: directory,
      timeout: variant.timeoutMs,
      maxBuffer: OUTPUT_BYTES_MAX,
    });
    return verification(stdout, basename(variant.model));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function findSpin(): Promise<string> {
  const advice = 'install Spin (Debian, Ubuntu: apt-get install spin; macOS: brew install spin)';
  const found = await findProgram(['spin']);
  if (found !== undefined) return found;
  if (!mayInstall()) throw new Error(`there is no spin on the PATH: ${advice}`);
  await aptGet(['install', '--no-install-recommends', 'spin']);
  const installed = await findProgram(['spin']);
  if (installed === undefined) throw new Error(`installing Spin left no spin on the PATH: ${advice}`);
  return installed;
}

/** Reads a verifier's report. Throws when the search was cut short for another reason than a violation. */
function verification(report: string, model: string): Verification {
  const errors = numberIn(report, /errors: (\d+)/);
  const violated = /pan:1: (?:assertion violated \(*(\w+)|invalid end state)/.exec(report);
  const cutShort =
    /max search depth too small|out of memory|MEMLIM|Search not completed|resource limit/i.exec(report);
  if (violated === null && (errors !== 0 || cutShort !== null)) {
    throw new Error(`the search is not complete (${cutShort?.[0] ?? 'errors'}):\n${report}`);
  }
  return {
    states: numberIn(report, /([\d.e+]+) states, stored/),
    transitions: numberIn(report, /([\d.e+]+) transitions/),
    depth: numberIn(report, /depth reached (\d+)/),
    memoryMb: numberIn(report, /([\d.]+)\s+total actual memory usage/),
    seconds: numberIn(report, /elapsed time ([\d.e+-]+) seconds/),
    violated: violated === null ? undefined : (violated[1] ?? ENDS),
    unreachedLines: unreachedLines(report, model),
  };
}

function numberIn(report: string, pattern: RegExp): number {
  const found = pattern.exec(report);
  if (found === null) throw new Error(`no ${pattern} in the report of the verifier:\n${report}`);
  return Number(found[1]);
}

function unreachedLines(report: string, model: string): number[] {
  const lines = report.matchAll(/^\t(\S+):(\d+), state \d+, "(.*)"$/gm);
  return [...lines]
    .filter(line => basename(line[1]!) === model && line[3] !== '-end-')
    .map(line => Number(line[2]));
}
