/**
 * The files that say who may ask: a line each, `#` begins a comment.
 *
 *   data, by keys          uploader  <SHA-256 of the key>  count=110 rate=1000 may=select,lookup
 *   data, by certificates  uploader  count=110
 *   admin                  alice     <SHA-256 of the token>  role=operate
 *
 * What is wrong is named by its line and never quoted: somebody may have put the key itself there.
 */
import { type Administrator, type Identity, RIGHTS, type Right, ROLES, type Role } from './identity.ts';

export const IDENTITIES_MAX = 4_096;
export const FILE_BYTES_MAX = 1_048_576;
/** Fits the word that counts (`rate-words.ts`). */
export const RATE_MAX = 1_000_000;
const COUNT_MAX = 100_000;

const NAME = /^[\w.@:/-]{1,64}$/;
export const NAME_RULE =
  '1 to 64 letters, digits and _ . @ : / -, and nothing that looks like a key (sortition_…) or a digest';
/** As many as are told at once: a file of something else has a problem in every line. */
const PROBLEMS_MAX = 20;
const DIGEST = /^[0-9a-f]{64}$/;

/** A file that is refused as a whole, with one line for everything that is wrong. */
export class IdentityFileError extends Error {
  override readonly name = 'IdentityFileError';
}

/** The identities of a file. `by`: whether lines carry the digest of a key. Throws `IdentityFileError`. */
export function parseIdentities(text: string, by: 'keys' | 'certificates'): Identity[] {
  return parseLines(text, (words, index) => {
    const name = readName(words);
    const digest = by === 'keys' ? readDigest(words) : undefined;
    const options = readOptions(words, ['count', 'rate', 'may']);
    return {
      name,
      digest,
      countMax: readInteger(options, 'count', COUNT_MAX),
      ratePerSecond: readInteger(options, 'rate', RATE_MAX),
      rights: readRights(options.get('may')),
      index,
    };
  });
}

/** The administrators of a file. Throws `IdentityFileError`. */
export function parseAdministrators(text: string): Administrator[] {
  return parseLines(text, words => {
    const name = readName(words);
    const digest = readDigest(words);
    return { name, digest, role: readRole(readOptions(words, ['role']).get('role')) };
  });
}

interface Line {
  readonly name: string;
  readonly digest: string | undefined;
}

/** What is wrong with a line; `parseLines` says which. */
class LineProblem extends Error {}

function parseLines<T extends Line>(text: string, parse: (words: string[], index: number) => T): T[] {
  const problems: string[] = [];
  const seen = new Map<string, number>();
  const parsed: T[] = [];
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    const words = line
      .replace(/(^|\s)#.*$/, '')
      .split(/\s+/)
      .filter(Boolean);
    if (words.length === 0) continue;
    try {
      const entry = parse(words, parsed.length);
      refuseTwins(seen, entry, at + 1);
      parsed.push(entry);
    } catch (error) {
      if (!(error instanceof LineProblem)) throw error;
      if (problems.length === PROBLEMS_MAX) {
        problems.push('and more');
        break;
      }
      problems.push(`line ${at + 1}: ${error.message}`);
    }
  }
  if (problems.length === 0 && parsed.length === 0) problems.push('it names nobody');
  if (parsed.length > IDENTITIES_MAX) problems.push(`it names more than ${IDENTITIES_MAX}`);
  if (problems.length > 0) throw new IdentityFileError(problems.join('; '));
  return parsed;
}

/** Two lines for one name, or one key for two. */
function refuseTwins(seen: Map<string, number>, { name, digest }: Line, line: number): void {
  for (const [what, value] of [
    ['name', `name ${name}`],
    ['key', digest],
  ] as const) {
    if (value === undefined) continue;
    const other = seen.get(value);
    if (other !== undefined) throw new LineProblem(`the ${what} is that of line ${other}`);
    seen.set(value, line);
  }
}

/** A name that lines can begin with. */
export function isName(text: string): boolean {
  return NAME.test(text) && !DIGEST.test(text) && !text.startsWith('sortition_');
}

function readName(words: string[]): string {
  const name = words.shift() ?? '';
  // A key in the place of the name would be shown in logs.
  if (isName(name)) return name;
  throw new LineProblem(`it begins with no name: ${NAME_RULE}`);
}

function readDigest(words: string[]): string {
  const digest = words.shift() ?? '';
  if (DIGEST.test(digest)) return digest;
  throw new LineProblem(
    'behind the name there is no SHA-256 in 64 lower-case hexadecimal digits (`sortition keys` makes a line)',
  );
}

/** `name=value` words, each known and there once. */
function readOptions(words: readonly string[], known: readonly string[]): Map<string, string> {
  const options = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf('=');
    const name = word.slice(0, Math.max(0, at));
    if (!known.includes(name)) {
      throw new LineProblem(`there is a word that is none of ${known.map(each => `${each}=`).join(', ')}`);
    }
    if (options.has(name)) throw new LineProblem(`${name}= is there twice`);
    options.set(name, word.slice(at + 1));
  }
  return options;
}

function readInteger(options: Map<string, string>, name: string, max: number): number | undefined {
  const text = options.get(name);
  if (text === undefined) return undefined;
  const value = /^[1-9]\d{0,6}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw new LineProblem(`${name}= takes an integer from 1 to ${max}`);
}

function readRights(text: string | undefined): readonly Right[] {
  if (text === undefined) return RIGHTS;
  const names = text.split(',');
  const rights = RIGHTS.filter(right => names.includes(right));
  if (rights.length === names.length) return rights;
  throw new LineProblem(`may= takes names out of ${RIGHTS.join(', ')}, comma-separated`);
}

function readRole(text: string | undefined): Role {
  const role = ROLES.find(name => name === text);
  if (role !== undefined) return role;
  throw new LineProblem(`role= is missing or none of ${ROLES.join(', ')}`);
}
