/** Every kind of source, by its options. A new source is one file plus its line here. */
import { CacheError } from '../../engine/errors.ts';
import { formatOfPath } from './file/options.ts';
import { type FileSourceOptions, fileSource, openFileSource } from './file-source.ts';
import { didYouMean } from './nearest.ts';
import { invalidOption } from './option-checks.ts';
import { openPostgresSource, type PostgresSourceOptions, postgresSource } from './postgres-source.ts';
import type { RowSource } from './row-source.ts';

export type SourceOptions = PostgresSourceOptions | FileSourceOptions;

/** Nothing is connected or read yet. Throws CONFIG_INVALID with the key at fault in `field`. */
export function openSource(options: SourceOptions): RowSource {
  switch (options.kind) {
    case 'postgres':
      return openPostgresSource(options);
    case 'file':
      return openFileSource(options);
    default: {
      const kind = String((options as { kind?: unknown }).kind);
      const suggestion = didYouMean(kind, ['postgres', 'file']);
      throw invalidOption(
        'kind',
        `"${kind}" is no kind of source${suggestion}: expected "postgres" or "file"`,
      );
    }
  }
}

/** The options that the text of `--source` means: a `postgres://` URL, or the path of a file. */
export function parseSourceText(text: string): SourceOptions {
  if (/^postgres(ql)?:\/\//i.test(text)) {
    return postgresSource({ connectionString: text.replace(/^[^:]+/, scheme => scheme.toLowerCase()) });
  }
  if (formatOfPath(text) !== undefined) return fileSource(text);
  // A text with `://` may hold a password: only its scheme is shown.
  const shown = text.includes('://') ? `${text.split('://', 1)[0]}://…` : text;
  throw new CacheError(
    'CONFIG_INVALID',
    `"${shown}" is no source: expected postgres://user@host:port/database, or a .csv, .jsonl or .ndjson file`,
    { field: 'source' },
  );
}
