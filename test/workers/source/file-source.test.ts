import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { NodeRow } from '../../../src/engine/snapshot/node-row.ts';
import { CSV_HEADER, csvLine, demoRow, population } from '../../../src/server/demo/population.ts';
import { fileSource, openFileSource } from '../../../src/workers/source/file-source.ts';
import { relayPopulation, relaysPath } from '../../support/relays.ts';
import { byId, checkAll, readAll } from '../../support/row-source.ts';
import { CASE_ATTRIBUTES, describeRowSource } from './row-source.case.ts';

let directory: string;
let fileNumber = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sortition-file-source-'));
});

afterAll(() => rm(directory, { recursive: true }));

async function written(text: string | Uint8Array, extension = 'csv') {
  const path = join(directory, `nodes-${fileNumber++}.${extension}`);
  await writeFile(path, text);
  return openFileSource(fileSource(path));
}

const ID = 'ab'.repeat(32);
const HEADER = 'id,ip,port,vetted,country';

describeRowSource('a CSV file', { open: rows => written(csvText(rows)) });
describeRowSource('a CSV file with every field quoted that has a value', {
  open: rows => written(csvText(rows, true)),
});
describeRowSource('a JSON Lines file', { open: rows => written(jsonText(rows), 'jsonl') });

function csvText(rows: readonly NodeRow[], quoteAll = false): string {
  const quoted = (value: string | undefined) => {
    if (value === undefined) return '';
    const needed = quoteAll || value === '' || /[",\r\n]/.test(value);
    return needed ? `"${value.replaceAll('"', '""')}"` : value;
  };
  const line = (cells: (string | undefined)[]) => `${cells.map(quoted).join(',')}\r\n`;
  const lines = rows.map(row =>
    line([
      ...[row.attributes[0], String(row.id), row.ip, String(row.port), row.network],
      ...[row.vetted ? 'true' : 'false', row.ineligible, row.attributes[1]],
    ]),
  );
  return (
    line(['country', 'id', 'ip', 'port', 'network', 'vetted', 'ineligible', 'operator']) + lines.join('')
  );
}

function jsonText(rows: readonly NodeRow[]): string {
  const lines = rows.map(({ attributes, ...row }) => {
    const named = CASE_ATTRIBUTES.map((name, i) => [name, attributes[i] ?? null]);
    return `${JSON.stringify({ ...row, ...Object.fromEntries(named) })}\n`;
  });
  // An empty file is an error; an empty line is not.
  return `${lines.join('')}\n`;
}

describe('a real population', () => {
  test('reads as the relays of the data set', async () => {
    const source = openFileSource(fileSource(relaysPath('population.csv')));
    const { rows } = await readAll(source, ['country', 'exit']);
    const wanted = relayPopulation().map(row => ({ network: undefined, ineligible: undefined, ...row }));
    expect(rows).toEqual(wanted.sort(byId));
    expect(rows).toHaveLength(9_491);
    expect(rows.filter(row => row.vetted)).toHaveLength(5_838);
  });
});

describe('a made-up population', () => {
  test('written line by line reads as its rows', async () => {
    const made = [...population({ seed: 1, nowMs: Date.now(), count: 2_000 })];
    const wanted = made.map(demoRow).filter(row => row !== undefined);
    const source = await written([CSV_HEADER, ...wanted.map(csvLine)].join('\n'));
    expect((await readAll(source, ['country'])).rows).toEqual(wanted.sort(byId));
  });
});

describe('CSV', () => {
  test.each([
    ['a byte order mark', `\uFEFF${HEADER}\n${ID},5.1.2.3,80,1,DE\n`],
    ['CRLF line ends', `${HEADER}\r\n${ID},5.1.2.3,80,1,DE\r\n`],
    ['no line break at the end', `${HEADER}\n${ID},5.1.2.3,80,1,DE`],
    ['empty lines', `\n${HEADER}\n\n${ID},5.1.2.3,80,1,DE\n\n`],
    ['a quoted header', `"id","ip","port","vetted","country"\n"${ID}","5.1.2.3","80","1","DE"\n`],
    ['other columns in between', `x,country,port,ip,y,id,vetted\n1,DE,80,5.1.2.3,,${ID},t\n`],
    ['an eligible column', `id,ip,port,vetted,country,eligible\n${ID},5.1.2.3,80,yes,DE,true\n`],
    ['no vetted column', `id,ip,port,country\n${ID},5.1.2.3,80,DE\n`],
  ])('with %s reads the same row', async (_what, text) => {
    const { rows } = await readAll(await written(text), ['country']);
    const row = { id: ID, ip: '5.1.2.3', port: 80, vetted: true, attributes: ['DE'] };
    expect(rows).toEqual([{ ...row, network: undefined, ineligible: undefined }]);
  });

  test.each([
    ['abc', Number.NaN],
    ['', Number.NaN],
    ['0x50', Number.NaN],
    ['80.5', Number.NaN],
    ['-1', -1],
    ['99999', 99_999],
  ])('delivers the port "%s" for the builder to refuse', async (port, value) => {
    const { rows } = await readAll(await written(`id,ip,port\n${ID},5.1.2.3,${port}\n`));
    expect(rows[0]?.port).toBe(value);
  });

  test.each([
    ['vetted', 'maybe', 'unreadable-vetted'],
    ['eligible', 'maybe', 'unreadable-eligible'],
    ['eligible', 'false', 'not-eligible'],
    ['ineligible', 'full', 'full'],
  ])('with %s = %s makes the row ineligible', async (column, value, criterion) => {
    const { rows } = await readAll(await written(`id,ip,port,${column}\n${ID},5.1.2.3,80,${value}\n`));
    expect(rows[0]?.ineligible).toBe(criterion);
  });

  test.each([
    [
      'too few fields',
      `${HEADER}\n${ID},5.1.2.3,80,1,DE\n${ID},5.1.2.3\n`,
      'line 3: 2 fields, but the header names 5',
    ],
    ['too many fields', `${HEADER}\n${ID},5.1.2.3,80,1,DE,x\n`, 'line 2: 6 fields'],
    ['an open quote', `${HEADER}\n${ID},5.1.2.3,80,1,"DE\n`, 'line 2: a quoted field is not closed'],
    ['text after a quote', `${HEADER}\n${ID},5.1.2.3,80,1,"D"E\n`, 'line 2: field 5 goes on after'],
    ['a quote inside', `${HEADER}\n${ID},5.1.2.3,80,1,D"E\n`, 'line 2: a quote stands inside'],
    ['a record after a long one', `${HEADER}\n${ID},5.1.2.3,80,1,"D\nE"\nx\n`, 'line 4: 1 fields'],
  ])('with %s throws SOURCE_FAILED that names the line', async (_what, text, message) => {
    const failure = readAll(await written(text));
    await expect(failure).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining(message),
    });
  });

  test.each([
    ['no id column', 'ID,ip,port\n', 'no column "id" (did you mean "ID"?)'],
    ['a column twice', 'id,ip,port,ip\n', 'two columns are called "ip"'],
    ['a column without a name', 'id,ip,port,\n', 'column 4 has no name'],
    ['semicolons', 'id;ip;port\n', 'columns are separated by commas'],
    ['nothing but empty lines', '\n\n', 'has no header line'],
    ['nothing at all', '', 'is empty'],
  ])('with %s throws SOURCE_SCHEMA', async (_what, text, message) => {
    const failure = readAll(await written(text));
    await expect(failure).rejects.toMatchObject({
      code: 'SOURCE_SCHEMA',
      message: expect.stringContaining(message),
    });
  });

  test('names the bytes that are no UTF-8', async () => {
    const failure = readAll(await written(Buffer.from(`${HEADER}\n${ID},5.1.2.3,80,1,\xff\n`, 'latin1')));
    await expect(failure).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining('UTF-8'),
    });
  });
});

describe('JSON Lines', () => {
  test('reads numbers, booleans and nulls as what they mean', async () => {
    const object = { id: ID, ip: '5.1.2.3', port: '80', vetted: 0, eligible: null, rack: 7, ssd: true };
    const { rows } = await readAll(await written(JSON.stringify(object), 'ndjson'), ['rack', 'ssd']);
    expect(rows[0]).toMatchObject({ port: 80, vetted: false, attributes: ['7', 'true'] });
    expect(rows[0]?.ineligible).toBeUndefined();
  });

  const lines = (...objects: readonly object[]) =>
    objects
      .map((object, i) => `${JSON.stringify({ id: `${i}`, ip: '5.1.2.3', port: 80, ...object })}\n`)
      .join('');

  test('whose first line has a key "vetted" takes a line without it, or null, for a new node', async () => {
    const text = lines({ vetted: true }, {}, { vetted: null }, { vetted: false }, { vetted: 1 });
    const { rows } = await readAll(await written(text, 'jsonl'));
    expect(rows.map(({ vetted }) => vetted)).toEqual([true, false, false, false, true]);
  });

  test('whose first line has no key "vetted" takes every node for vetted, and none later', async () => {
    const { rows } = await readAll(await written(lines({}, {}), 'jsonl'));
    expect(rows.map(({ vetted }) => vetted)).toEqual([true, true]);
    await expect(readAll(await written(lines({}, {}, { vetted: false }), 'jsonl'))).rejects.toMatchObject({
      code: 'SOURCE_SCHEMA',
      message: expect.stringContaining('line 3: key "vetted"'),
    });
  });

  test('takes an attribute that a later line has, and refuses one that objects have by birth', async () => {
    const { rows } = await readAll(await written(lines({}, { rack: 7 }), 'jsonl'), ['rack']);
    expect(rows.map(({ attributes }) => attributes)).toEqual([[undefined], ['7']]);
    const failure = readAll(await written(lines({}), 'jsonl'), ['toString']);
    await expect(failure).rejects.toMatchObject({ code: 'SOURCE_SCHEMA', field: 'placements' });
  });

  test.each([
    ['broken JSON', '{"id":\n', 'SOURCE_FAILED', 'line 1: '],
    ['a line that is no object', '\n[1]\n', 'SOURCE_FAILED', 'line 2: expected an object, found an array'],
    [
      'a nested value',
      '{"id":"a","ip":"b","port":[1]}',
      'SOURCE_FAILED',
      'line 1: key "port" holds an array',
    ],
    ['a missing key', '{"id":"a","ip":"b","prt":1}', 'SOURCE_SCHEMA', 'no key "port" (did you mean "prt"?)'],
  ])('with %s throws an error that names the line', async (_what, text, code, message) => {
    const failure = readAll(await written(text, 'jsonl'));
    await expect(failure).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });
});

describe('a path', () => {
  test('that does not exist throws SOURCE_UNAVAILABLE, and fails the check', async () => {
    const source = openFileSource(fileSource(join(directory, 'absent.csv')));
    await expect(readAll(source)).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
      message: expect.stringContaining('absent.csv" does not exist'),
    });
    expect(await checkAll(source)).toMatchObject([{ name: 'file', ok: false }]);
  });

  test('that is a directory throws SOURCE_FAILED', async () => {
    const failure = readAll(openFileSource(fileSource({ path: directory, format: 'csv' })));
    await expect(failure).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining('is a directory'),
    });
  });

  test('that is a pipe throws SOURCE_FAILED, and does not wait for its other end', async () => {
    const path = join(directory, 'pipe.csv');
    execFileSync('mkfifo', [path]);
    const source = openFileSource(fileSource(path));
    await expect(readAll(source)).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining('is not a regular file'),
    });
    expect(await checkAll(source)).toMatchObject([{ name: 'file', ok: false }]);
  });

  test('whose file changes during the read throws SOURCE_FAILED', async () => {
    const path = join(directory, 'growing.csv');
    const line = `${ID},5.1.2.3,80,1,DE\n`;
    await writeFile(path, `${HEADER}\n${line.repeat(10_000)}`);
    const read = openFileSource(fileSource(path)).read({
      attributes: [],
      signal: AbortSignal.timeout(30_000),
    });
    expect((await read.next()).done).toBe(false);
    await writeFile(path, `${HEADER}\n${line.repeat(10_001)}`);
    const rest = async () => {
      for await (const _batch of read);
    };
    await expect(rest()).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      message: expect.stringContaining('changed while it was read'),
    });
  });

  test('with rows whose port is no number fails the check and counts them', async () => {
    const source = await written(`id,ip,port\n${ID},5.1.2.3,abc\n`);
    const failed = (await checkAll(source)).filter(step => !step.ok);
    expect(failed).toMatchObject([{ name: 'values', detail: expect.stringContaining('1 rows') }]);
  });
});
