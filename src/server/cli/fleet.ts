/** `sortition fleet`: who is in the fleet of a running server, and who serves what. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { FleetDocument } from '../routes/fleet.ts';
import { FLEET_COLUMNS, fleetRemarks, fleetRows, isInStep } from '../summary/fleet-summary.ts';
import { EXIT_FAILURE, ExitError } from './exit.ts';
import { printable, printJson, printLine, table } from './output.ts';
import { ask, DEFAULT_URL } from './remote.ts';

const WATCH_MS = 1_000;
const CLEAR = '\x1b[2J\x1b[H';

interface Flags {
  readonly url: string;
  readonly keyFile?: string;
  readonly watch?: boolean;
  readonly json?: boolean;
}

export function addFleet(program: Command): void {
  program
    .command('fleet')
    .description('Show the servers that share their loads: role, content and age of each.')
    .option('--url <url>', 'Any server of the fleet.', DEFAULT_URL)
    .option('--key-file <file>', 'File whose first line is the API key for that server.')
    .option('--watch', 'Show it again every second.')
    .option('--json', 'Print it as JSON, a line each time.')
    .addHelpText(
      'after',
      `
Examples:
  sortition fleet
  sortition fleet --url http://10.0.0.5:8117 --watch
  sortition fleet --json | jq '.replicas[] | select(.role == "leader") | .address'

Exits with 1 when the bus cannot be asked, or a server is not in step.`,
    )
    .action(async (flags: Flags) => {
      if (flags.watch !== true) return show(await fleetOf(flags), flags);
      for (;;) {
        await watchOnce(flags);
        await sleep(WATCH_MS);
      }
    });
}

/** A server that does not answer now may do so in a second. */
async function watchOnce(flags: Flags): Promise<void> {
  const fleet = await fleetOf(flags).catch(asFailure);
  if (flags.json !== true && process.stdout.isTTY) process.stdout.write(CLEAR);
  if (!(fleet instanceof ExitError)) return show(fleet, flags);
  process.exitCode = EXIT_FAILURE;
  if (flags.json === true) printJson({ problem: fleet.message });
  else printLine(printable(fleet.message));
}

function asFailure(error: unknown): ExitError {
  if (!(error instanceof ExitError) || error.exitCode !== EXIT_FAILURE) throw error;
  return error;
}

function show(fleet: FleetDocument, { json }: Flags): void {
  if (json === true) printJson(fleet);
  else printFleet(fleet);
  process.exitCode = isInStep(fleet) ? 0 : EXIT_FAILURE;
}

async function fleetOf({ url, keyFile }: Flags): Promise<FleetDocument> {
  type Body = FleetDocument & { readonly detail?: string };
  const { status, body } = await ask<Body>(url, '/v1/fleet', { keyFile });
  if (status === 200) return body;
  throw new ExitError(`${url} answered ${status}: ${body.detail ?? 'is it sortition?'}`);
}

function printFleet(fleet: FleetDocument): void {
  for (const remark of fleetRemarks(fleet)) printLine(printable(remark));
  printLine();
  const cells = fleetRows(fleet).map(row => row.map(printable));
  for (const line of table(FLEET_COLUMNS, cells)) printLine(line);
}
