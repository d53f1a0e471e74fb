/**
 * `sortition keys`: makes a key and the line by which a server knows it. The line alone goes to standard
 * output, so that it can be put into the file as it is; the key, which belongs into no such file, goes to
 * standard error.
 */
import type { Command } from 'commander';
import { digestOf, newKey } from '../access/identity.ts';
import { isName, NAME_RULE, parseAdministrators, parseIdentities } from '../access/identity-file.ts';
import { EXIT_USAGE, ExitError } from './exit.ts';
import { printJson, printLine } from './output.ts';

interface Flags {
  readonly count?: string;
  readonly rate?: string;
  readonly may?: string;
  readonly role?: string;
  readonly json?: boolean;
}

export function addKeys(program: Command): void {
  program
    .command('keys')
    .description('Make an API key, or an admin token, and the line that lets it in.')
    .argument('<name>', 'Who gets it; shown in logs.')
    .option('--count <number>', 'Most nodes of one selection.')
    .option('--rate <number>', 'Most requests in a second.')
    .option('--may <rights>', 'Any of select, lookup, status, comma-separated; all by default.')
    .option('--role <role>', 'Make an admin token: read, operate or override.')
    .option('--json', 'Print key and line as JSON.')
    .addHelpText(
      'after',
      `
The key is shown this once, on standard error; the line, on standard output, holds its SHA-256 only. It
belongs into the file of access.file, or of admin.tokensFile. With --json both are in one document, on
standard output: keep that out of those files.

Examples:
  sortition keys uploader --count 110 --rate 1000 >> keys.txt
  sortition keys uploader >> keys.txt 2> uploader.key
  sortition keys alice --role operate >> tokens.txt`,
    )
    .action((name: string, flags: Flags) => {
      const key = newKey();
      const line = lineOf(name, key, flags);
      if (flags.json === true) {
        printJson({ key, line });
        return;
      }
      process.stderr.write(`${key}\n`);
      printLine(line);
    });
}

/** Throws `ExitError` with what a server would say about the line. */
function lineOf(name: string, key: string, { count, rate, may, role }: Flags): string {
  if (!isName(name)) throw new ExitError(`"${name}" is no name: expected ${NAME_RULE}`, EXIT_USAGE);
  if (role !== undefined) refuseLimits({ count, rate, may });
  const options = Object.entries({ count, rate, may, role }).filter(([, value]) => value !== undefined);
  const line = [name, digestOf(key), ...options.map(([option, value]) => `${option}=${value}`)].join(' ');
  try {
    if (role === undefined) parseIdentities(line, 'keys');
    else parseAdministrators(line);
  } catch (error) {
    throw new ExitError((error as Error).message.replace(/^line 1: /, ''), EXIT_USAGE);
  }
  return line;
}

/** Throws `ExitError` where an admin token is to have what only clients have. */
function refuseLimits(limits: Readonly<Record<string, string | undefined>>): void {
  const given = Object.keys(limits).filter(name => limits[name] !== undefined);
  if (given.length === 0) return;
  const flags = given.map(name => `--${name}`).join(', ');
  throw new ExitError(`${flags}: without meaning beside --role: an admin token has a role alone`, EXIT_USAGE);
}
