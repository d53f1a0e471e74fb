/** Reads numbers out of a report, and says clearly which one is missing. */
import type { Environment } from '../harness/environment.ts';
import type { BenchReport, BenchResult } from '../harness/result.ts';

export function numberOf(result: BenchResult, key: string): number {
  const value = result[key];
  if (typeof value !== 'number') throw new Error(`"${result.name}" has no number "${key}"`);
  return value;
}

export function environmentNumber({ environment }: BenchReport, key: string): number {
  const value = environment[key];
  if (typeof value !== 'number') throw new Error(`the environment has no number "${key}"`);
  return value;
}

/** When, of what and on what the results were measured. */
export function madeText({ date, commit, node, cpu, threads }: Environment, separator: string): string {
  const machine = `${cpu.replaceAll('(R)', '')}, ${threads} threads`;
  return [date.slice(0, 10), `commit ${commit}`, `Node ${node.slice(1)}`, machine].join(separator);
}
