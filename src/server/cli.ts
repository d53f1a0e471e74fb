/**
 * The command line: commands, help, errors as one clear line, exit codes. 0 ok, 1 failure, 2 usage or
 * configuration.
 */
import { Command, CommanderError } from 'commander';
import { packageVersion } from '../workers/package-version.ts';
import { addBench } from './cli/bench.ts';
import { addCheck } from './cli/check.ts';
import { addDemo } from './cli/demo.ts';
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE, ExitError } from './cli/exit.ts';
import { addFleet } from './cli/fleet.ts';
import { addInspect } from './cli/inspect.ts';
import { addInstallTriggers } from './cli/install-triggers.ts';
import { addKeys } from './cli/keys.ts';
import { addSelect } from './cli/select.ts';
import { addServe } from './cli/serve.ts';
import { addStatus } from './cli/status.ts';

/** Runs one command; returns the exit code. Never throws for anything a user can do. */
export async function runCli(argv: readonly string[]): Promise<number> {
  // A reader that has had enough (`| head`) is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT_OK);
    throw error;
  });
  process.on('uncaughtException', error => process.exit(exitCode(error, argv)));
  const program = new Command('sortition')
    .description(
      'Picks random, healthy, well-spread storage nodes from a shared-memory cache of a `nodes` table.',
    )
    .version(packageVersion(), '-V, --version', 'Show the version.')
    .helpOption('-h, --help', 'Show this help.')
    .showSuggestionAfterError(true)
    .exitOverride();
  const commands = [
    addDemo,
    addServe,
    addSelect,
    addStatus,
    addFleet,
    addCheck,
    addInstallTriggers,
    addInspect,
    addKeys,
    addBench,
  ];
  for (const add of commands) add(program);
  for (const command of program.commands) prepare(command);
  program.addHelpText(
    'after',
    '\nExit codes: 0 ok, 1 failure, 2 wrong usage or configuration.\n' +
      'SORTITION_DEBUG=1 or --debug shows stack traces.\n' +
      '\nStart here:\n  sortition demo\n  sortition serve --source nodes.csv\n  sortition select --count 3\n',
  );
  try {
    await program.parseAsync(argv, { from: 'user' });
    return Number(process.exitCode ?? EXIT_OK);
  } catch (error) {
    return exitCode(error, argv);
  }
}

function prepare(command: Command): void {
  command
    .option('--debug', 'Show stack traces on errors.')
    .helpOption('-h, --help', 'Show this help.')
    .showSuggestionAfterError(true)
    .allowExcessArguments(false)
    .exitOverride();
}

/** What whoever typed the command can put right. */
const USAGE_CODES = ['CONFIG_INVALID', 'REQUEST_INVALID', 'PLACEMENT_UNKNOWN', 'DISTINCT_UNKNOWN'];

function exitCode(error: unknown, argv: readonly string[]): number {
  // Commander has printed its message already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  const { message, stack, code } = error as Error & { readonly code?: string };
  const debug = argv.includes('--debug') || Boolean(process.env.SORTITION_DEBUG);
  const lines = debug && stack !== undefined ? [stack] : message.split('\n');
  for (const line of lines) process.stderr.write(`error: ${line}\n`);
  if (error instanceof ExitError) return error.exitCode;
  return code !== undefined && USAGE_CODES.includes(code) ? EXIT_USAGE : EXIT_FAILURE;
}
