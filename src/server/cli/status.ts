/** `sortition status`: what a running server says about itself, once or again and again. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { ServerStatus } from '../server-status.ts';
import { statusSummary } from '../summary/status-summary.ts';
import { EXIT_FAILURE, ExitError } from './exit.ts';
import { pairs, printable, printJson, printLine } from './output.ts';
import { ask, DEFAULT_URL } from './remote.ts';

const WATCH_MS = 1_000;
const CLEAR = '\u001b[H\u001b[J';

interface Flags {
  readonly url: string;
  readonly keyFile?: string;
  readonly watch?: boolean;
  readonly json?: boolean;
}

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('Show how a running server is doing.')
    .option('--url <url>', 'Server to ask.', DEFAULT_URL)
    .option('--key-file <file>', 'File whose first line is the API key for that server.')
    .option('--watch', 'Show it again every second.')
    .option('--json', 'Print the status as JSON, a line each time.')
    .addHelpText(
      'after',
      `
Examples:
  sortition status
  sortition status --url http://10.0.0.5:8117 --watch
  sortition status --json | jq .ageMs

Exits with 1 when the server is not ready.`,
    )
    .action(async (flags: Flags) => {
      do {
        const status = await serverStatus(flags);
        if (flags.watch === true && flags.json !== true && process.stdout.isTTY) process.stdout.write(CLEAR);
        if (flags.json === true) printJson(status);
        else for (const line of pairs(statusSummary(status))) printLine(printable(line));
        process.exitCode = status.ready ? 0 : EXIT_FAILURE;
        if (flags.watch === true) await sleep(WATCH_MS);
      } while (flags.watch === true);
    });
}

async function serverStatus({ url, keyFile }: Flags): Promise<ServerStatus> {
  const { status, body } = await ask<ServerStatus>(url, '/v1/status', { keyFile });
  if (status !== 200) throw new ExitError(`${url} answered ${status}: ${whyNot(status)}`);
  return body;
}

function whyNot(status: number): string {
  return status === 401 || status === 403 ? 'give a key by --key-file' : 'is it sortition?';
}
