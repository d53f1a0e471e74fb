/** `sortition check` of a file source: file, columns, rows. It reads the file as a load would. */
import { CacheError } from '../../../engine/errors.ts';
import type { NodeRow } from '../../../engine/node-row.ts';
import { countRows, type RowCounts, rowsStep, unknownAttributeStep } from '../row-counts.ts';
import type { CheckStep, ReadSummary } from '../row-source.ts';
import { openFile } from './open-file.ts';
import type { FileSourceOptions } from './options.ts';

interface Reading {
  readonly counts: RowCounts;
  readonly unusedAttributes: readonly string[];
  readonly badPortCount: number;
}

export async function* checkFile(
  options: Required<FileSourceOptions>,
  batches: AsyncGenerator<readonly NodeRow[], ReadSummary>,
  attributes: readonly string[],
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
  const reading = await attempt(() => readAll(batches, attributes));
  if (reading instanceof CacheError) {
    const name = reading.code === 'SOURCE_SCHEMA' ? 'columns' : 'rows';
    const hint =
      name === 'columns'
        ? 'name the columns id, ip, port, and as you have them vetted, network'
        : 'correct this line';
    yield { name, ok: false, detail: reading.message, hint };
    return;
  }
  yield { name: 'columns', ok: true, detail: 'id, ip and port are there' };
  yield* unknownAttributeStep(reading.unusedAttributes, []);
  if (reading.badPortCount > 0) yield badPorts(reading.badPortCount);
  yield rowsStep(reading.counts);
}

async function attempt<T>(work: () => Promise<T>): Promise<T | CacheError> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CacheError) return error;
    throw error;
  }
}

async function readAll(
  batches: AsyncIterable<readonly NodeRow[]>,
  attributes: readonly string[],
): Promise<Reading> {
  const counts = countRows();
  const unused = new Set(attributes.keys());
  let badPortCount = 0;
  for await (const batch of batches) {
    for (const row of batch) {
      counts.add(row, 1);
      if (Number.isNaN(row.port)) badPortCount++;
      for (const index of unused) {
        if (row.attributes[index] !== undefined) unused.delete(index);
      }
    }
  }
  return { counts, unusedAttributes: [...unused].map(index => attributes[index]!), badPortCount };
}

function badPorts(count: number): CheckStep {
  return {
    name: 'values',
    ok: false,
    detail: `${count} rows have a port that is no number: they are refused one by one`,
    hint: 'correct the column "port"',
  };
}
