/** The shape of a bench's outcome, and its two faces: a table for people, one JSON object for programs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Environment } from './environment.ts';
import type { BenchOptions } from './options.ts';

export interface BenchResult {
  readonly name: string;
  readonly p50_us?: number;
  readonly mean_us?: number;
  readonly p99_us?: number;
  readonly requests_per_second?: number;
  /** Name of the result that this one is measured against. */
  readonly floor?: string;
  /** p50 (or requests a second) divided by that of the floor; filled in by `withRatios`. */
  readonly ratio?: number;
  /** Whatever else this bench shows. */
  readonly [detail: string]: string | number | undefined;
}

export interface BenchReport {
  readonly environment: Environment;
  readonly results: readonly BenchResult[];
}

export function withRatios(results: readonly BenchResult[]): BenchResult[] {
  const byName = new Map(results.map(result => [result.name, result]));
  return results.map(result => {
    const floor = result.floor === undefined ? undefined : byName.get(result.floor);
    const ratio = floor === undefined ? undefined : ratioOf(result, floor);
    return ratio === undefined ? result : { ...result, ratio: rounded(ratio) };
  });
}

function ratioOf(result: BenchResult, floor: BenchResult): number | undefined {
  const mine = result.requests_per_second ?? result.p50_us;
  const its = result.requests_per_second === undefined ? floor.p50_us : floor.requests_per_second;
  return mine === undefined || its === undefined || its === 0 ? undefined : mine / its;
}

/** Four significant digits: more is noise. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Prints the report as asked for, and keeps it when asked to. */
export function emit(bench: string, report: BenchReport, options: BenchOptions): void {
  const json = `${JSON.stringify(report, undefined, 2)}\n`;
  process.stdout.write(options.json ? json : tables(report));
  if (!options.save) return;
  const folder = resolve(import.meta.dirname, '../results');
  mkdirSync(folder, { recursive: true });
  writeFileSync(resolve(folder, `${bench}.json`), json);
}

function tables(report: BenchReport): string {
  const about = Object.entries(report.environment).map(([key, value]) => `${key} ${value}`);
  return [about.join(' · '), ...families(report.results).map(table), ''].join('\n\n');
}

/** A result without a floor begins a new table, unless the one before has none either. */
function families(results: readonly BenchResult[]): BenchResult[][] {
  const found: BenchResult[][] = [];
  results.forEach((result, i) => {
    const begins = i === 0 || (result.floor === undefined && results[i - 1]!.floor !== undefined);
    if (begins) found.push([]);
    found.at(-1)!.push(result);
  });
  return found;
}

/**
 * One column for every key that some result has, in the order of their first appearance; names to the left.
 */
function table(results: readonly BenchResult[]): string {
  const keys = [...new Set(results.flatMap(result => Object.keys(result)))];
  const rows = [keys, ...results.map(result => keys.map(key => cell(result[key])))];
  const widths = keys.map((_, column) => Math.max(...rows.map(row => (row[column] ?? '').length)));
  return rows
    .map(row =>
      row
        .map((text, column) => {
          const width = widths[column] ?? 0;
          return keys[column] === 'name' || keys[column] === 'floor'
            ? text.padEnd(width)
            : text.padStart(width);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function cell(value: string | number | undefined): string {
  return value === undefined ? '' : String(value);
}
