/**
 * The three faces of the configuration: each reads its own spelling of the keys and says everything that is
 * wrong.
 */
import { didYouMean } from '../../workers/source/nearest.ts';
import { isPlainObject, WrongValue } from './key.ts';
import {
  CONFIG_KEY_NAMES,
  type ConfigKeyName,
  configKey,
  ENVIRONMENT_PREFIX,
  environmentName,
  flagName,
  SHORT_NAMES,
} from './table.ts';

/** What one face has set, and one line for everything about it that is refused. */
export interface FaceReading {
  readonly values: Map<ConfigKeyName, unknown>;
  readonly problems: string[];
}

/** Variables with our prefix that are not keys: the file itself, and stack traces on errors. */
export const RESERVED_VARIABLES = ['SORTITION_CONFIG', 'SORTITION_DEBUG'];

export function readEnvironment(environment: Readonly<Record<string, string | undefined>>): FaceReading {
  const reading: FaceReading = { values: new Map(), problems: [] };
  const names = new Map(CONFIG_KEY_NAMES.map(name => [environmentName(name), name]));
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || RESERVED_VARIABLES.includes(variable)) continue;
    const name = names.get(variable);
    if (name === undefined) {
      const known = [...names.keys(), ...RESERVED_VARIABLES];
      reading.problems.push(`${variable}: unknown variable${didYouMean(variable, known)}`);
    } else if (value !== undefined) {
      setText(reading, name, { spelled: variable, value });
    }
  }
  return reading;
}

/**
 * `flags`: the text of each flag that was given. Unknown flags have been refused by the command-line parser.
 */
export function readFlags(flags: ReadonlyMap<ConfigKeyName, string>): FaceReading {
  const reading: FaceReading = { values: new Map(), problems: [] };
  for (const [name, value] of flags) setText(reading, name, { spelled: `--${flagName(name)}`, value });
  return reading;
}

/** `document`: the parsed file. Keys may be nested, dotted, or both. */
export function readDocument(document: unknown): FaceReading {
  const reading: FaceReading = { values: new Map(), problems: [] };
  if (!isPlainObject(document)) {
    reading.problems.push('the file does not hold an object');
    return reading;
  }
  readObject(reading, document, '');
  return reading;
}

function readObject(reading: FaceReading, object: Record<string, unknown>, prefix: string): void {
  for (const [key, value] of Object.entries(object)) {
    const path = `${prefix}${key}`;
    if (path in SHORT_NAMES && !isPlainObject(value)) setValue(reading, SHORT_NAMES[path]!, path, value);
    else if (isKeyName(path)) setValue(reading, path, path, value);
    else if (isPlainObject(value) && isPrefix(path)) readObject(reading, value, `${path}.`);
    else readEntry(reading, path, value);
  }
}

/** A path below a key that holds entries (`source.columns.id`), or one that nothing knows. */
function readEntry(reading: FaceReading, path: string, value: unknown): void {
  const owner = CONFIG_KEY_NAMES.find(name => path.startsWith(`${name}.`) && holdsEntries(name));
  if (owner === undefined) {
    const known = [...CONFIG_KEY_NAMES, ...Object.keys(SHORT_NAMES)];
    reading.problems.push(`${path}: unknown key${didYouMean(path, known)}`);
    return;
  }
  const entry = path.slice(owner.length + 1);
  const entries = (reading.values.get(owner) ?? {}) as Record<string, unknown>;
  if (Object.hasOwn(entries, entry)) reading.problems.push(`${path}: set twice`);
  else check(reading, owner, { spelled: path, value: { ...entries, [entry]: value } });
}

function setValue(reading: FaceReading, name: ConfigKeyName, spelled: string, value: unknown): void {
  if (reading.values.has(name)) reading.problems.push(`${spelled}: set twice`);
  else check(reading, name, { spelled, value });
}

function check(reading: FaceReading, name: ConfigKeyName, given: { spelled: string; value: unknown }): void {
  attempt(reading, name, { ...given, read: () => configKey(name).check(given.value) });
}

function setText(reading: FaceReading, name: ConfigKeyName, given: { spelled: string; value: string }): void {
  attempt(reading, name, { ...given, read: () => configKey(name).parse(given.value) });
}

interface Attempt {
  readonly spelled: string;
  readonly value: unknown;
  read(): unknown;
}

function attempt(reading: FaceReading, name: ConfigKeyName, { spelled, value, read }: Attempt): void {
  try {
    reading.values.set(name, read());
  } catch (error) {
    if (!(error instanceof WrongValue)) throw error;
    reading.problems.push(wrongValueLine(name, { spelled, value, accepts: error.message }));
  }
}

/** The line for a value that is refused; a secret is not shown. */
export function wrongValueLine(
  name: ConfigKeyName,
  given: { spelled: string; value: unknown; accepts: string },
): string {
  const shown = configKey(name).secret ? 'the value (not shown)' : shortJson(given.value);
  return `${given.spelled}: ${shown} is not accepted: expected ${given.accepts}`;
}

const SHOWN_CHARACTERS_MAX = 80;

function shortJson(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > SHOWN_CHARACTERS_MAX ? `${json.slice(0, SHOWN_CHARACTERS_MAX)}…` : json;
}

function isKeyName(path: string): path is ConfigKeyName {
  return (CONFIG_KEY_NAMES as readonly string[]).includes(path);
}

function isPrefix(path: string): boolean {
  return CONFIG_KEY_NAMES.some(name => name.startsWith(`${path}.`));
}

function holdsEntries(name: ConfigKeyName): boolean {
  return configKey(name).kind === 'map' || configKey(name).kind === 'object';
}
