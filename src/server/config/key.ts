/**
 * Kinds of configuration keys. A key knows its default, what it accepts, and how to read itself from text
 * (environment, flags) and from a JSON value (file). Nothing is coerced: JSON values must have the key's own
 * type.
 */
import { numberOfText } from '../number-text.ts';

export interface ConfigKey<T> {
  readonly kind: 'text' | 'choice' | 'integer' | 'number' | 'boolean' | 'list' | 'map' | 'object';
  readonly default: T;
  readonly description: string;
  /** What a value may be, in words: range, choices, unit. */
  readonly accepts: string;
  /** Never shown: not in errors, logs, or `--print-config`. */
  readonly secret: boolean;
  /** Only the file can hold it: it has no spelling in one line of text. */
  readonly fileOnly: boolean;
  /** How the default is shown, when that is not its JSON. */
  readonly defaultText: string | undefined;
  /** Reads text of the environment or of a flag. Throws `WrongValue`. */
  parse(text: string): T;
  /** Checks a value of the file. Throws `WrongValue`. */
  check(value: unknown): T;
}

/** A value that its key does not accept; whoever knows the key's name turns it into a problem. */
export class WrongValue extends Error {
  override readonly name = 'WrongValue';
}

interface TextOptions<T> {
  readonly default: T;
  readonly description: string;
  readonly accepts?: string;
  readonly secret?: boolean;
  readonly pattern?: RegExp;
  readonly defaultText?: string;
}

/** Longest text that any key takes; a query is the longest thing that people write there. */
const TEXT_CHARACTERS_MAX = 65_536;

export function text<T extends string | undefined = string>(options: TextOptions<NoInfer<T>>): ConfigKey<T> {
  const accepts = options.accepts ?? 'a text';
  const check = (value: unknown): T => {
    if (typeof value !== 'string' || value.trim() === '') throw new WrongValue(accepts);
    if (value.length > TEXT_CHARACTERS_MAX || value.includes('\0')) throw new WrongValue(accepts);
    if (options.pattern && !options.pattern.test(value)) throw new WrongValue(accepts);
    return value as T;
  };
  return { ...base('text', accepts, options), secret: options.secret ?? false, parse: check, check };
}

const PORT = String.raw`(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])`;
const HOST = String.raw`(\[[0-9a-fA-F:.]+\]|[^[\]:\s]+)`;

/** `127.0.0.1:8125`, `[::1]:8125`; absent when it is not given. */
export function address({ description }: { readonly description: string }): ConfigKey<string | undefined> {
  return text<string | undefined>({
    default: undefined,
    accepts: 'HOST:PORT, an IPv6 host in brackets',
    pattern: new RegExp(`^${HOST}:${PORT}$`),
    description,
  });
}

export function choice<T extends string>(options: {
  readonly default: T;
  readonly description: string;
  readonly choices: readonly T[];
}): ConfigKey<T> {
  const accepts = options.choices.map(name => `"${name}"`).join(', ');
  const check = (value: unknown): T => {
    if (!(options.choices as readonly unknown[]).includes(value)) throw new WrongValue(`one of ${accepts}`);
    return value as T;
  };
  return { ...base('choice', accepts, options), parse: check, check };
}

interface NumberOptions<T> {
  readonly default: T;
  readonly description: string;
  readonly min: number;
  readonly max: number;
  readonly unit?: string;
  readonly defaultText?: string;
}

export function integer<T extends number | undefined = number>(
  options: NumberOptions<NoInfer<T>>,
): ConfigKey<T> {
  const accepts = rangeText('an integer', options);
  const check = (value: unknown): T => {
    if (!Number.isSafeInteger(value)) throw new WrongValue(accepts);
    return inRange(value as number, options, accepts) as T;
  };
  const parse = (value: string): T => {
    if (!/^-?\d{1,16}$/.test(value)) throw new WrongValue(accepts);
    return check(Number(value));
  };
  return { ...base('integer', accepts, options), parse, check };
}

/** A whole number, or `auto`: what the machine suggests. */
export function integerOrAuto(options: Omit<NumberOptions<number>, 'default'>): ConfigKey<number | 'auto'> {
  const whole = integer({ ...options, default: options.min });
  const accepts = `auto, or ${whole.accepts}`;
  const reading = (read: () => number): number => {
    try {
      return read();
    } catch (error) {
      if (error instanceof WrongValue) throw new WrongValue(accepts);
      throw error;
    }
  };
  return {
    ...base('integer', accepts, { ...options, default: 'auto' as const }),
    parse: value => (value === 'auto' ? value : reading(() => whole.parse(value))),
    check: value => (value === 'auto' ? value : reading(() => whole.check(value))),
  };
}

export function number<T extends number | undefined = number>(
  options: NumberOptions<NoInfer<T>>,
): ConfigKey<T> {
  const accepts = rangeText('a number', options);
  const check = (value: unknown): T => {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new WrongValue(accepts);
    return inRange(value, options, accepts) as T;
  };
  const parse = (value: string): T => {
    return check(numberOfText(value));
  };
  return { ...base('number', accepts, options), parse, check };
}

export function boolean<T extends boolean | undefined>(options: {
  readonly default: T;
  readonly description: string;
  readonly defaultText?: string;
}): ConfigKey<T> {
  const accepts = 'true or false';
  const check = (value: unknown): T => {
    if (typeof value !== 'boolean') throw new WrongValue(accepts);
    return value as T;
  };
  const parse = (value: string): T => {
    if (value !== 'true' && value !== 'false') throw new WrongValue(accepts);
    return (value === 'true') as T;
  };
  return { ...base('boolean', accepts, options), parse, check };
}

/** Names, separated by commas in text, an array of texts in the file. */
export function list(options: {
  readonly default: readonly string[];
  readonly description: string;
  readonly choices?: readonly string[];
}): ConfigKey<readonly string[]> {
  const accepts = options.choices ? `names out of ${options.choices.join(', ')}` : 'a list of names';
  const check = (value: unknown): readonly string[] => {
    if (!Array.isArray(value)) throw new WrongValue(accepts);
    const names = value as unknown[];
    const wrong = names.find(
      name => typeof name !== 'string' || name === '' || (options.choices && !options.choices.includes(name)),
    );
    if (wrong !== undefined || new Set(names).size !== names.length) throw new WrongValue(accepts);
    return names as string[];
  };
  const parse = (value: string) => check(value === '' ? [] : value.split(',').map(name => name.trim()));
  return { ...base('list', `${accepts}, comma-separated`, options), parse, check };
}

/**
 * Names to values: an object in the file, `name=value,name=value` in text; `null` (in text: nothing) where
 * allowed.
 */
export function map<V extends string | null>(options: {
  readonly description: string;
  readonly names?: readonly string[];
  readonly nullable: boolean;
}): ConfigKey<Readonly<Record<string, V>>> {
  const names = options.names === undefined ? 'name' : options.names.join('|');
  const accepts = `${options.names === undefined ? '' : `entries of ${names}, as `}name=value,name=value`;
  const check = (value: unknown): Readonly<Record<string, V>> => {
    if (!isPlainObject(value)) throw new WrongValue(accepts);
    for (const [name, entry] of Object.entries(value)) {
      if (options.names && !options.names.includes(name)) throw new WrongValue(`${accepts}; not "${name}"`);
      const fits = (typeof entry === 'string' && entry !== '') || (entry === null && options.nullable);
      if (!fits) throw new WrongValue(`a text for "${name}"${options.nullable ? ', or null' : ''}`);
    }
    return value as Record<string, V>;
  };
  const parse = (value: string) => check(parsePairs(value, accepts));
  return { ...base('map', accepts, { ...options, default: {} }), parse, check };
}

/** A whole object of its own, from the file only; `check` of its content lies with whoever uses it. */
export function fileObject<T extends object>(options: {
  readonly default: T;
  readonly description: string;
  readonly accepts: string;
}): ConfigKey<T> {
  const check = (value: unknown): T => {
    if (!isPlainObject(value)) throw new WrongValue(options.accepts);
    return value as T;
  };
  const parse = (): T => {
    throw new WrongValue(`${options.accepts}, in the file only`);
  };
  return { ...base('object', options.accepts, options), fileOnly: true, parse, check };
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function base<K extends ConfigKey<unknown>['kind'], T>(
  kind: K,
  accepts: string,
  options: { readonly default: T; readonly description: string; readonly defaultText?: string },
) {
  const { description, defaultText } = options;
  return {
    kind,
    accepts,
    description,
    default: options.default,
    defaultText,
    secret: false,
    fileOnly: false,
  };
}

function rangeText(noun: string, options: NumberOptions<unknown>): string {
  const unit = options.unit === undefined ? '' : ` (${options.unit})`;
  return `${noun} from ${options.min} to ${options.max}${unit}`;
}

function inRange(value: number, options: NumberOptions<unknown>, accepts: string): number {
  if (value < options.min || value > options.max) throw new WrongValue(accepts);
  return value;
}

function parsePairs(value: string, accepts: string): Record<string, string | null> {
  const pairs: [string, string | null][] = [];
  for (const pair of value === '' ? [] : value.split(',')) {
    const at = pair.indexOf('=');
    if (at <= 0) throw new WrongValue(accepts);
    const name = pair.slice(0, at).trim();
    if (pairs.some(([other]) => other === name)) throw new WrongValue(`${accepts}; "${name}" is there twice`);
    const entry = pair.slice(at + 1).trim();
    pairs.push([name, entry === '' ? null : entry]);
  }
  return Object.fromEntries(pairs);
}
