/**
 * Runs faults one after the other against their scenes, each between two stretches of undisturbed load,
 * and judges them: what the fault itself asserts, and no failed request. A run whose load before the fault
 * was below the floor says nothing, and is repeated.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { DemoRandom } from '../../src/server/demo/random.ts';
import { type Described, type Fault, FaultRun } from './fault.ts';
import { type HttpLoad, PHASES, type Phase, type PhaseCounts } from './http-load.ts';
import type { ServeFlags } from './served/served-process.ts';
import type { StepHits } from './steps.ts';

export type Verdict = 'passed' | 'failed' | 'void' | 'not run';

export interface FaultResult {
  readonly number: string;
  readonly name: string;
  readonly verdict: Verdict;
  readonly counts: Readonly<Record<Phase, Counts>>;
  readonly recoveryMs: number | undefined;
  readonly counted: Readonly<Record<string, number>>;
  /** Why it failed or did not run; else what else is to be said. */
  readonly detail: string;
  readonly elapsedMs: number;
}

export interface Counts {
  readonly requests: number;
  readonly refused: number;
  readonly failed: number;
  readonly slowestMs: number;
  readonly reasons: Readonly<Record<string, number>>;
}

/** What every kind of scene can do. */
export interface Scene extends Described {
  readonly load: HttpLoad;
  prepare(flags?: ServeFlags): Promise<void>;
  reset(): Promise<void>;
}

export interface FaultsOptions {
  readonly seconds: number;
  readonly random: DemoRandom;
  readonly hits: StepHits;
  /** Told of each fault as it is done. */
  readonly onResult?: (result: FaultResult) => void;
}

const BEFORE_MS = 400;
const AFTER_MS = 300;
/** Requests a second before the fault, below which a run is void. */
const FLOOR_PER_SECOND = 100;
const ATTEMPTS_MAX = 3;

export async function runFaults<S extends Scene>(
  scene: S,
  faults: readonly Fault<S>[],
  options: FaultsOptions,
): Promise<FaultResult[]> {
  const results: FaultResult[] = [];
  for (const fault of faults) {
    let result = await runOnce(scene, fault, options);
    for (let attempt = 1; result.verdict === 'void' && attempt < ATTEMPTS_MAX; attempt++) {
      result = await runOnce(scene, fault, options);
    }
    results.push(result);
    options.onResult?.(result);
  }
  return results;
}

async function runOnce<S extends Scene>(
  scene: S,
  fault: Fault<S>,
  { seconds, random, hits }: FaultsOptions,
): Promise<FaultResult> {
  const startedMs = performance.now();
  const { load } = scene;
  const { number, name } = fault;
  const run = new FaultRun({
    scene,
    load,
    fault: number,
    seconds,
    random: () => random.fraction(),
    hits,
  });
  const result = (verdict: Verdict, detail: string): FaultResult => ({
    number,
    name,
    verdict,
    counts: countsOf(load),
    recoveryMs: run.recoveryMs,
    counted: run.counted,
    detail,
    elapsedMs: performance.now() - startedMs,
  });
  const unavailable = await fault.unavailable?.();
  load.begin();
  if (unavailable !== undefined) return result('not run', unavailable);
  try {
    await scene.prepare(fault.flags);
    load.begin();
    await delay(BEFORE_MS);
    const { answered } = load.counts('before');
    load.enter('during');
    if ((answered * 1_000) / BEFORE_MS < FLOOR_PER_SECOND) {
      return result('void', `${answered} answers in ${BEFORE_MS} ms before the fault`);
    }
    await fault.run(run);
    load.enter('after');
    await delay(AFTER_MS);
    await run.until('something is answered after the fault', () => {
      const { answered, failed } = load.counts('after');
      return answered + failed > 0;
    });
    for (const phase of ['before', 'during'] as const) await load.settled(phase);
    load.enter('after');
    const problem = failures(load);
    return problem === undefined ? result('passed', run.notes.join('; ')) : result('failed', problem);
  } catch (error) {
    const failed = result('failed', [(error as Error).message, failures(load)].filter(Boolean).join('; '));
    await scene.reset();
    return failed;
  }
}

function failures(load: HttpLoad): string | undefined {
  const reasons = PHASES.flatMap(phase =>
    [...load.counts(phase).reasons].map(([reason, times]) => `${times} × ${reason} (${phase})`),
  );
  return reasons.length === 0 ? undefined : reasons.join('; ');
}

function countsOf(load: HttpLoad): Record<Phase, Counts> {
  const plain = (counts: PhaseCounts): Counts => ({
    requests: counts.answered + counts.refused + counts.failed,
    refused: counts.refused,
    failed: counts.failed,
    slowestMs: Math.round(counts.slowestMs),
    reasons: Object.fromEntries(counts.reasons),
  });
  return {
    before: plain(load.counts('before')),
    during: plain(load.counts('during')),
    after: plain(load.counts('after')),
  };
}
