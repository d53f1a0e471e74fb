/** `sortition status`: what a running server says about itself, once or again and again. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { ServerStatus } from '../server-status.ts';
import { EXIT_FAILURE, ExitError } from './exit.ts';
import { count, duration, pairs, printJson, printLine, tally } from './output.ts';
import { ask, DEFAULT_URL } from './remote.ts';

const WATCH_MS = 1_000;
const CLEAR = '\u001b[H\u001b[J';

interface Flags {
  readonly url: string;
  readonly watch?: boolean;
  readonly json?: boolean;
}

export function addStatus(program: Command): void {
  program
    .command('status')
    .description('Show how a running server is doing.')
    .option('--url <url>', 'Server to ask.', DEFAULT_URL)
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
        const status = await serverStatus(flags.url);
        if (flags.watch === true && flags.json !== true && process.stdout.isTTY) process.stdout.write(CLEAR);
        if (flags.json === true) printJson(status);
        else printStatus(status);
        process.exitCode = status.ready ? 0 : EXIT_FAILURE;
        if (flags.watch === true) await sleep(WATCH_MS);
      } while (flags.watch === true);
    });
}

async function serverStatus(url: string): Promise<ServerStatus> {
  const { status, body } = await ask<ServerStatus>(url, '/v1/status');
  if (status !== 200) throw new ExitError(`${url} answered ${status}: is it sortition?`);
  return body;
}

function printStatus(status: ServerStatus): void {
  const { loader, nodes, ways, workerPool, httpThreads } = status;
  const { lastLoad, lastError, nextLoadInMs, refreshes } = loader;
  const lines: (readonly [string, string])[] = [
    [
      'ready',
      status.ready ? 'yes' : status.draining ? 'no, it is stopping' : 'no, there is no generation yet',
    ],
    ['generation', status.ageMs === null ? 'none' : `${status.generation}, ${duration(status.ageMs)} old`],
    ['source', loader.source],
    [
      'loader',
      nextLoadInMs === undefined ? loader.state : `${loader.state}, next load in ${duration(nextLoadInMs)}`,
    ],
    ['loads', `${count(refreshes.succeeded)} succeeded, ${count(refreshes.failed)} failed`],
  ];
  if (nodes !== null) {
    const { vetted, new: fresh, ineligible, networks } = nodes;
    lines.push([
      'nodes',
      `${count(vetted)} vetted, ${count(fresh)} new, ${count(ineligible)} not to be chosen`,
    ]);
    lines.push(['networks', count(networks)]);
  }
  if (lastLoad !== undefined) {
    lines.push(['last load', `${duration(lastLoad.durationMs)}, ${count(lastLoad.snapshotBytes)} bytes`]);
    lines.push(['refused', tally(lastLoad.refused)]);
    lines.push(['not chosen', tally(lastLoad.ineligible)]);
    lines.push(['absent', tally(lastLoad.absent)]);
  }
  if (lastError !== undefined) {
    lines.push(['last error', `${lastError.code}: ${lastError.message} (${lastError.consecutive} in a row)`]);
  }
  const { prepared, inPlace, pool } = ways;
  lines.push([
    'answers',
    `${count(prepared)} prepared, ${count(inPlace)} in place, ${count(pool)} by the worker pool`,
  ]);
  lines.push([
    'HTTP threads',
    httpThreads.map(thread => `${count(thread.connections)} connections`).join(', '),
  ]);
  const threads = `${workerPool.threads} ${workerPool.threads === 1 ? 'thread' : 'threads'}`;
  lines.push(['worker pool', `${threads}, ${workerPool.queued} queued, ${workerPool.lost} lost`]);
  lines.push(['up', `${duration(status.uptimeMs)}, version ${status.version}, Node ${status.node}`]);
  for (const line of pairs(lines)) printLine(line);
}
