/** Reading a source within the time of a load, whatever the source does. */
import { describe, expect, test } from 'vitest';
import { CacheError } from '../../src/engine/errors.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { loadFailure } from '../../src/workers/load-cycle.ts';
import type { RowSource } from '../../src/workers/source/row-source.ts';
import { type RowSink, SourceReader } from '../../src/workers/source-reader.ts';
import { rowsOf } from '../support/field-rows.ts';
import { manyRows } from './source/row-source.case.ts';

/** A source that waits for `gate` before its last row, and looks at no signal. */
function deafSource(gate: Promise<void>): RowSource {
  return {
    description: 'deaf',
    async *read() {
      yield manyRows(2);
      await gate;
      yield manyRows(1);
      return { absent: Promise.resolve({ gone: 1 }) };
    },
    async *check() {},
    close: async () => undefined,
  };
}

function sinkOf(rows: NodeRow[]): RowSink {
  return {
    append: row => rows.push(row),
    appendFields: batch => rows.push(...rowsOf(batch)),
  };
}

const never = new Promise<void>(() => undefined);

async function read(reader: SourceReader, signal: AbortSignal): Promise<NodeRow[]> {
  const rows: NodeRow[] = [];
  await reader.read({ attributes: [], signal }, sinkOf(rows));
  return rows;
}

describe('a read', () => {
  test('hands over every row, and what the source says at the end', async () => {
    const rows: NodeRow[] = [];
    const reader = new SourceReader(deafSource(Promise.resolve()));
    const request = { attributes: [], signal: new AbortController().signal };
    const { absent } = await reader.read(request, sinkOf(rows));
    expect(await absent).toEqual({ gone: 1 });
    expect(rows).toHaveLength(3);
  });

  test('ends at its deadline although the source does not', async () => {
    const reader = new SourceReader(deafSource(never));
    await expect(read(reader, AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'SOURCE_TIMEOUT' });
  });

  test('ends with the reason of the signal when that is a CacheError', async () => {
    const reader = new SourceReader(deafSource(never));
    const closed = new CacheError('CACHE_CLOSED');
    await expect(read(reader, AbortSignal.abort(closed))).rejects.toBe(closed);
  });

  test('is refused while three earlier ones have not ended, and taken again when they have', async () => {
    const gate = Promise.withResolvers<void>();
    const reader = new SourceReader(deafSource(gate.promise));
    const late = { code: 'SOURCE_TIMEOUT' };
    await Promise.all(
      [1, 2, 3].map(() => expect(read(reader, AbortSignal.timeout(1))).rejects.toMatchObject(late)),
    );
    await expect(read(reader, AbortSignal.timeout(1_000))).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      message: expect.stringContaining('3 reads'),
    });
    gate.resolve();
    await expect.poll(() => read(reader, AbortSignal.timeout(20_000)).catch(() => [])).toHaveLength(3);
  });
});

describe('a load that fails after its deadline', () => {
  const passed = AbortSignal.abort(new DOMException('too late', 'TimeoutError'));

  test('says which limit it is, when the deadline ended it', () => {
    expect(loadFailure(new CacheError('SOURCE_TIMEOUT', 'x'), passed, 40)).toEqual({
      code: 'SOURCE_TIMEOUT',
      message: expect.stringContaining('refresh.timeoutMs (40 ms)'),
      field: 'refresh.timeoutMs',
    });
  });

  test.each(['SNAPSHOT_REJECTED', 'CAPACITY_EXCEEDED', 'SOURCE_DENIED'] as const)(
    'of %s keeps that code',
    code => {
      expect(loadFailure(new CacheError(code, 'why'), passed, 40)).toEqual({ code, message: 'why' });
    },
  );

  test('before the deadline, because a statement took too long, keeps the words of the source', () => {
    const error = new CacheError('SOURCE_TIMEOUT', 'statement timeout');
    expect(loadFailure(error, new AbortController().signal, 40)).toMatchObject({ message: error.message });
  });
});
