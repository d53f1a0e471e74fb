/**
 * `sortition install-triggers`: shows the SQL that makes the database say what changes, asks, runs it;
 * takes it back with `--remove`.
 */
import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import type { Command } from 'commander';
import { placementPlan } from '../../engine/placement/placement-plan.ts';
import type { PostgresSourceOptions } from '../../workers/source/postgres/options.ts';
import {
  runTriggerScript,
  scriptText,
  type TriggerScript,
  triggerScript,
} from '../../workers/source/postgres/triggers/install.ts';
import { addConfigFlags, commandConfig } from './config-flags.ts';
import { EXIT_USAGE, ExitError } from './exit.ts';
import { printJson, printLine } from './output.ts';

interface Flags {
  readonly remove?: boolean;
  readonly print?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function addInstallTriggers(program: Command): void {
  const command = program
    .command('install-triggers')
    .description(
      'Make the nodes table notify what changes, so that it is known at once; shows the SQL first.',
    )
    .option('--remove', 'Take everything back.')
    .option('--print', 'Print the SQL and do nothing.')
    .option('--yes', 'Do not ask.')
    .option('--json', 'Print what was done as JSON; needs --yes or --print.');
  addConfigFlags(command, name => name.startsWith('source.'));
  command
    .addHelpText(
      'after',
      `
Examples:
  sortition install-triggers --source postgres://owner@db/main
  sortition install-triggers --config sortition.json --print | psql main
  sortition install-triggers --config sortition.json --remove --yes

Needs the owner of the table, or TRIGGER on it and CREATE on its schema. Use the configuration of the loader:
the triggers watch the columns, thresholds and attributes that it reads by.`,
    )
    .action(async (flags: Flags) => {
      await installTriggers(command, flags);
    });
}

async function installTriggers(command: Command, flags: Flags): Promise<void> {
  const { cache, values } = commandConfig(command);
  const options = cache.source;
  if (options.kind !== 'postgres') {
    throw new ExitError('source: a file has no triggers: name a Postgres table', EXIT_USAGE);
  }
  if (flags.json === true && flags.yes !== true && flags.print !== true) {
    throw new ExitError('--json: say --yes or --print too', EXIT_USAGE);
  }
  const { placements = {}, distinctAttributes = [] } = cache;
  const { attributes } = placementPlan({ placements, distinctAttributes });
  const remove = flags.remove === true;
  const request = () => ({ attributes, remove, signal: AbortSignal.timeout(values['refresh.timeoutMs']) });
  const script = await triggerScript(options, request());
  if (flags.print === true) {
    printScript(script, options, flags);
    return;
  }
  checkRights(script);
  if (flags.json !== true) printPlan(script, options);
  const needed = script.statements.length > 0;
  if (needed) {
    await askFirst(flags);
    await runTriggerScript(options, request(), script);
  }
  if (flags.json === true) printJson({ ...outcome(script), done: needed });
  else printDone(script, remove);
}

function outcome({ title, channel, statements, user, missingRights, warnings }: TriggerScript) {
  return { on: title, channel, user, statements, missingRights, warnings };
}

function printScript(script: TriggerScript, options: PostgresSourceOptions, flags: Flags): void {
  if (flags.json === true) printJson({ ...outcome(script), done: false });
  else if (script.statements.length === 0) printLine(`-- ${script.title}: nothing is to be done`);
  else printLine(scriptText(script, options).trimEnd());
}

function checkRights({ user, title, missingRights }: TriggerScript): void {
  if (missingRights.length === 0) return;
  throw new ExitError(
    `user "${user}" may not do this to ${title}; it needs: ${missingRights.join('; ')}. ` +
      'Or let the owner run what --print prints',
  );
}

function printPlan(script: TriggerScript, options: PostgresSourceOptions): void {
  if (script.statements.length === 0) return;
  printLine(`-- On ${script.title}, as user "${script.user}":\n`);
  printLine(scriptText(script, options));
  for (const warning of script.warnings) printLine(`warning: ${warning}`);
}

async function askFirst(flags: Flags): Promise<void> {
  if (flags.yes === true) return;
  if (process.stdin.isTTY !== true) {
    throw new ExitError(
      'nothing was done: say --yes to run these statements without being asked',
      EXIT_USAGE,
    );
  }
  if (!(await confirmed(process.stdin, process.stdout))) throw new ExitError('nothing was done');
}

/** True when the answer is yes; the end of the input is none. */
export async function confirmed(input: Readable, output: Writable): Promise<boolean> {
  const lines = createInterface({ input, output });
  try {
    const ended = new Promise<string>(resolve => lines.once('close', () => resolve('')));
    const answer = await Promise.race([lines.question('Run these statements? [y/N] '), ended]);
    return /^\s*y(es)?\s*$/i.test(answer);
  } finally {
    lines.close();
  }
}

function printDone({ title, channel, statements }: TriggerScript, remove: boolean): void {
  if (statements.length === 0) {
    printLine(
      remove ? `${title} has no triggers of ours.` : `The triggers on ${title} are as they should be.`,
    );
  } else if (remove) {
    printLine(`Done: ${title} is as it was before. Loaders go on by the next best way.`);
  } else {
    printLine(`Done: what changes in ${title} is notified on channel ${channel}.`);
    printLine('Loaders that run take this up within a minute. Undo it: sortition install-triggers --remove');
  }
}
