/**
 * Draws the results under `bench/results/` into `bench/plots/`, as SVG and a table, and writes the tables of
 * the README. The same results give the same bytes: a test checks that every plot and table is that of the
 * results beside it.
 * Run: npm run bench:report
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { BenchReport } from './harness/result.ts';
import { httpPlot } from './report/http-plot.ts';
import { latencyPlot } from './report/latency-plot.ts';
import { peersPlot } from './report/peers-plot.ts';
import { peersTable } from './report/peers-table.ts';
import { readmeTables, withTables } from './report/readme-tables.ts';
import { scalePlot } from './report/scale-plot.ts';

export const RESULTS = resolve(import.meta.dirname, 'results');
export const PLOTS = resolve(import.meta.dirname, 'plots');
export const README = resolve(import.meta.dirname, '../README.md');

/** File of a plot → the results it shows, and who draws it. */
const DRAWN: Readonly<Record<string, readonly [results: string, draw: (report: BenchReport) => string]>> = {
  'scale.svg': ['select.json', scalePlot],
  'latency.svg': ['refresh.json', latencyPlot],
  'http.svg': ['http.json', httpPlot],
  'peers.svg': ['peers.json', peersPlot],
  'peers.md': ['peers.json', peersTable],
};

/** Every plot, and the table, as text by the name of its file. */
export function plots(folder: string = RESULTS): Map<string, string> {
  return new Map(
    Object.entries(DRAWN).map(([file, [results, draw]]) => {
      return [file, draw(reportIn(folder, results))];
    }),
  );
}

/** The README with the tables of the results. */
export function readmeText(folder: string = RESULTS): string {
  const tables = readmeTables(file => reportIn(folder, file));
  return withTables(readFileSync(README, 'utf8'), tables);
}

function reportIn(folder: string, file: string): BenchReport {
  return JSON.parse(readFileSync(resolve(folder, file), 'utf8')) as BenchReport;
}

function main(): void {
  mkdirSync(PLOTS, { recursive: true });
  const drawn = plots();
  for (const old of readdirSync(PLOTS)) {
    if (!drawn.has(old)) rmSync(resolve(PLOTS, old));
  }
  for (const [file, text] of drawn) {
    writeFileSync(resolve(PLOTS, file), text);
    process.stdout.write(`bench/plots/${file}\n`);
  }
  writeFileSync(README, readmeText());
  process.stdout.write('README.md\n');
}

if (import.meta.main) main();
