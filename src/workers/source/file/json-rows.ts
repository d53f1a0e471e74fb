/** Rows of a JSON Lines file: an object a line, with the keys that a CSV file has as columns. */
import { CacheError } from '../../../engine/errors.ts';
import type { NodeRow } from '../../../engine/node-row.ts';
import { didYouMean } from '../nearest.ts';
import { FILE_COLUMNS, fileRow, REQUIRED_COLUMNS } from './file-row.ts';

/** A longer line is not a node. */
export const LINE_CHARS_MAX = 1_048_576;

export async function* jsonRows(
  chunks: AsyncIterable<string>,
  attributes: readonly string[],
): AsyncGenerator<NodeRow[]> {
  let rest = '';
  let line = 1;
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    if (rest.length > LINE_CHARS_MAX) throw damaged(line, `longer than ${LINE_CHARS_MAX} characters`);
    const rows: NodeRow[] = [];
    for (const text of lines) {
      if (text.trim() !== '') rows.push(jsonRow(text, line, attributes));
      line++;
    }
    yield rows;
  }
  if (rest.trim() !== '') yield [jsonRow(rest, line, attributes)];
}

type JsonObject = Readonly<Record<string, unknown>>;

function jsonRow(text: string, line: number, attributes: readonly string[]): NodeRow {
  const object = parseObject(text, line);
  for (const key of REQUIRED_COLUMNS) {
    if (object[key] === undefined) {
      throw damaged(line, `no key "${key}"${didYouMean(key, Object.keys(object))}`, 'SOURCE_SCHEMA');
    }
  }
  for (const key of FILE_COLUMNS) textOf(object, key, line);
  return fileRow(
    column => textOf(object, column, line),
    object.vetted !== undefined,
    attributes.map(attribute => textOf(object, attribute, line)),
  );
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
