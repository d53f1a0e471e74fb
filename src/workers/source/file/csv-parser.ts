/**
 * CSV by RFC 4180, as a stream: quoted fields may hold commas, quotes (doubled) and line breaks; lines end in
 * LF or CRLF. An empty field is `undefined`, a quoted empty one is the empty text, as Postgres reads CSV.
 */
import { CacheError } from '../../../engine/errors.ts';

export interface CsvRecord {
  /** Line on which the record starts; the first line of the file is 1. */
  readonly line: number;
  readonly fields: readonly (string | undefined)[];
}

/** A record longer than this is a quote that was never closed, not a node. */
export const RECORD_CHARS_MAX = 1_048_576;

export class CsvParser {
  #text = '';
  #line = 1;

  /** The records that `chunk` completes. Throws SOURCE_FAILED that names the line. */
  push(chunk: string): CsvRecord[] {
    this.#text = this.#text === '' ? chunk : this.#text + chunk;
    return this.#records();
  }

  /** The last record, where the file does not end in a line break. */
  end(): CsvRecord[] {
    if (this.#text === '') return [];
    this.#text += '\n';
    const records = this.#records();
    if (this.#text !== '') throw damaged(this.#line, 'a quoted field is not closed by the end of the file');
    return records;
  }

  #records(): CsvRecord[] {
    const records: CsvRecord[] = [];
    const text = this.#text;
    let start = 0;
    let quote = text.indexOf('"');
    for (;;) {
      const end = text.indexOf('\n', start);
      if (end < 0) break;
      // The next quote is looked for only once it is behind us: a file without quotes is searched once a
      // chunk.
      if (quote >= 0 && quote < start) quote = text.indexOf('"', start);
      if (quote < 0 || quote > end) {
        const stop = end > start && text[end - 1] === '\r' ? end - 1 : end;
        if (stop > start) records.push({ line: this.#line, fields: splitPlain(text.slice(start, stop)) });
        this.#line++;
        start = end + 1;
        continue;
      }
      const quoted = parseQuoted(text, start, this.#line);
      if (quoted === undefined) break;
      records.push({ line: this.#line, fields: quoted.fields });
      this.#line += quoted.lineCount;
      start = quoted.next;
    }
    this.#text = start === 0 ? text : text.slice(start);
    if (this.#text.length > RECORD_CHARS_MAX) {
      throw damaged(
        this.#line,
        `the record is longer than ${RECORD_CHARS_MAX} characters: is a quote not closed?`,
      );
    }
    return records;
  }
}

function splitPlain(line: string): (string | undefined)[] {
  const fields: (string | undefined)[] = line.split(',');
  for (let i = 0; i < fields.length; i++) {
    if (fields[i] === '') fields[i] = undefined;
  }
  return fields;
}

interface QuotedRecord {
  readonly fields: (string | undefined)[];
  /** Index after the record's line break. */
  readonly next: number;
  readonly lineCount: number;
}

/** One record that holds a quote; undefined while its end is not in `text` yet. */
function parseQuoted(text: string, start: number, line: number): QuotedRecord | undefined {
  const fields: (string | undefined)[] = [];
  let lineCount = 1;
  let at = start;
  for (;;) {
    const field = text[at] === '"' ? quotedField(text, at) : plainField(text, at, line);
    if (field === undefined) return undefined;
    fields.push(field.value);
    lineCount += field.lineBreakCount;
    at = field.next;
    if (text[at] === ',') {
      at++;
      continue;
    }
    if (text[at] === '\r' && at + 1 === text.length) return undefined;
    if (text[at] === '\r' && text[at + 1] === '\n') at++;
    if (at >= text.length) return undefined;
    if (text[at] === '\n') return { fields, next: at + 1, lineCount };
    throw damaged(line + lineCount - 1, `field ${fields.length} goes on after its closing quote`);
  }
}

interface Field {
  readonly value: string | undefined;
  readonly next: number;
  readonly lineBreakCount: number;
}

function quotedField(text: string, start: number): Field | undefined {
  let from = start + 1;
  for (;;) {
    const quote = text.indexOf('"', from);
    // A quote at the very end may be the first of a doubled one.
    if (quote < 0 || quote + 1 >= text.length) return undefined;
    if (text[quote + 1] !== '"') {
      const raw = text.slice(start + 1, quote);
      return { value: raw.replaceAll('""', '"'), next: quote + 1, lineBreakCount: countLineBreaks(raw) };
    }
    from = quote + 2;
  }
}

function plainField(text: string, start: number, line: number): Field | undefined {
  let at = start;
  while (at < text.length && text[at] !== ',' && text[at] !== '\n') {
    if (text[at] === '"') throw damaged(line, 'a quote stands inside a field that does not start with one');
    at++;
  }
  if (at >= text.length) return undefined;
  const end = text[at] === '\n' && at > start && text[at - 1] === '\r' ? at - 1 : at;
  const value = end === start ? undefined : text.slice(start, end);
  return { value, next: end, lineBreakCount: 0 };
}

function countLineBreaks(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}

function damaged(line: number, detail: string): CacheError {
  return new CacheError('SOURCE_FAILED', `line ${line}: ${detail}`);
}
