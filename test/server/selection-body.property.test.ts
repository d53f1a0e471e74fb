/**
 * The quick reading of bodies gives what parsing and checking give, or nothing: whatever it takes means the
 * same, and whatever is wrong it leaves alone.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkRequest } from '../../src/engine/selection/selection-request.ts';
import type { SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import { parseNodeId } from '../../src/engine/snapshot/node-id.ts';
import { readSelectionBody } from '../../src/server/http/selection-body.ts';
import { parseJsonBytes } from '../../src/server/strict-json.ts';
import { checkProperty } from '../support/property.ts';

const LIMITS = { countMax: 1_000, idsMax: 40, lookupIdsMax: 1, batchRequestsMax: 1, batchPicksMax: 1 };

/** As the server uses it: ids are refused where they are looked up, and the body is then read anew. */
function read(bytes: Buffer): SelectionRequest | undefined {
  const request = readSelectionBody(bytes, LIMITS);
  const ids = [...(request?.exclude ?? []), ...(request?.held ?? [])];
  return ids.every(each => parseNodeId(each, Buffer.alloc(32), 0)) ? request : undefined;
}

/** With ids as text in lower case, as both ways can be compared. */
function comparable(request: SelectionRequest): object {
  const texts = (ids: SelectionRequest['exclude']) =>
    ids?.map(id => (typeof id === 'string' ? id : Buffer.from(id).toString('hex')).toLowerCase());
  const { exclude, held } = request;
  return {
    ...request,
    ...(exclude === undefined ? {} : { exclude: texts(exclude) }),
    ...(held === undefined ? {} : { held: texts(held) }),
  };
}

/** The request, when the ordinary way takes it. */
function ordinary(bytes: Uint8Array): SelectionRequest | undefined {
  try {
    const request = parseJsonBytes(bytes) as SelectionRequest;
    checkRequest(request, LIMITS);
    const wellFormed = [...(request.exclude ?? []), ...(request.held ?? [])].every(
      id => typeof id === 'string' && /^[0-9a-fA-F]{64}$/.test(id),
    );
    return wellFormed ? request : undefined;
  } catch {
    return undefined;
  }
}

const id = fc.oneof(
  fc.uint8Array({ minLength: 32, maxLength: 32 }).map(bytes => Buffer.from(bytes).toString('hex')),
  fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map(bytes => Buffer.from(bytes).toString('hex').toUpperCase()),
);
const ids = fc.array(id, { maxLength: 25 });
const request = fc.record(
  {
    count: fc.integer({ min: 1, max: 1_000 }),
    newFraction: fc.double({ min: 0, max: 1, noNaN: true }),
    placement: fc.string({ maxLength: 20 }),
    distinct: fc.constantFrom('network', 'none'),
    exclude: ids,
    held: ids,
  },
  { requiredKeys: [] },
);
const blank = fc.constantFrom(undefined, 1, '\t');

describe('the quick reading', () => {
  test('takes ordinary bodies, and what it takes means the same', () => {
    let taken = 0;
    const property = fc.property(request, blank, (value, space) => {
      const bytes = Buffer.from(JSON.stringify(value, undefined, space));
      const quick = read(bytes);
      const expected = ordinary(bytes);
      if (quick === undefined) return;
      taken++;
      expect(comparable(quick)).toEqual(comparable(expected!));
    });
    checkProperty(property, { runs: 500 });
    expect(taken).toBeGreaterThan(100);
  });

  test('takes nothing that the ordinary way refuses, however bytes are changed', () => {
    const edit = fc.record({
      at: fc.nat(),
      byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]",:0e-. '))),
    });
    const property = fc.property(request, fc.array(edit, { minLength: 1, maxLength: 3 }), (value, edits) => {
      const bytes = Buffer.from(JSON.stringify(value));
      for (const { at, byte } of edits) bytes[at % bytes.length] = byte;
      const quick = read(bytes);
      if (quick === undefined) return;
      const expected = ordinary(bytes);
      expect(expected).toBeDefined();
      expect(comparable(quick)).toEqual(comparable(expected!));
    });
    checkProperty(property, { runs: 3_000 });
  });

  test.each([
    ['a key twice', '{"count":1,"count":2}'],
    ['a key twice, once with an escape', '{"count":1,"c\\u006funt":2}'],
    ['a count of 0', '{"count":0}'],
    ['a count above the limit', '{"count":1001}'],
    ['a fraction above 1', '{"newFraction":1.5}'],
    ['a number with a leading zero', '{"count":01}'],
    ['a number with a plus', '{"count":+1}'],
    ['a number that ends in a point', '{"count":1.}'],
    ['hexadecimal', '{"count":0x10}'],
    ['text after the end', '{"count":1}1'],
    ['a comma before the end', '{"count":1,}'],
    ['no end', '{"count":1'],
    ['nothing', ''],
    ['no object', '[]'],
    ['an id that is too short', `{"exclude":["${'a'.repeat(63)}"]}`],
    ['an id that is too long', `{"exclude":["${'a'.repeat(65)}"]}`],
    ['an id with a letter that is no digit', `{"exclude":["${'g'.repeat(64)}"]}`],
    [
      'ids beyond the limit',
      `{"exclude":[${Array(41)
        .fill(`"${'a'.repeat(64)}"`)
        .join()}]}`,
    ],
    ['an unknown key', '{"foo":1}'],
    ['a text that is no ASCII', '{"placement":"é"}'],
    ['__proto__', '{"__proto__":1}'],
  ])('leaves %s to the ordinary way', (_, text) => {
    expect(read(Buffer.from(text))).toBeUndefined();
  });

  test('takes an empty object and empty lists', () => {
    expect(read(Buffer.from(' { } '))).toEqual({});
    expect(read(Buffer.from('{"exclude":[],"held":[ ]}'))).toEqual({ exclude: [], held: [] });
  });
});
