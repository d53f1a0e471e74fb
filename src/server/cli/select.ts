/** `sortition select`: one selection, from a running server or from a source loaded for it alone. */
import type { Command } from 'commander';
import type { PickedNode, SelectionRequest, Shortage } from '../../engine/selection/selection-types.ts';
import { openCache } from '../../workers/cache.ts';
import type { Config } from '../config.ts';
import { numberOfText } from '../number-text.ts';
import type { ProblemDocument } from '../routes/problem.ts';
import { duration } from '../summary/numbers.ts';
import { addConfigFlags, commandConfig, hasSource, isServerKey } from './config-flags.ts';
import { EXIT_FAILURE, EXIT_USAGE, ExitError } from './exit.ts';
import { printJson, printLine, table } from './output.ts';
import { ask, DEFAULT_URL } from './remote.ts';

interface Flags {
  readonly url?: string;
  readonly keyFile?: string;
  readonly count?: string;
  readonly newFraction?: string;
  readonly placement?: string;
  readonly distinct?: string;
  readonly exclude?: string;
  readonly held?: string;
  readonly partial?: boolean;
  readonly fillWithNew?: boolean;
  readonly order?: string;
  readonly json?: boolean;
}

interface Answer {
  readonly generation: number;
  readonly ageMs: number;
  readonly nodes: readonly PickedNode[];
  readonly shortage?: Shortage;
}

export function addSelect(program: Command): void {
  const command = program
    .command('select')
    .description('Pick nodes: ask a running server, or load a source once, here.')
    .option('--url <url>', `Server to ask; ${DEFAULT_URL} unless a source is configured.`)
    .option('--key-file <file>', 'File whose first line is the API key for that server.')
    .option('-n, --count <number>', 'How many; 110 by default.')
    .option('--placement <name>', 'Named placement.')
    .option('--distinct <rule>', '`network`, `none`, or an attribute.')
    .option('--new-fraction <number>', 'Share of picks from the new pool, 0 to 1.')
    .option('--exclude <ids>', 'Ids never returned, comma-separated.')
    .option('--held <ids>', 'Ids never returned, and their networks blocked.')
    .option('--partial', 'A short answer is fine.')
    .option('--fill-with-new', 'New nodes may fill up for missing vetted ones.')
    .option('--order <order>', '`random` or `vetted-first`.')
    .option('--json', 'Print the answer as JSON.');
  addConfigFlags(command, name => !isServerKey(name));
  command
    .addHelpText(
      'after',
      `
Examples:
  sortition select --count 3
  sortition select --url http://10.0.0.5:8117 --count 10 --json
  sortition select --source nodes.csv --count 5 --distinct country --distinct-attributes country`,
    )
    .action(async (flags: Flags) => {
      const request = selectionRequest(flags);
      const answer =
        flags.url === undefined && hasSource(command)
          ? await selectHere(commandConfig(command), request)
          : await selectThere(flags.url ?? DEFAULT_URL, request, flags.keyFile);
      if (flags.json === true) printJson(answer);
      else printAnswer(answer);
      if (answer.shortage !== undefined && request.partial !== true) process.exitCode = EXIT_FAILURE;
    });
}

/** Texts become what they spell; what they do not spell stays for the request's own checks to name. */
function selectionRequest(flags: Flags): SelectionRequest {
  const entries = Object.entries({
    count: numberFlag('--count', flags.count),
    newFraction: numberFlag('--new-fraction', flags.newFraction),
    placement: flags.placement,
    distinct: flags.distinct,
    exclude: flags.exclude?.split(','),
    held: flags.held?.split(','),
    partial: flags.partial,
    fillWithNew: flags.fillWithNew,
    order: flags.order,
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as SelectionRequest;
}

function numberFlag(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = numberOfText(text);
  if (value === undefined) throw new ExitError(`${flag} ${text}: expected a number`, EXIT_USAGE);
  return value;
}

async function selectHere(config: Config, request: SelectionRequest): Promise<Answer> {
  const cache = await openCache({ ...config.cache, readyTimeoutMs: config.values['refresh.timeoutMs'] });
  try {
    return cache.select(request).toJSON();
  } finally {
    await cache.close();
  }
}

async function selectThere(url: string, request: SelectionRequest, keyFile?: string): Promise<Answer> {
  const { status, body } = await ask<Answer & ProblemDocument>(url, '/v1/selection', {
    body: request,
    keyFile,
  });
  if (status === 200) return body;
  // A shortage comes with the nodes that were found.
  if (body.code === 'SHORTAGE') {
    const { generation, ageMs, nodes } = body;
    return { generation, ageMs, nodes, ...(body.shortage === undefined ? {} : { shortage: body.shortage }) };
  }
  throw new ExitError(`${body.code}: ${body.detail}`, status === 400 ? EXIT_USAGE : EXIT_FAILURE);
}

function printAnswer({ nodes, generation, ageMs, shortage }: Answer): void {
  const rows = nodes.map(node => [node.id, node.ip, node.port, node.pool]);
  for (const line of table(['id', 'ip', 'port', 'pool'], rows)) printLine(line);
  const noun = nodes.length === 1 ? 'node' : 'nodes';
  printLine(`\n${nodes.length} ${noun} of generation ${generation}, ${duration(ageMs)} old`);
  if (shortage !== undefined) process.stderr.write(`short: ${shortage.reason}\n`);
}
