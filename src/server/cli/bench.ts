/** `sortition bench`: how fast selections are on this machine, on the user's own nodes. */
import type { Command } from 'commander';
import { type BenchReport, runBench } from '../bench.ts';
import { addConfigFlags, commandConfig, isServerKey } from './config-flags.ts';
import { EXIT_USAGE, ExitError } from './exit.ts';
import { printJson, printLine, table } from './output.ts';

interface Flags {
  readonly count: string;
  readonly seconds: string;
  readonly json?: boolean;
}

const SECONDS_MAX = 60;

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .description('Measure selections on this machine, on your own source.')
    .option('-n, --count <number>', 'Nodes of a selection.', '110')
    .option('--seconds <number>', 'Time to spend on each measurement.', '1')
    .option('--json', 'Print the figures as JSON.');
  addConfigFlags(command, name => !isServerKey(name));
  command
    .addHelpText('after', '\nExample:\n  sortition bench --source nodes.csv --count 110')
    .action(async (flags: Flags) => {
      const config = commandConfig(command);
      const report = await runBench(config, {
        count: wholeNumber('--count', flags.count, config.values['limits.countMax']),
        seconds: seconds(flags.seconds),
      });
      if (flags.json === true) printJson(report);
      else printReport(report);
    });
}

function wholeNumber(flag: string, text: string, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw new ExitError(`${flag} ${text}: expected an integer from 1 to ${max}`, EXIT_USAGE);
}

function seconds(text: string): number {
  const value = /^\d{1,2}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (value > 0 && value <= SECONDS_MAX) return value;
  throw new ExitError(`--seconds ${text}: expected a number above 0, up to ${SECONDS_MAX}`, EXIT_USAGE);
}

function printReport({ environment, results }: BenchReport): void {
  printLine(Object.values(environment).join(' · '));
  printLine();
  const rows = results.map(result => [
    result.name,
    result.p50_us,
    result.mean_us,
    result.p99_us,
    result.per_second,
  ]);
  for (const line of table(['what', 'p50 µs', 'mean µs', 'p99 µs', 'a second'], rows)) printLine(line);
}
