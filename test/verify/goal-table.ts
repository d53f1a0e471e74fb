/** A vitest reporter that ends the run with what the tests have reached, by goal. */
import type { Reporter, TestModule } from 'vitest/node';
import { type Figure, type GoalId, LONG } from '../support/figures.ts';
import { GOALS } from './goals.ts';

/** What was said of one thing. */
class Sum {
  total = 0;
  readonly #texts: string[] = [];

  add(value: number | string): void {
    if (typeof value === 'number') this.total += value;
    else this.#texts.push(value);
  }

  toString(): string {
    const total = this.#texts.length === 0 || this.total > 0 ? [this.total.toLocaleString('en')] : [];
    return [...total, ...this.#texts].join(', ');
  }
}

/** Goals whose figures have to be there, comma-separated: `npm run verify:all` sets it. */
const DEMANDED = process.env.VERIFIED_GOALS?.split(',') ?? [];

export class GoalTable implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const reached = new Map<GoalId, Map<string, Sum>>();
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        // What was reached before a failure is not reached.
        if (test.result().state !== 'passed') continue;
        for (const figure of test.meta().figures ?? []) note(reached, figure);
      }
    }
    for (const [goal, { promise, floors = {} }] of Object.entries(GOALS)) {
      const figures = reached.get(goal as GoalId) ?? new Map<string, Sum>();
      const isDemanded = DEMANDED.includes(goal);
      const below = isDemanded && LONG ? missed(figures, floors) : [];
      const isMissing = isDemanded && figures.size === 0;
      if (isMissing || below.length > 0) process.exitCode = 1;
      if (figures.size === 0 && !isMissing) continue;
      const shown = [...figures].map(([what, sum]) => `${sum} ${what}`);
      console.log(`${goal.padEnd(4)}${promise}\n    ${isMissing ? 'MISSING' : shown.join(' · ')}`);
      for (const line of below) console.log(`    NOT REACHED: ${line}`);
    }
  }
}

function missed(figures: ReadonlyMap<string, Sum>, floors: Readonly<Record<string, number>>): string[] {
  return Object.entries(floors)
    .filter(([what, floor]) => (figures.get(what)?.total ?? 0) < floor)
    .map(([what, floor]) => `${floor.toLocaleString('en')} ${what}`);
}

function note(reached: Map<GoalId, Map<string, Sum>>, { goal, what, value }: Figure): void {
  const figures = reached.get(goal) ?? new Map<string, Sum>();
  const sum = figures.get(what) ?? new Sum();
  sum.add(value);
  figures.set(what, sum);
  reached.set(goal, figures);
}
