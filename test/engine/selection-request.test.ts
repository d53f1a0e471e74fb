/** Rule 10: a request that is wrong is refused with the field at fault, and nothing is coerced. */
import { describe, expect, test } from 'vitest';
import type { Reader } from '../../src/engine/reader.ts';
import { checkLookup, checkRequest } from '../../src/engine/selection/selection-request.ts';
import type { NodeId, SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import { LocalCache } from '../support/local-cache.ts';
import { networksOf, TEST_SETTINGS, testRow } from '../support/population.ts';

const LIMITS = { countMax: 200, idsMax: 5 };
const ID = 'a'.repeat(64);

function openReader(): Reader {
  const cache = new LocalCache({ capacity: 300, settings: TEST_SETTINGS, limits: LIMITS });
  cache.publish(networksOf(Array(300).fill(1), 'vetted').map(testRow));
  return cache.reader();
}

const refusal = (field: string | undefined, code = 'REQUEST_INVALID') =>
  expect.objectContaining({ code, field });

/** Wrong whether or not the engine has seen the ids. */
const WRONG: [string, unknown][] = [
  ['count', { count: 0 }],
  ['count', { count: -1 }],
  ['count', { count: 201 }],
  ['count', { count: 1.5 }],
  ['count', { count: '7' }],
  ['count', { count: Number.NaN }],
  ['count', { count: Number.POSITIVE_INFINITY }],
  ['count', { count: null }],
  ['count', { count: 7n }],
  ['count', { count: [7] }],
  ['newFraction', { newFraction: -0.01 }],
  ['newFraction', { newFraction: 1.01 }],
  ['newFraction', { newFraction: Number.NaN }],
  ['newFraction', { newFraction: '0.5' }],
  ['newFraction', { newFraction: null }],
  ['exclude', { exclude: ID }],
  ['exclude', { exclude: null }],
  ['exclude', { exclude: { length: 1 } }],
  ['exclude', { exclude: Array(6).fill(ID) }],
  ['exclude', { exclude: new Uint8Array(33) }],
  ['exclude', { exclude: new Uint8Array(6 * 32) }],
  ['exclude', { exclude: new Uint16Array(32) }],
  ['exclude', { exclude: new Uint8Array(3 * 32), held: Array(3).fill(ID) }],
  ['exclude', { exclude: Array(3).fill(ID), held: Array(3).fill(ID) }],
  ['held', { held: 7 }],
  ['held', { held: Array(6).fill(ID) }],
  ['held', { held: new Uint8Array(31) }],
  ['placement', { placement: 7 }],
  ['placement', { placement: null }],
  ['distinct', { distinct: true }],
  ['partial', { partial: 1 }],
  ['partial', { partial: 'true' }],
  ['fillWithNew', { fillWithNew: 0 }],
  ['order', { order: 'sorted' }],
  ['order', { order: null }],
];

/** Wrong in what only the snapshot and the plan know. */
const WRONG_IN_PLACE: [string, string, unknown][] = [
  ['exclude[0]', 'REQUEST_INVALID', { exclude: ['abc'] }],
  ['exclude[2]', 'REQUEST_INVALID', { exclude: [ID, ID, `${ID.slice(1)}g`] }],
  ['exclude[1]', 'REQUEST_INVALID', { exclude: [ID, new Uint8Array(31)] }],
  ['held[0]', 'REQUEST_INVALID', { held: [7] }],
  ['held[1]', 'REQUEST_INVALID', { exclude: [ID], held: [ID, null] }],
  ['exclude[0]', 'REQUEST_INVALID', { exclude: new Array(1) }],
  ['placement', 'PLACEMENT_UNKNOWN', { placement: 'nowhere' }],
  ['placement', 'PLACEMENT_UNKNOWN', { placement: '' }],
  ['placement', 'PLACEMENT_UNKNOWN', { placement: '__proto__' }],
  ['placement', 'PLACEMENT_UNKNOWN', { placement: 'constructor' }],
  ['distinct', 'DISTINCT_UNKNOWN', { distinct: 'rack' }],
  ['distinct', 'DISTINCT_UNKNOWN', { distinct: '' }],
  ['distinct', 'DISTINCT_UNKNOWN', { distinct: 'toString' }],
];

describe('a selection', () => {
  const reader = openReader();
  const target = new Uint8Array(100_000);

  test.each(WRONG)('names %s in %o', (field, request) => {
    expect(() => reader.select(request as SelectionRequest)).toThrow(refusal(field));
    expect(() => reader.selectEncoded('json', request as SelectionRequest, target)).toThrow(refusal(field));
    expect(() => reader.selectRecords(request as SelectionRequest, target)).toThrow(refusal(field));
    expect(() => checkRequest(request as SelectionRequest, LIMITS)).toThrow(refusal(field));
  });

  test.each(WRONG_IN_PLACE)('names %s with %s in %o', (field, code, request) => {
    expect(() => reader.select(request as SelectionRequest)).toThrow(refusal(field, code));
    expect(() => reader.selectEncoded('messagepack', request as SelectionRequest, target)).toThrow(
      refusal(field, code),
    );
  });

  test('is as good as new after a refused one', () => {
    expect(() => reader.select({ count: 3, exclude: [ID, 'bad'] })).toThrow();
    expect(reader.select({ count: 200 })).toMatchObject({ length: 200, shortage: undefined });
  });

  test('takes the largest count, and as many ids as the limit, known or not', () => {
    const known = reader.select({ count: 3 }).nodes.map(({ id }) => id);
    for (const exclude of [known, new Uint8Array(Buffer.from(known.join(''), 'hex'))]) {
      const selection = reader.select({ count: 200, exclude, held: [ID, ID] });
      expect(selection.length).toBe(200);
      for (const id of known) expect(selection.nodes.map(node => node.id)).not.toContain(id);
    }
  });

  test('takes fields that are undefined for fields that are not there', () => {
    const request = {
      count: 5,
      exclude: undefined,
      held: undefined,
      placement: undefined,
      distinct: undefined,
      newFraction: undefined,
      order: undefined,
      partial: undefined,
      fillWithNew: undefined,
    };
    expect(reader.select(request).length).toBe(5);
    expect(() => checkRequest(request, LIMITS)).not.toThrow();
  });

  test('that asks for nothing in particular gets 110 nodes', () => {
    expect(reader.select({}).length).toBe(110);
  });

  test('does not get a default count beyond the configured limit', () => {
    const cache = new LocalCache({ capacity: 10, limits: { countMax: 100, idsMax: 5 } });
    cache.publish([]);
    expect(() => cache.reader().select({})).toThrow(refusal('count'));
  });

  test('message shows what was given, and not all of it', () => {
    expect(() => reader.select({ placement: 7 as never })).toThrow(/placement is 7/);
    const long = 'x'.repeat(10_000);
    expect(() => reader.select({ exclude: [long] })).toThrow(/^.{1,200}$/);
    expect(() => reader.select({ exclude: [new Uint8Array(5)] })).toThrow(/5 bytes/);
    expect(() => reader.select({ exclude: new Uint8Array(5) })).toThrow(
      /^exclude is 5 bytes; it is a list of node ids, or their bytes, 32 for each$/,
    );
  });
});

describe('a parsed request', () => {
  test.each<[unknown]>([[undefined], [null], [7], ['{}'], [[]], [true]])('is not %o', value => {
    expect(() => checkRequest(value as SelectionRequest, LIMITS)).toThrow(refusal(undefined));
  });

  test.each(['size', 'Count', 'excluded', '__proto__', 'constructor', ''])('has no field %j', field => {
    const request = JSON.parse(`{"count":1,${JSON.stringify(field)}:1}`);
    expect(() => checkRequest(request as SelectionRequest, LIMITS)).toThrow(
      expect.objectContaining({ code: 'REQUEST_INVALID' }),
    );
  });
});

describe('a lookup', () => {
  const reader = openReader();

  test.each<[string, unknown]>([
    ['ids', undefined],
    ['ids', null],
    ['ids', ID],
    ['ids', Array(6).fill(ID)],
    ['ids', new Set([ID])],
    ['ids', new Uint8Array(65)],
    ['ids', new Uint8Array(6 * 32)],
  ])('names %s in %o', (field, ids) => {
    expect(() => checkLookup(ids, LIMITS)).toThrow(refusal(field));
    expect(() => reader.lookup(ids as NodeId[])).toThrow(refusal(field));
  });

  test('names the id that is none', () => {
    expect(() => reader.lookup([ID, 'zz'])).toThrow(refusal('ids[1]'));
  });

  test('keeps the order, says which ids are unknown, and finds an id that is asked for twice twice', () => {
    const [a, b] = networksOf([1, 1], 'vetted');
    const { nodes, unknown } = reader.lookup([b!.id, ID, a!.id.toUpperCase(), b!.id]);
    expect(nodes.map(node => node?.id)).toEqual([b!.id, undefined, a!.id, b!.id]);
    expect(unknown).toEqual([ID]);
    const bytes = new Uint8Array(Buffer.from([b!.id, ID, a!.id, b!.id].join(''), 'hex'));
    expect(reader.lookup(bytes)).toMatchObject({ nodes, unknown });
    expect(reader.lookup([])).toMatchObject({ nodes: [], unknown: [] });
  });
});
