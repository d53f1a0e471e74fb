/** Rows of a CSV file: the header names the columns, in any order. */
import { CacheError } from '../../../engine/errors.ts';
import type { NodeRow } from '../../../engine/snapshot/node-row.ts';
import { didYouMean } from '../nearest.ts';
import { CsvParser, type CsvRecord } from './csv-parser.ts';
import { FILE_COLUMNS, type FileColumn, fileRow, missingAttribute, REQUIRED_COLUMNS } from './file-row.ts';

export async function* csvRows(
  chunks: AsyncIterable<string>,
  attributes: readonly string[],
): AsyncGenerator<NodeRow[]> {
  const parser = new CsvParser();
  let header: Header | undefined;
  const convert = (records: CsvRecord[]): NodeRow[] => {
    if (header === undefined && records.length > 0) header = readHeader(records.shift()!, attributes);
    return header === undefined ? [] : records.map(record => csvRow(record, header!));
  };
  for await (const chunk of chunks) yield convert(parser.push(chunk));
  yield convert(parser.end());
  if (header === undefined) throw new CacheError('SOURCE_SCHEMA', 'has no header line');
}

interface Header {
  readonly names: readonly string[];
  readonly columns: Readonly<Record<FileColumn, number>>;
  /** Position of each attribute. */
  readonly attributes: readonly number[];
}

function readHeader(record: CsvRecord, attributes: readonly string[]): Header {
  const names = record.fields.map(name => name ?? '');
  for (const [index, name] of names.entries()) {
    if (name === '') throw schema(record, `column ${index + 1} has no name`);
    if (names.indexOf(name) !== index) throw schema(record, `two columns are called "${name}"`);
  }
  for (const required of REQUIRED_COLUMNS) {
    if (names.includes(required)) continue;
    const separator = names.length === 1 ? '; columns are separated by commas' : '';
    throw schema(record, `the header has no column "${required}"${didYouMean(required, names)}${separator}`);
  }
  for (const attribute of attributes) {
    if (!names.includes(attribute))
      throw missingAttribute(attribute, names, `line ${record.line}: the header`);
  }
  const columns = Object.fromEntries(FILE_COLUMNS.map(column => [column, names.indexOf(column)]));
  return {
    names,
    columns: columns as Record<FileColumn, number>,
    attributes: attributes.map(attribute => names.indexOf(attribute)),
  };
}

function csvRow({ line, fields }: CsvRecord, header: Header): NodeRow {
  if (fields.length !== header.names.length) {
    const detail = `${fields.length} fields, but the header names ${header.names.length}`;
    throw new CacheError('SOURCE_FAILED', `line ${line}: ${detail}`);
  }
  return fileRow(
    column => fields[header.columns[column]],
    header.columns.vetted >= 0,
    header.attributes.map(index => fields[index]),
  );
}

function schema(record: CsvRecord, detail: string): CacheError {
  return new CacheError('SOURCE_SCHEMA', `line ${record.line}: ${detail}`);
}
