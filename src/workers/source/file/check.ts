/** `sortition check` of a file source: file, columns, rows. It reads the file as a load would. */
import { CacheError } from '../../../engine/errors.ts';
import type { NodeRow } from '../../../engine/snapshot/node-row.ts';
import { countRows, type RowCounts, rowsStep } from '../row-counts.ts';
import type { CheckStep, ReadSummary } from '../row-source.ts';
import { ATTRIBUTE_FIELD } from './file-row.ts';
import { openFile } from './open-file.ts';
import type { FileSourceOptions } from './options.ts';

interface Reading {
  readonly counts: RowCounts;
  readonly badPortCount: number;
}

export async function* checkFile(
  options: Required<FileSourceOptions>,
  batches: AsyncGenerator<readonly NodeRow[], ReadSummary>,
): AsyncGenerator<CheckStep> {
  const { path, format } = options;
  const opened = await attempt(async () => {
    const file = await openFile(path);
    await file.close();
    return file.byteCount;
  });
  if (opened instanceof CacheError) {
    yield {
      name: 'file',
      ok: false,
      detail: opened.message,
      hint: 'correct "path"; the path is relative to the working directory',
    };
    return;
  }
  yield { name: 'file', ok: true, detail: `"${path}" may be read: ${opened} bytes of ${format}` };
  const reading = await attempt(() => readAll(batches));
  if (reading instanceof CacheError) {
    yield failedReading(reading);
    return;
  }
  yield { name: 'columns', ok: true, detail: 'id, ip and port are there' };
  if (reading.badPortCount > 0) yield badPorts(reading.badPortCount);
  yield rowsStep(reading.counts);
}

function failedReading({ code, field, message }: CacheError): CheckStep {
  const failed = { ok: false, detail: message };
  if (field === ATTRIBUTE_FIELD) {
    return { name: 'attributes', ...failed, hint: 'add the column, or correct the placements' };
  }
  return code === 'SOURCE_SCHEMA'
    ? {
        name: 'columns',
        ...failed,
        hint: 'name the columns id, ip, port, and as you have them vetted, network',
      }
    : { name: 'rows', ...failed, hint: 'correct this line' };
}

async function attempt<T>(work: () => Promise<T>): Promise<T | CacheError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CacheError) return error;
    throw error;
  }
}

async function readAll(batches: AsyncIterable<readonly NodeRow[]>): Promise<Reading> {
  const counts = countRows();
  let badPortCount = 0;
  for await (const batch of batches) {
    for (const row of batch) {
      counts.add(row, 1);
      if (Number.isNaN(row.port)) badPortCount++;
    }
  }
  return { counts, badPortCount };
}

function badPorts(count: number): CheckStep {
  return {
    name: 'values',
    ok: false,
    detail: `${count} rows have a port that is no number: they are refused one by one`,
    hint: 'correct the column "port"',
  };
}
