/**
 * Rows from a CSV or JSON Lines file, read as a stream from one open handle. Runs on the loader thread;
 * `fileSource` makes the plain data that crosses to it.
 */
import { CacheError } from '../../engine/errors.ts';
import type { NodeRow } from '../../engine/snapshot/node-row.ts';
import { checkFile } from './file/check.ts';
import { csvRows } from './file/csv-rows.ts';
import { jsonRows } from './file/json-rows.ts';
import { openFile } from './file/open-file.ts';
import { type FileSourceOptions, resolveFile } from './file/options.ts';
import { BATCH_ROWS, type ReadRequest, type ReadSummary, type RowSource } from './row-source.ts';

export type { FileSourceOptions } from './file/options.ts';

/** A file source as plain data. Throws CONFIG_INVALID with the key at fault in `field`. */
export function fileSource(options: string | Omit<FileSourceOptions, 'kind'>): FileSourceOptions {
  const source: FileSourceOptions =
    typeof options === 'string' ? { kind: 'file', path: options } : { ...options, kind: 'file' };
  resolveFile(source);
  return source;
}

export function openFileSource(options: FileSourceOptions): RowSource {
  const resolved = resolveFile(options);
  const read = (request: ReadRequest) => readNodes(resolved, request);
  return {
    description: `file: ${resolved.path} (${resolved.format})`,
    read,
    check: request => checkFile(resolved, read(request)),
    close: async () => undefined,
  };
}

async function* readNodes(
  options: Required<FileSourceOptions>,
  request: ReadRequest,
): AsyncGenerator<readonly NodeRow[], ReadSummary> {
  const file = await openFile(options.path);
  try {
    const chunks = file.chunks(request.signal);
    const rows =
      options.format === 'csv' ? csvRows(chunks, request.attributes) : jsonRows(chunks, request.attributes);
    yield* batches(rows);
    return { absent: Promise.resolve({}) };
  } catch (error) {
    throw withPath(error, options.path);
  } finally {
    await file.close();
  }
}

/** Chunks hold as many rows as fall into them; a batch holds `BATCH_ROWS`. */
async function* batches(chunks: AsyncIterable<NodeRow[]>): AsyncGenerator<NodeRow[]> {
  let batch: NodeRow[] = [];
  for await (const rows of chunks) {
    for (const row of rows) {
      batch.push(row);
      if (batch.length < BATCH_ROWS) continue;
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

/** The parsers know lines; the path is put before them here. */
function withPath(error: unknown, path: string): unknown {
  if (!(error instanceof CacheError) || error.message.startsWith('"')) return error;
  if (!error.code.startsWith('SOURCE_')) return error;
  const field = error.field === undefined ? {} : { field: error.field };
  return new CacheError(error.code, `"${path}": ${error.message}`, { cause: error, ...field });
}
