/**
 * Rows of a JSON Lines file: an object a line, with the keys that a CSV file has as columns. Where the first
 * line has a key `vetted`, a line without it is a new node; where it has none, every node is vetted.
 */
import { CacheError } from '../../../engine/errors.ts';
import type { NodeRow } from '../../../engine/snapshot/node-row.ts';
import { didYouMean } from '../nearest.ts';
import { FILE_COLUMNS, fileRow, missingAttribute, REQUIRED_COLUMNS } from './file-row.ts';

/** A longer line is not a node. */
export const LINE_CHARS_MAX = 1_048_576;

export async function* jsonRows(
  chunks: AsyncIterable<string>,
  attributes: readonly string[],
): AsyncGenerator<NodeRow[]> {
  const converter = new RowConverter(attributes);
  let rest = '';
  let line = 1;
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    if (rest.length > LINE_CHARS_MAX) throw damaged(line, `longer than ${LINE_CHARS_MAX} characters`);
    const rows: NodeRow[] = [];
    for (const text of lines) {
      if (text.trim() !== '') rows.push(converter.row(text, line));
      line++;
    }
    yield rows;
  }
  if (rest.trim() !== '') yield [converter.row(rest, line)];
  converter.end();
}

type JsonObject = Readonly<Record<string, unknown>>;

/** From lines to rows. What the file has is decided by its first row, as by the header of a CSV file. */
class RowConverter {
  readonly #attributes: readonly string[];
  /** Attributes that no row has had so far. */
  readonly #missing: Set<string>;
  #firstKeys: readonly string[] | undefined;
  #hasVetted = false;

  constructor(attributes: readonly string[]) {
    this.#attributes = attributes;
    this.#missing = new Set(attributes);
  }

  row(text: string, line: number): NodeRow {
    const object = parseObject(text, line);
    for (const key of REQUIRED_COLUMNS) {
      if (object[key] === undefined) {
        throw damaged(line, `no key "${key}"${didYouMean(key, Object.keys(object))}`, 'SOURCE_SCHEMA');
      }
    }
    this.#takeKeys(object, line);
    for (const key of FILE_COLUMNS) textOf(object, key, line);
    return fileRow(
      column => textOf(object, column, line),
      this.#hasVetted,
      this.#attributes.map(attribute => textOf(object, attribute, line)),
    );
  }

  /** Throws SOURCE_SCHEMA when there were rows, and none of them had one of the attributes. */
  end(): void {
    const [attribute] = this.#missing;
    if (attribute === undefined || this.#firstKeys === undefined) return;
    throw missingAttribute(attribute, this.#firstKeys, 'no line');
  }

  #takeKeys(object: JsonObject, line: number): void {
    const hasVetted = Object.hasOwn(object, 'vetted');
    if (this.#firstKeys === undefined) {
      this.#firstKeys = Object.keys(object);
      this.#hasVetted = hasVetted;
    } else if (hasVetted && !this.#hasVetted) {
      const detail = 'key "vetted", which the first line does not have: put it on every line, or on none';
      throw damaged(line, detail, 'SOURCE_SCHEMA');
    }
    for (const attribute of this.#missing) {
      if (Object.hasOwn(object, attribute)) this.#missing.delete(attribute);
    }
  }
}

function parseObject(text: string, line: number): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CacheError('SOURCE_FAILED', `line ${line}: ${reason}`, { cause: error });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw damaged(line, `expected an object, found ${Array.isArray(value) ? 'an array' : String(value)}`);
}

/** Texts, numbers and booleans as their text; null and absent as undefined; anything nested is damage. */
function textOf(object: JsonObject, key: string, line: number): string | undefined {
  const value = Object.hasOwn(object, key) ? object[key] : undefined;
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object') {
    throw damaged(line, `key "${key}" holds ${Array.isArray(value) ? 'an array' : 'an object'}`);
  }
  return String(value);
}

function damaged(line: number, detail: string, code: 'SOURCE_FAILED' | 'SOURCE_SCHEMA' = 'SOURCE_FAILED') {
  return new CacheError(code, `line ${line}: ${detail}`);
}
