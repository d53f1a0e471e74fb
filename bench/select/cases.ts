/** The cases of `select.bench.ts`, in groups that are measured one after the other. */

import { DISTINCT_NETWORK } from '../../native-layout/kernel-memory.ts';
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { Lease } from '../../src/engine/publication.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import type { Cache, SelectionRequest } from '../../src/index.ts';
import { encodedBytesMax } from '../../src/index.ts';
import { LocalCache } from '../../test/support/local-cache.ts';
import type { Floor } from '../floor/floor.ts';
import type { BenchCase } from '../harness/measure.ts';
import { cFloorCases, cFloorName } from './c-floors.ts';
import { copyBytes, copyRecords } from './floors.ts';
import { type Blocked, byRejection, bySampleSize, byShuffle, networkOf, type PlainPools } from './peers.ts';

export const COUNT = 110;
export const NEW_COUNT = 5;
const COUNTS = [1, 3, 10, 35, 110, 1_000];
const EXCLUDED = 90;
const HELD = 80;

const NEW_FRACTION = NEW_COUNT / COUNT;
const REQUEST: SelectionRequest = { count: COUNT, newFraction: NEW_FRACTION };

export interface AnswerCases {
  readonly cache: Cache;
  readonly pools: PlainPools;
  readonly rows: readonly NodeRow[];
  /** The one that is compiled for this machine comes first. */
  readonly floors: readonly Floor[];
}

/** The question of the bench: one answer, all ways to get it. */
export function answerCases({ cache, pools, rows, floors }: AnswerCases): BenchCase[] {
  const json = new Uint8Array(encodedBytesMax('json', COUNT));
  const messagePack = new Uint8Array(encodedBytesMax('messagepack', COUNT));
  const records = new Uint8Array(COUNT * RECORD_BYTES);
  const jsonBytes = cache.selectEncoded('json', REQUEST, json).bytes;
  const messagePackBytes = cache.selectEncoded('messagepack', REQUEST, messagePack).bytes;
  const floor = `floor: copy ${COUNT} random records`;
  const jsonFloor = 'floor: copy the bytes of the JSON';
  const inC = { count: COUNT, newFraction: NEW_FRACTION };
  return [
    { name: floor, run: copyRecords(rows.length, COUNT), details: { bytes: COUNT * RECORD_BYTES } },
    { name: jsonFloor, run: copyBytes(jsonBytes), details: { bytes: jsonBytes } },
    ...cFloorCases(floors, { ...inC, form: 'select' }),
    ...cFloorCases(floors, { ...inC, form: 'records' }),
    ...cFloorCases(floors, { ...inC, form: 'json' }),
    ...cFloorCases(floors, { ...inC, form: 'messagepack' }),
    { name: 'sortition: the kernel draws', floor: cFloorName('select'), run: kernelDraws(rows) },
    {
      name: 'objects: rejection, Set of networks',
      floor,
      run: () => byRejection(pools, COUNT, NEW_COUNT).length,
    },
    {
      name: 'objects: shuffle all, then filter',
      floor,
      run: () => byShuffle(pools, COUNT, NEW_COUNT).length,
    },
    {
      name: 'objects: sampleSize as lodash, then filter',
      floor,
      run: () => bySampleSize(pools, COUNT, NEW_COUNT).length,
    },
    { name: 'sortition: select', floor: cFloorName('records'), run: () => cache.select(REQUEST).length },
    { name: 'sortition: select, all nodes read as objects', floor, run: () => readAll(cache) },
    {
      name: 'sortition: records',
      floor: cFloorName('records'),
      run: () => cache.selectRecords(REQUEST, records).bytes,
    },
    {
      name: 'sortition: JSON',
      floor: cFloorName('json'),
      run: () => cache.selectEncoded('json', REQUEST, json).bytes,
      details: { bytes: jsonBytes },
    },
    {
      name: 'sortition: MessagePack',
      floor: cFloorName('messagepack'),
      run: () => cache.selectEncoded('messagepack', REQUEST, messagePack).bytes,
      details: { bytes: messagePackBytes },
    },
    {
      name: 'objects: rejection, then JSON.stringify',
      floor: jsonFloor,
      run: () => JSON.stringify(byRejection(pools, COUNT, NEW_COUNT)).length,
    },
  ];
}

/** The draw of the same request by the kernel alone: no request to check, no answer but the rows. */
function kernelDraws(rows: readonly NodeRow[]): () => number {
  const local = new LocalCache({ capacity: rows.length });
  const { snapshot } = local.publish(rows);
  const kernel = local.kernel();
  kernel.open(Lease.claim(local.words, local.seats, 0).acquire(), snapshot);
  const draw = {
    count: COUNT,
    newFraction: NEW_FRACTION,
    capNewFraction: true,
    fillWithNew: false,
    vettedFirst: false,
    distinct: DISTINCT_NETWORK,
    set: 0,
    attribute: 0,
  };
  return () => kernel.select(draw, 0, 0);
}

function readAll(cache: Cache): number {
  let sum = 0;
  for (const { id, ip, port } of cache.select(REQUEST).nodes) sum += id.length + ip.length + port;
  return sum;
}

/** The same with ids that must not come back: `exclude` and `held`. */
export function blockedCases(cache: Cache, pools: PlainPools, floors: readonly Floor[]): BenchCase[] {
  const all = [...pools.vetted, ...pools.fresh];
  const exclude = all.filter((_, i) => i % 97 === 1).slice(0, EXCLUDED);
  const held = all.filter((_, i) => i % 89 === 2).slice(0, HELD);
  const ids = { exclude: exclude.map(node => node.id), held: held.map(node => node.id) };
  const bytes = {
    exclude: ids.exclude.map(id => new Uint8Array(Buffer.from(id, 'hex'))),
    held: ids.held.map(id => new Uint8Array(Buffer.from(id, 'hex'))),
  };
  const packed = {
    exclude: new Uint8Array(Buffer.concat(bytes.exclude)),
    held: new Uint8Array(Buffer.concat(bytes.held)),
  };
  const blocked = (): Blocked => ({
    ids: new Set([...ids.exclude, ...ids.held]),
    networks: new Set(held.map(node => networkOf(node.ip))),
  });
  const suffix = `exclude ${exclude.length}, held ${held.length}`;
  const floor = cFloorName('records', `, ${suffix}`);
  const inC = { form: 'records', count: COUNT, newFraction: NEW_FRACTION, blocked: ids } as const;
  return [
    ...cFloorCases(floors, inC, `, ${suffix}`),
    { name: 'sortition: select again', run: () => cache.select(REQUEST).length },
    {
      name: `objects: rejection, ${suffix}`,
      floor,
      run: () => byRejection(pools, COUNT, NEW_COUNT, blocked()).length,
    },
    {
      name: `sortition: select, ${suffix}, as text`,
      floor,
      run: () => cache.select({ ...REQUEST, ...ids }).length,
    },
    {
      name: `sortition: select, ${suffix}, as bytes`,
      floor,
      run: () => cache.select({ ...REQUEST, ...bytes }).length,
    },
    {
      name: `sortition: select, ${suffix}, as bytes in one piece`,
      floor,
      run: () => cache.select({ ...REQUEST, ...packed }).length,
    },
  ];
}

/** One to a thousand picks: what a call costs, and what a pick costs. */
export function countCases(cache: Cache, floors: readonly Floor[]): BenchCase[] {
  return COUNTS.flatMap(count => {
    const request = { count };
    const target = new Uint8Array(encodedBytesMax('json', count));
    const of = `, count ${count}`;
    const floor = cFloorName('records', of);
    return [
      { name: `floor: copy ${count} random records, any count`, run: copyRecords(10_000, count) },
      ...cFloorCases(floors, { form: 'records', count }, of),
      ...cFloorCases(floors, { form: 'json', count }, of),
      { name: `sortition: select, count ${count}`, floor, run: () => cache.select(request).length },
      {
        name: `sortition: JSON, count ${count}`,
        floor: cFloorName('json', of),
        run: () => cache.selectEncoded('json', request, target).bytes,
      },
    ];
  });
}

/** The same answer out of more and more nodes. */
export function sizeCases(
  cache: Cache,
  rows: number,
  pools: PlainPools | undefined,
  floors: readonly Floor[],
): BenchCase[] {
  const json = new Uint8Array(encodedBytesMax('json', COUNT));
  const records = new Uint8Array(COUNT * RECORD_BYTES);
  const floor = `floor: copy ${COUNT} random records of ${rows}`;
  const of = `of ${rows}`;
  const recordFloor = cFloorName('records', ` ${of}`);
  const inC = { count: COUNT, newFraction: NEW_FRACTION };
  const cases: BenchCase[] = [
    { name: floor, run: copyRecords(rows, COUNT) },
    ...cFloorCases(floors, { ...inC, form: 'records' }, ` ${of}`),
    ...cFloorCases(floors, { ...inC, form: 'json' }, ` ${of}`),
    { name: `sortition: select ${of}`, floor: recordFloor, run: () => cache.select(REQUEST).length },
    {
      name: `sortition: records ${of}`,
      floor: recordFloor,
      run: () => cache.selectRecords(REQUEST, records).bytes,
    },
    {
      name: `sortition: JSON ${of}`,
      floor: cFloorName('json', ` ${of}`),
      run: () => cache.selectEncoded('json', REQUEST, json).bytes,
    },
  ];
  if (pools !== undefined) {
    cases.push({
      name: `objects: rejection ${of}`,
      floor,
      run: () => byRejection(pools, COUNT, NEW_COUNT).length,
    });
  }
  return cases;
}
