/** `sortition serve`: the server until a signal ends it. */
import type { Command } from 'commander';
import type { Logger } from 'pino';
import { THREAD_LEFT_WARNING } from '../../workers/thread-end.ts';
import { shownConfig } from '../config/documentation.ts';
import type { RunningServer } from '../serve.ts';
import { addConfigFlags, commandConfig } from './config-flags.ts';
import { EXIT_FAILURE, EXIT_OK } from './exit.ts';
import { printJson } from './output.ts';

/** After the shutdown deadline the process ends whatever still runs. */
const DEADLINE_SLACK_MS = 500;
/** For the last lines of the log. */
const LOG_FLUSH_MS = 1_000;

export function addServe(program: Command): void {
  const command = program.command('serve').description('Serve selections over HTTP.');
  addConfigFlags(command);
  command
    .option('--print-config', 'Show the configuration in force, without secrets, and end.')
    .addHelpText(
      'after',
      `
Examples:
  sortition serve --source nodes.csv
  sortition serve --source postgres://reader@db:5432/main --source-password-file /run/secrets/db
  SORTITION_PORT=9000 sortition serve --config sortition.json --admin-token-file /run/secrets/admin

Values come from the file, then the environment, then flags; the later wins. Unknown keys refuse to start.
SIGTERM and SIGINT stop it: not ready first, then drained; a second one ends it at once.`,
    )
    .action(async (options: { printConfig?: boolean }) => {
      const config = commandConfig(command);
      if (options.printConfig === true) {
        printJson(shownConfig(config));
        return;
      }
      // Loaded here, so that no other command waits for the HTTP framework.
      const { startServer } = await import('../serve.ts');
      await untilSignal(await startServer(config));
    });
}

/** A thread hangs, and was given up. */
let isThreadLeft = false;

/** Stops the server at the first signal; ends the process at the second, or at the deadline. */
async function untilSignal(server: RunningServer): Promise<void> {
  const { log, options } = server.context;
  process.on('warning', warning => {
    if ((warning as NodeJS.ErrnoException).code === THREAD_LEFT_WARNING) isThreadLeft = true;
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  let signals = 0;
  const onSignal = () => {
    signals++;
    if (signals > 1) endProcess(log, EXIT_FAILURE);
    resolve();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  await promise;
  const { deadlineMs } = options.shutdown;
  const deadline = setTimeout(() => {
    log.warn({ deadlineMs }, 'the shutdown deadline has passed: ending now');
    endProcess(log, EXIT_OK);
  }, deadlineMs + DEADLINE_SLACK_MS);
  await server.stop();
  clearTimeout(deadline);
  endProcess(log, EXIT_OK);
}

/**
 * Ends the process when the log is written, or cannot be. A write into a pipe that nobody reads holds up an
 * ordinary exit for ever, as does a thread that hangs in a call of the system: then it is no ordinary exit.
 */
function endProcess(log: Logger, code: number): void {
  const kill = () => process.kill(process.pid, 'SIGKILL');
  // A turn later: after a stall the timer is due before it is heard that the log is written.
  setTimeout(() => setImmediate(kill), LOG_FLUSH_MS);
  log.flush(() => (isThreadLeft ? kill() : process.exit(code)));
}
