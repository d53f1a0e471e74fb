/** The C header: what the declarations generate; and a program that uses it sees what TypeScript sees. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cHeader } from '../../native-layout/c-header.ts';
import { POOL_INELIGIBLE, POOL_NEW, POOL_VETTED } from '../../native-layout/node-record.ts';
import { SETS_MAX } from '../../native-layout/snapshot-header.ts';
import { ID_BYTES, ROW_BYTES, ROW_NETWORK_WORD, ROW_WORDS } from '../../native-layout/snapshot-row.ts';
import { contentLayout, packSnapshot, type Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { writeSnapshotFile } from '../../src/workers/snapshot-file.ts';
import { compileC } from '../support/c-compiler.ts';
import { LocalCache, type LocalCacheOptions } from '../support/local-cache.ts';
import { TEST_SETTINGS, testId, testNode, testRow } from '../support/population.ts';

const HEADER = resolve(import.meta.dirname, '../../native-layout/sortition-snapshot.h');
const SOURCE = resolve(import.meta.dirname, '../support/c/read-snapshot.c');
const STRICT = ['-O2', '-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Werror'];

const folder = mkdtempSync(join(tmpdir(), 'sortition-header-'));
const program = join(folder, 'read-snapshot');

beforeAll(() => compileC({ source: SOURCE, program, flags: ['-std=gnu11', ...STRICT] }));
afterAll(() => rmSync(folder, { recursive: true }));

interface Seen {
  readonly problem?: string;
  readonly columns: readonly (readonly [string, number, number])[];
  readonly sets: readonly unknown[];
  readonly nodes: readonly unknown[];
}

/** What the C program sees in the file at `path`. */
function readInC(path: string, ids: readonly string[] = []): Seen {
  return JSON.parse(execFileSync(program, [path, ...ids], { encoding: 'utf8' })) as Seen;
}

const WIDE = ['2001:4860::1', '2606:4700:4700:1111:2222:3333:4444:5555', '2a00:1450:4001:81b::200e'];

/** Nodes of all pools, some of them with IPv6 addresses. */
function rows(count: number) {
  return Array.from({ length: count }, (_, number) => {
    const pool = (['vetted', 'new', 'ineligible'] as const)[number % 3]!;
    const row = testRow(testNode(number, number % 11, pool, ['DE', 'FR', 'US', undefined][number % 4]));
    return number % 7 === 3 ? { ...row, ip: WIDE[number % WIDE.length]! } : row;
  });
}

async function fileOf(
  count: number,
  options: LocalCacheOptions,
): Promise<{ path: string; snapshot: Snapshot }> {
  const { snapshot } = new LocalCache({ capacity: 300, ...options }).publish(rows(count));
  const path = join(folder, `${count}.snapshot`);
  await writeSnapshotFile(path, packSnapshot(snapshot.views));
  return { path, snapshot };
}

/** A node as its own row tells it, in the words of the C program. */
function nodeOf(snapshot: Snapshot, row: number, ip: string): object {
  const { rowWords, rowBytes, attributeCodes, networkKeyWords: networkKeys } = snapshot.views;
  const network = rowWords[row * ROW_WORDS + ROW_NETWORK_WORD]!;
  const pool = row < snapshot.vettedCount ? POOL_VETTED : POOL_NEW;
  return {
    row,
    id: Buffer.from(rowBytes.subarray(row * ROW_BYTES, row * ROW_BYTES + ID_BYTES)).toString('hex'),
    ip,
    network,
    networkKey: Buffer.from(networkKeys.slice(4 * network, 4 * network + 4).buffer).toString('hex'),
    pool: row < snapshot.vettedCount + snapshot.newCount ? pool : POOL_INELIGIBLE,
    codes: attributeCodes.map(codes => codes[row]),
  };
}

describe('sortition-snapshot.h', () => {
  test('is what the declarations generate', () => {
    const upToDate = readFileSync(HEADER, 'utf8') === cHeader();
    expect(upToDate, 'run `node test/support/write-c-header.ts`').toBe(true);
  });

  test('is C11 by itself, without a warning', () => {
    const source = join(folder, 'alone.c');
    writeFileSync(source, `#include "${HEADER}"\nint main(void) { return 0; }\n`);
    compileC({ source, program: join(folder, 'alone'), flags: ['-std=c11', ...STRICT] });
  });

  test('needs gcc, and the test says so', () => {
    const { PATH } = process.env;
    process.env.PATH = folder;
    try {
      expect(() => compileC({ source: SOURCE, program, flags: [] })).toThrow('Debian: apt-get install gcc');
    } finally {
      process.env.PATH = PATH;
    }
  });

  test.each([
    [0, {}],
    [1, {}],
    [60, {}],
    [200, { settings: TEST_SETTINGS }],
  ] as const)('shows C the counts and columns of a file of %i nodes', async (count, options) => {
    const { path, snapshot } = await fileOf(count, options);
    const layout = contentLayout(snapshot.views.header);
    // Files have no revoked rows, and C does not know that column.
    const shown = layout.columns.filter(column => column !== layout.live);
    const columns = shown.map(({ name, byteOffset, byteLength }) => [name, byteOffset, byteLength]);
    expect(readInC(path)).toMatchObject({
      generation: snapshot.generation,
      rows: [count, snapshot.vettedCount, snapshot.newCount],
      networks: [snapshot.networkCount, snapshot.networksUsed],
      readAtUnix: snapshot.readAtUnix,
      columns: [...columns, ['end', layout.byteLength, 0]],
    });
  });

  test('shows C the candidate sets', async () => {
    const { path, snapshot } = await fileOf(200, { settings: TEST_SETTINGS });
    const sets = snapshot.sets.map(set => {
      const positions = set.vettedPositions + set.newPositions;
      const groups = set.vettedGroups + set.newGroups;
      return {
        identity: set.identity ? 1 : 0,
        counts: [set.vettedPositions, set.newPositions, set.vettedGroups, set.newGroups],
        rows: Array.from({ length: positions }, (_, i) => (set.identity ? i : set.rows[i])),
        groups: [...set.groups.subarray(0, 2 * (groups + 1))],
      };
    });
    expect(sets.length).toBeGreaterThan(3);
    expect(readInC(path).sets).toMatchObject(sets);
  });

  test('finds in C every node by its id, and no other', async () => {
    const { path, snapshot } = await fileOf(200, { settings: TEST_SETTINGS });
    const source = rows(200);
    const unknown = [testId(1000), '00'.repeat(ID_BYTES), 'ff'.repeat(ID_BYTES)];
    const { nodes } = readInC(path, [...source.map(({ id }) => String(id)), ...unknown]);
    expect(nodes.slice(source.length)).toEqual(unknown.map(() => null));
    const found = nodes.slice(0, source.length) as { row: number; id: string; ip: string; port: number }[];
    expect(new Set(found.map(({ row }) => row)).size).toBe(source.length);
    found.forEach((node, i) => {
      expect(node).toMatchObject({ id: source[i]!.id, port: source[i]!.port });
      expect(node).toMatchObject(nodeOf(snapshot, node.row, source[i]!.ip));
    });
  });

  test('refuses what is no snapshot, in words', async () => {
    const { path } = await fileOf(60, {});
    const whole = readFileSync(path);
    const broken = join(folder, 'broken.snapshot');
    const problemOf = (word: number, value: number) => {
      const bytes = Buffer.from(whole);
      bytes.writeUInt32LE(value, 4 * word);
      writeFileSync(broken, bytes);
      return readInC(broken).problem;
    };
    expect(problemOf(0, 1)).toBe('not a snapshot');
    expect(problemOf(1, 1)).toBe('another layout version');
    expect(problemOf(3, 61)).toBe('the counts amount to another length');
    expect(problemOf(4, 61)).toBe('the pools exceed the rows');
    expect(problemOf(7, 100)).toBe('impossible id index');
    expect(problemOf(11, SETS_MAX + 1)).toBe('too many candidate sets');
    writeFileSync(broken, whole);
    truncateSync(broken, 100);
    expect(readInC(broken).problem).toBe('too short for a header');
  });
});
