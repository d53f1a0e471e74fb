/**
 * What every row source has to do. Each source's test file runs this suite over its own way of holding rows.
 */
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CacheError } from '../../../src/engine/errors.ts';
import type { NodeRow } from '../../../src/engine/snapshot/node-row.ts';
import { BATCH_ROWS, type RowSource } from '../../../src/workers/source/row-source.ts';
import { rowsOf } from '../../support/field-rows.ts';
import { byId, checkAll, readAll } from '../../support/row-source.ts';

/** Attributes that every subject holds, in this order. */
export const CASE_ATTRIBUTES = ['country', 'operator'] as const;

export interface SourceSubject {
  /** A source that holds exactly these rows. */
  open(rows: readonly NodeRow[]): Promise<RowSource>;
}

const PROPERTY_RUNS = 40;

const hexId = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map(bytes => Buffer.from(bytes).toString('hex'));
// Postgres texts hold any character but zero, and no half of a surrogate pair; both files are UTF-8.
const text = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 12 })
  .map(value => value.replaceAll('\0', '␀'));
const quoting = fc.constantFrom(
  'a,b',
  '"',
  'say "no"',
  'line\nbreak',
  'cr\r\nlf',
  ' padded ',
  '',
  'Ünïcödé ✓',
);
const attribute = fc.option(fc.oneof(text, quoting), { nil: undefined });

const nodeRows = fc.uniqueArray(
  fc.record({
    id: hexId,
    ip: fc.oneof(fc.ipV4(), fc.ipV6()),
    port: fc.integer({ min: 1, max: 65_535 }),
    network: fc.option(fc.oneof(fc.ipV4(), text), { nil: undefined }),
    vetted: fc.boolean(),
    ineligible: fc.option(fc.constantFrom('full', 'offline', 'suspended'), { nil: undefined }),
    attributes: fc.tuple(attribute, attribute),
  }),
  { selector: row => row.id, maxLength: 30 },
);

export function describeRowSource(name: string, subject: SourceSubject): void {
  describe(`${name} as a row source`, () => {
    testReading(subject);
    testEndings(subject);
    testChecks(subject);
  });
}

function testReading(subject: SourceSubject): void {
  test('delivers every row as it was written, whatever its texts hold', async () => {
    const property = fc.asyncProperty(nodeRows, async rows => {
      const source = await subject.open(rows);
      const read = await readAll(source, CASE_ATTRIBUTES);
      expect(read.rows).toEqual([...rows].sort(byId));
      await source.close();
    });
    const seed = process.env.SEED;
    await fc.assert(property, {
      numRuns: PROPERTY_RUNS,
      ...(seed === undefined ? {} : { seed: Number(seed) }),
    });
  });

  test('delivers no batch and a summary when it holds no row', async () => {
    const source = await subject.open([]);
    expect(await readAll(source)).toEqual({ rows: [], batchSizes: [], summary: { absent: {} } });
  });

  test('delivers batches of at most BATCH_ROWS rows', async () => {
    const source = await subject.open(manyRows(2 * BATCH_ROWS + 1));
    const { rows, batchSizes } = await readAll(source);
    expect(rows).toHaveLength(2 * BATCH_ROWS + 1);
    expect(Math.max(...batchSizes)).toBeLessThanOrEqual(BATCH_ROWS);
  });

  test('ends after exactly one full batch', async () => {
    const source = await subject.open(manyRows(BATCH_ROWS));
    const { rows, batchSizes } = await readAll(source);
    expect(rows).toHaveLength(BATCH_ROWS);
    expect(batchSizes).not.toContain(0);
  });

  test('gives attributes in the order asked for', async () => {
    const [row] = manyRows(1);
    const source = await subject.open([{ ...row!, attributes: ['DE', 'ada'] }]);
    const { rows } = await readAll(source, ['operator', 'country']);
    expect(rows[0]?.attributes).toEqual(['ada', 'DE']);
  });

  test('throws SOURCE_SCHEMA for an attribute without a column, with the nearest one', async () => {
    const source = await subject.open(manyRows(1));
    await expect(readAll(source, ['country', 'oprator'])).rejects.toMatchObject({
      code: 'SOURCE_SCHEMA',
      message: expect.stringMatching(/"oprator".*did you mean "operator"/),
    });
  });

  test('reads again, also after a reader left early', async () => {
    const source = await subject.open(manyRows(3 * BATCH_ROWS));
    const signal = AbortSignal.timeout(30_000);
    for await (const batch of source.read({ attributes: [], signal })) {
      expect(rowsOf(batch).length).toBeGreaterThan(0);
      break;
    }
    expect((await readAll(source)).rows).toHaveLength(3 * BATCH_ROWS);
    await source.close();
    await source.close();
  });
}

function testEndings(subject: SourceSubject): void {
  test('ends, and reads again, for a consumer that is busy with each batch for a while', async () => {
    const source = await subject.open(manyRows(100));
    for (const _ of [1, 2]) {
      const read = source.read({ attributes: [], signal: AbortSignal.timeout(10_000) });
      let step = await read.next();
      for (; step.done !== true; step = await read.next()) {
        // All that follows the last row comes meanwhile.
        for (let turns = 0; turns < 100; turns++) await turn();
      }
      expect(await step.value.absent).toEqual({});
    }
    await source.close();
  });

  test('throws SOURCE_TIMEOUT when the deadline passed', async () => {
    const source = await subject.open(manyRows(1));
    const reason = new DOMException('too late', 'TimeoutError');
    const failure = readAll(source, [], AbortSignal.abort(reason));
    await expect(failure).rejects.toMatchObject({ name: 'CacheError', code: 'SOURCE_TIMEOUT' });
  });

  test('throws SOURCE_TIMEOUT when the deadline passes between two batches', async () => {
    const source = await subject.open(manyRows(3 * BATCH_ROWS));
    const deadline = new AbortController();
    const read = source.read({ attributes: [], signal: deadline.signal });
    expect((await read.next()).done).toBe(false);
    deadline.abort(new DOMException('too late', 'TimeoutError'));
    const rest = async () => {
      for await (const _batch of read);
    };
    await expect(rest()).rejects.toMatchObject({ code: 'SOURCE_TIMEOUT' });
  });

  test('throws the reason of an abort when that is a CacheError', async () => {
    const source = await subject.open(manyRows(1));
    const closed = new CacheError('CACHE_CLOSED');
    await expect(readAll(source, [], AbortSignal.abort(closed))).rejects.toBe(closed);
  });
}

function testChecks(subject: SourceSubject): void {
  test('checks step by step and counts the rows by criterion', async () => {
    const [row] = manyRows(1);
    const rows = ['full', 'full', 'offline', undefined].map((ineligible, i) => ({
      ...row!,
      id: String(i).repeat(64),
      ineligible,
    }));
    const steps = await checkAll(await subject.open(rows), ['country']);
    expect(steps.filter(step => !step.ok)).toEqual([]);
    expect(steps.at(-1)).toMatchObject({
      name: 'rows',
      detail: expect.stringContaining('full 2, offline 1'),
    });
  });

  test('fails the check when no node is eligible, and names the criterion that removed most', async () => {
    const [row] = manyRows(1);
    const source = await subject.open([{ ...row!, ineligible: 'full' }]);
    const last = (await checkAll(source)).at(-1);
    expect(last).toMatchObject({ name: 'rows', ok: false, hint: expect.stringContaining('"full"') });
  });

  test('fails the check for an attribute without a column', async () => {
    const source = await subject.open(manyRows(1));
    const failed = (await checkAll(source, ['country', 'rack'])).filter(step => !step.ok);
    expect(failed).toMatchObject([{ name: 'attributes', detail: expect.stringContaining('"rack"') }]);
  });
}

export function manyRows(count: number): NodeRow[] {
  return Array.from({ length: count }, (_, i) => ({
    id: i.toString(16).padStart(64, '0'),
    ip: `5.${(i >>> 16) & 255}.${(i >>> 8) & 255}.${i & 255}`,
    port: 1 + (i % 65_535),
    network: undefined,
    vetted: i % 3 === 0,
    ineligible: undefined,
    attributes: ['SE', undefined],
  }));
}
