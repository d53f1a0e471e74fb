/**
 * The figures behind the promises: a test says what it reached, and the end of the run shows it by goal. They
 * travel in the metadata of the test that says them.
 */
import { type RunnerTestCase, TestRunner } from 'vitest';

/** Longest forms, in which every figure that is promised is reached: `PROOF=long`. */
export const LONG = process.env.PROOF === 'long';

/** The goals of `test/verify/goals.ts`. */
export type GoalId = `G${number}`;

export interface Figure {
  readonly goal: GoalId;
  readonly what: string;
  /** Numbers of the same thing are added up, over all tests; texts stand beside each other. */
  readonly value: number | string;
}

declare module 'vitest' {
  interface TaskMeta {
    figures?: Figure[];
  }
}

/** Says what a test reached; before and after tests nothing is noted. */
export function figure(goal: GoalId, what: string, value: number | string): void {
  const test = TestRunner.getCurrentTest<RunnerTestCase | undefined>();
  if (test === undefined) return;
  test.meta.figures ??= [];
  test.meta.figures.push({ goal, what, value });
}

/** A bug that was put in on purpose has been found again. */
export function seededBugFound(goal: GoalId): void {
  figure(goal, 'seeded bugs found', 1);
  if (goal !== 'G16') figure('G16', 'seeded bugs found', 1);
}
