/**
 * JSON as this server takes it: valid UTF-8, no key twice in an object, bounded depth. `JSON.parse` keeps the
 * last of two equal keys without a word, so the text is walked once more after it has parsed.
 */

/** Deepest nesting of arrays and objects; no request or configuration needs more than six. */
export const JSON_DEPTH_MAX = 32;

/** What is wrong with a body, and where: `field` is the path of the key at fault, where there is one. */
export class BodyError extends Error {
  override readonly name = 'BodyError';
  readonly field: string | undefined;

  constructor(message: string, field?: string) {
    super(message);
    this.field = field;
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** The value that `bytes` spell. Throws `BodyError`. */
export function parseJsonBytes(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch {
    // The decoder says no more than that the bytes are not UTF-8.
    throw new BodyError('the JSON is not valid UTF-8');
  }
  return parseJson(text);
}

/** The value that `text` spells. Throws `BodyError`. */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BodyError(`the JSON does not parse: ${(error as Error).message}`);
  }
  if (typeof value === 'object' && value !== null) refuseDuplicates(text);
  return value;
}

/** One open array or object; an array has no keys. */
interface Level {
  readonly keys: Set<string> | undefined;
  readonly path: string;
}

/**
 * Walks valid JSON text from string to string: a string behind `{` or `,` in an object, with `:` behind it,
 * is a key.
 */
function refuseDuplicates(text: string): void {
  const levels: Level[] = [];
  let level: Level | undefined;
  let lastKey = '';
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: {
        const end = stringEnd(text, i);
        if (level?.keys !== undefined && isKey(text, end + 1))
          lastKey = addKey(level, text.slice(i, end + 1));
        i = end;
        break;
      }
      case 0x7b:
      case 0x5b: {
        if (levels.length >= JSON_DEPTH_MAX)
          throw new BodyError(`the JSON is nested deeper than ${JSON_DEPTH_MAX}`);
        const path: string = level?.keys === undefined ? (level?.path ?? '') : pathOf(level, lastKey);
        level = { keys: text.charCodeAt(i) === 0x7b ? new Set() : undefined, path };
        levels.push(level);
        break;
      }
      case 0x7d:
      case 0x5d:
        levels.pop();
        level = levels.at(-1);
        break;
      default:
    }
  }
}

function addKey(level: Level, quoted: string): string {
  // Two spellings of one key (`"a"`, `"\u0061"`) are the same key.
  const key = quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
  const keys = level.keys as Set<string>;
  if (keys.has(key)) {
    const path = pathOf(level, key);
    throw new BodyError(`${path} is there twice`, path);
  }
  keys.add(key);
  return key;
}

function pathOf(level: Level, key: string): string {
  return level.path === '' ? key : `${level.path}.${key}`;
}

/** Index of the quote that ends the string which starts at `start`. */
function stringEnd(text: string, start: number): number {
  let end = start;
  do end = text.indexOf('"', end + 1);
  while (isEscaped(text, end));
  return end;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes++;
  return slashes % 2 === 1;
}

/** True when the next sign from `at` on, beyond blanks, is the colon behind a key. */
function isKey(text: string, at: number): boolean {
  let next = text.charCodeAt(at);
  while (next === 0x20 || next === 0x09 || next === 0x0a || next === 0x0d) next = text.charCodeAt(++at);
  return next === 0x3a;
}
