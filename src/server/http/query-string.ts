/**
 * Query strings: text by nature, so the keys declared as numbers and booleans are read where their text is
 * canonical; everything else stays as it is, for the schema to refuse. Parsed strings are remembered, because
 * most are alike.
 */
import { numberOfText } from '../number-text.ts';

export interface QueryKinds {
  readonly integers: readonly string[];
  readonly numbers: readonly string[];
  readonly booleans: readonly string[];
}

type Query = Record<string, unknown>;

const INTEGER = /^(0|-?[1-9]\d{0,15})$/;

/** Strings that are remembered, and the longest of them; when the memory is full it starts again. */
const REMEMBERED_MAX = 256;
const REMEMBERED_CHARACTERS_MAX = 256;

const EMPTY: Query = Object.freeze({});

/**
 * A parser that never throws. A key given twice holds all its values, in an array, which no schema here
 * accepts.
 */
export function queryStringParser(kinds: QueryKinds): (text: string) => Query {
  const remembered = new Map<string, Query>();
  const readers = valueReaders(kinds);
  return text => {
    if (text === '') return EMPTY;
    const known = remembered.get(text);
    if (known !== undefined) return known;
    const query = Object.freeze(parse(text, readers));
    if (text.length <= REMEMBERED_CHARACTERS_MAX) {
      if (remembered.size >= REMEMBERED_MAX) remembered.clear();
      remembered.set(text, query);
    }
    return query;
  };
}

/** Reads the value of a key; gives the text itself where it spells none of that kind. */
export type ValueReaders = ReadonlyMap<string, (text: string) => unknown>;

/** For the keys that are not texts. */
export function valueReaders({ integers, numbers, booleans }: QueryKinds): ValueReaders {
  return new Map<string, (text: string) => unknown>([
    ...integers.map(key => [key, readInteger] as const),
    ...numbers.map(key => [key, readNumber] as const),
    ...booleans.map(key => [key, readBoolean] as const),
  ]);
}

function parse(text: string, readers: ValueReaders): Query {
  const query: Query = {};
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const key = decode(at < 0 ? pair : pair.slice(0, at));
    const value = decode(at < 0 ? '' : pair.slice(at + 1));
    if (Object.hasOwn(query, key)) define(query, key, [query[key], value].flat());
    else define(query, key, readers.get(key)?.(value) ?? value);
  }
  return query;
}

/** Plain assignment to `__proto__` would set no key at all. */
function define(query: Query, key: string, value: unknown): void {
  Object.defineProperty(query, key, { value, enumerable: true, writable: true, configurable: true });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    // A broken escape is no text at all: left as it is, it fits no number, no name and no id.
    return text;
  }
}

function readInteger(value: string): unknown {
  return INTEGER.test(value) ? Number(value) : value;
}

function readNumber(value: string): unknown {
  return numberOfText(value) ?? value;
}

function readBoolean(value: string): unknown {
  return value === 'true' ? true : value === 'false' ? false : value;
}
