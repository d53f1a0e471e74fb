/**
 * The C floor of `bench:select` gives the answers of the TypeScript twin, byte for byte: from the same key it
 * draws the same words for the same purposes. So its times are those of the same work.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { FLOOR_BUILDS, Floor, type FloorBuild, type FloorForm } from '../../bench/floor/floor.ts';
import { relayRows } from '../../bench/harness/population.ts';
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { ID_BYTES, ROW_BYTES } from '../../native-layout/snapshot-row.ts';
import { encodedBytesMax } from '../../src/engine/encoding/encode.ts';
import type { Reader } from '../../src/engine/reader.ts';
import { KEY_WORDS } from '../../src/engine/selection/random.ts';
import type { SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import type { Snapshot } from '../../src/engine/snapshot/snapshot.ts';
import { packSnapshot } from '../../src/engine/snapshot/snapshot.ts';
import { writeSnapshotFile } from '../../src/workers/snapshot-file.ts';
import { dataRandom } from '../support/data-random.ts';
import { LocalCache } from '../support/local-cache.ts';
import { networksOf, testId, testRow } from '../support/population.ts';

const SEEDS = 200;
const COUNT_MAX = 1000;
const COUNTS = [1, 2, 3, 10, 35, 110, COUNT_MAX];
const FRACTIONS = [0, 0.05, 5 / 110, 0.3, 1];
const FORMS: readonly FloorForm[] = ['select', 'records', 'json', 'messagepack'];
const BLOCKED_MAX = 200;

const folder = mkdtempSync(join(tmpdir(), 'sortition-floor-'));
const floors: Floor[] = [];

afterAll(() => {
  for (const floor of floors) floor.close();
  rmSync(folder, { recursive: true });
});

/** The relays, every ninth of them with an IPv6 address; and some that are not to be picked. */
function mixedRows(): NodeRow[] {
  return [...relayRows(3000)].map((row, i) => {
    if (i % 9 === 4) return { ...row, ip: `2a01:4f8:${(i % 997).toString(16)}::${i.toString(16)}` };
    return i % 50 === 7 ? { ...row, ineligible: 'suspended' } : row;
  });
}

/** Few networks, which both pools share: not all requests can be met, and new picks must make room. */
function scarceRows(): NodeRow[] {
  const vetted = networksOf([1, 3, 2, 1, 40, 1], 'vetted');
  const fresh = networksOf([2, 1, 5, 1], 'new', { network: 4, number: 100 });
  return [...vetted, ...fresh].map(testRow);
}

const PLACEMENTS = { default: {}, uncapped: { capNewFraction: false } } as const;

interface Pair {
  readonly cache: LocalCache;
  readonly snapshot: Snapshot;
  readonly floor: Floor;
  readonly ids: readonly string[];
}

async function pairOver(rows: readonly NodeRow[], build: FloorBuild): Promise<Pair> {
  const settings = { placements: { uncapped: PLACEMENTS.uncapped }, distinctAttributes: [] };
  const cache = new LocalCache({ capacity: rows.length, settings, kernel: 'typescript' });
  const { snapshot } = cache.publish(rows);
  const path = join(folder, `${floors.length}.snapshot`);
  await writeSnapshotFile(path, packSnapshot(snapshot.views));
  const floor = new Floor(build, path, folder);
  floors.push(floor);
  return { cache, snapshot, floor, ids: rows.map(row => String(row.id)) };
}

const target = Buffer.alloc(Math.max(encodedBytesMax('json', COUNT_MAX), COUNT_MAX * RECORD_BYTES));

/** The answer of the twin as the floor would give it; ids for the rows of `select`. */
function answerOf(reader: Reader, form: FloorForm, request: SelectionRequest): string {
  if (form === 'select')
    return reader
      .select(request)
      .nodes.map(node => node.id)
      .join(' ');
  const { bytes } =
    form === 'records' ? reader.selectRecords(request, target) : reader.selectEncoded(form, request, target);
  return target.toString('hex', 0, bytes);
}

function answerOfFloor({ floor, snapshot }: Pair, form: FloorForm, count: number): string {
  const answer = floor.answer(form, count);
  if (form !== 'select') return answer.toString('hex');
  const { rowBytes } = snapshot.views;
  const rows = Array.from({ length: answer.length / 4 }, (_, i) => answer.readUInt32LE(4 * i));
  const idOf = (row: number) => rowBytes.subarray(row * ROW_BYTES, row * ROW_BYTES + ID_BYTES);
  return rows.map(row => Buffer.from(idOf(row)).toString('hex')).join(' ');
}

interface Blocked {
  readonly exclude: readonly string[];
  readonly held: readonly string[];
}

/** Ids to block for one seed: some or most; among them ids that come twice, and one that nobody has. */
function blockedIds(ids: readonly string[], seed: number): Blocked {
  const below = dataRandom(seed);
  const some = (count: number) =>
    Array.from({ length: Math.min(count, ids.length) }, () => ids[below(ids.length)]!);
  if (seed % 10 === 1) return { exclude: ids.filter((_, i) => i % 8 !== 0), held: ids.slice(0, 1) };
  return { exclude: [testId(-1), ...some(below(BLOCKED_MAX))], held: some(below(BLOCKED_MAX)) };
}

/** Both answer the same requests one after the other, out of one stream of words. */
function expectSameAnswers(pair: Pair, seed: number): void {
  const { cache, floor, ids } = pair;
  const reader = cache.reader(0, seed);
  const blocked = seed % 3 === 0 ? {} : blockedIds(ids, seed);
  const placement = seed % 2 === 0 ? 'default' : 'uncapped';
  const newFraction = FRACTIONS[seed % FRACTIONS.length]!;
  cache.clockMs = 1000 + (seed % 4) * 2 ** 31;
  floor.seed(new Uint32Array(KEY_WORDS).fill(seed));
  floor.draw(newFraction, placement === 'default');
  floor.age(cache.clockMs - 1000);
  floor.block(blocked);
  for (const count of COUNTS) {
    for (const form of FORMS) {
      const expected = answerOf(reader, form, { count, newFraction, placement, ...blocked });
      expect(answerOfFloor(pair, form, count), `${form} of ${count}, seed ${seed}`).toBe(expected);
    }
  }
  reader.release();
}

describe.each(FLOOR_BUILDS)('the floor, compiled for %s', build => {
  test(`answers as the twin for ${SEEDS} seeds`, async () => {
    const pair = await pairOver(mixedRows(), build);
    for (let seed = 0; seed < SEEDS; seed++) expectSameAnswers(pair, seed);
  });

  test('answers as the twin where nodes are scarce', async () => {
    const pair = await pairOver(scarceRows(), build);
    for (let seed = 0; seed < SEEDS; seed++) expectSameAnswers(pair, seed);
  });

  test('answers as the twin where there is nothing', async () => {
    const pair = await pairOver([], build);
    for (let seed = 0; seed < 4; seed++) expectSameAnswers(pair, seed);
  });

  test('times its calls', async () => {
    const { floor } = await pairOver(mixedRows(), build);
    const { p50_ns, mean_ns, p99_ns, min_ns, calls } = floor.time('json', 110, 5);
    expect(calls).toBeGreaterThan(100);
    expect(min_ns).toBeGreaterThan(0);
    expect(p50_ns).toBeGreaterThanOrEqual(min_ns);
    expect(p99_ns).toBeGreaterThanOrEqual(p50_ns);
    expect(mean_ns).toBeGreaterThan(min_ns);
  });
});

test('a program that has ended is an error, and no wait', () => {
  const floor = new Floor('native', join(folder, 'missing.snapshot'), folder);
  expect(() => floor.answer('select', 1)).toThrow(/has ended|EPIPE/);
  floor.close();
});
