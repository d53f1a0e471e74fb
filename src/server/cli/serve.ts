/** `sortition serve`: the server until a signal ends it. */
import type { Command } from 'commander';
import { shownConfig } from '../config/documentation.ts';
import type { RunningServer } from '../serve.ts';
import { addConfigFlags, commandConfig } from './config-flags.ts';
import { EXIT_FAILURE, EXIT_OK } from './exit.ts';
import { printJson } from './output.ts';

/** After the shutdown deadline the process ends whatever still runs. */
const DEADLINE_SLACK_MS = 500;

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

/** Stops the server at the first signal; ends the process at the second, or at the deadline. */
async function untilSignal(server: RunningServer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let signals = 0;
  const onSignal = () => {
    signals++;
    if (signals > 1) process.exit(EXIT_FAILURE);
    resolve();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  await promise;
  const { deadlineMs } = server.context.options.shutdown;
  const deadline = setTimeout(() => {
    server.context.log.warn({ deadlineMs }, 'the shutdown deadline has passed: ending now');
    process.exit(EXIT_OK);
  }, deadlineMs + DEADLINE_SLACK_MS);
  await server.stop();
  clearTimeout(deadline);
}
