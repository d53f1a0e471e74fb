/** Options of the file source: plain data and their checks. Any thread. */
import { extname } from 'node:path';
import { checkKeys, checkObject, checkText, invalidOption } from '../option-checks.ts';

export type FileFormat = 'csv' | 'jsonl';

export interface FileSourceOptions {
  readonly kind: 'file';
  readonly path: string;
  /** Absent: by the extension, `.csv` or `.jsonl` / `.ndjson`. */
  readonly format?: FileFormat;
}

const OPTION_KEYS: readonly string[] = ['kind', 'path', 'format'] satisfies (keyof FileSourceOptions)[];

const FORMATS: Readonly<Record<string, FileFormat>> = {
  '.csv': 'csv',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
};

export function formatOfPath(path: string): FileFormat | undefined {
  return FORMATS[extname(path).toLowerCase()];
}

/** Checks the options and settles the format. Throws CONFIG_INVALID with the key at fault in `field`. */
export function resolveFile(options: FileSourceOptions): Required<FileSourceOptions> {
  checkObject(options, 'source');
  checkKeys(options, OPTION_KEYS);
  if (options.kind !== 'file') throw invalidOption('kind', 'expected "file"');
  checkText(options.path, 'path');
  if (options.format !== undefined && options.format !== 'csv' && options.format !== 'jsonl') {
    throw invalidOption('format', 'expected "csv" or "jsonl"');
  }
  const format = options.format ?? formatOfPath(options.path);
  if (format === undefined) {
    throw invalidOption(
      'format',
      `"${options.path}" ends in none of .csv, .jsonl, .ndjson: say "csv" or "jsonl"`,
    );
  }
  return { ...options, format };
}
