/** `sortition bench`: how fast selections are on this machine, on the user's own nodes. */
import type { Command } from 'commander';
import { type BenchReport, runBench } from '../bench.ts';
import { count, duration } from '../summary/numbers.ts';
import { addConfigFlags, commandConfig, isServerKey } from './config-flags.ts';
import { EXIT_USAGE, ExitError } from './exit.ts';
import { pairs, printJson, printLine, table } from './output.ts';

interface Flags {
  readonly count: string;
  readonly seconds: string;
  readonly placement?: string;
  readonly json?: boolean;
}

const SECONDS_MAX = 60;

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .description('Measure selections on this machine, on your own source.')
    .option('-n, --count <number>', 'Nodes of a selection.', '110')
    .option('--placement <name>', 'Named placement.')
    .option('--seconds <number>', 'Time to spend on each measurement.', '1')
    .option('--json', 'Print the figures as JSON.');
  addConfigFlags(command, name => !isServerKey(name));
  command
    .addHelpText(
      'after',
      `
Examples:
  sortition bench --source nodes.csv
  sortition bench --config sortition.json --count 10 --placement eu --json`,
    )
    .action(async (flags: Flags) => {
      const config = commandConfig(command);
      const report = await runBench(config, {
        count: wholeNumber('--count', flags.count, config.values['limits.countMax']),
        seconds: seconds(flags.seconds),
        ...(flags.placement === undefined ? {} : { placement: flags.placement }),
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
  const { version, node, machine, source, generation, placement, found } = environment;
  const pools = `${count(environment.vetted)} vetted, ${count(environment.new)} new`;
  const snapshot = `${count(environment.snapshotBytes)} bytes, loaded in ${duration(environment.loadMs)}`;
  const asked = `${environment.count} nodes by placement "${placement}"`;
  const lines: [string, string][] = [
    ['on', `${version}, ${node}, ${machine}`],
    ['source', source],
    ['nodes', `${count(environment.nodes)}: ${pools}, in ${count(environment.networks)} networks`],
    ['generation', `${generation}, ${snapshot}`],
    ['selection', found < environment.count ? `${asked}; only ${found} are to be had` : asked],
  ];
  for (const line of pairs(lines)) printLine(line);
  printLine();
  const rows = results.map(({ name, p50_us, mean_us, p99_us, per_second, bytes }) => [
    name,
    p50_us,
    mean_us,
    p99_us,
    per_second,
    bytes ?? '',
  ]);
  const head = ['one call', 'p50 µs', 'mean µs', 'p99 µs', 'calls a second', 'bytes'];
  for (const line of table(head, rows)) printLine(line);
  printLine();
  printLine(
    'One thread that does nothing else; each call timed by itself, the clock included: see the floor.',
  );
}
