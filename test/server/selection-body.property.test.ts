/**
 * The quick reading of bodies gives what parsing and checking give, or nothing: whatever it takes means the
 * same, and whatever is wrong it leaves alone.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IdDigits } from '../../src/engine/selection/id-digits.ts';
import { checkRequest } from '../../src/engine/selection/selection-request.ts';
import type { NodeIds, SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import { parseNodeId } from '../../src/engine/snapshot/node-id.ts';
import { KNOWN_BYTES_MAX, KNOWN_MAX, SelectionBodyReader } from '../../src/server/http/selection-body.ts';
import { parseJsonBytes } from '../../src/server/strict-json.ts';
import { checkProperty } from '../support/property.ts';

const LIMITS = { countMax: 1_000, idsMax: 40, lookupIdsMax: 1, batchRequestsMax: 1, batchPicksMax: 1 };

/** One for all: what it remembers of a body may not change what it makes of another. */
const reader = new SelectionBodyReader(LIMITS);

/** As the server uses it: ids are refused where they are looked up, and the body is then read anew. */
function read(bytes: Buffer): SelectionRequest | undefined {
  const request = reader.read(bytes);
  const ids = [...textsOf(request?.exclude), ...textsOf(request?.held)];
  return ids.every(each => parseNodeId(each, Buffer.alloc(32), 0)) ? request : undefined;
}

/** The ids as texts, wherever they stand. */
function textsOf(ids: NodeIds = []): string[] {
  return Array.from({ length: ids.length }, (_, i) =>
    ids instanceof IdDigits ? ids.text(i) : String(ids[i]),
  );
}

/** With ids as texts, as both ways can be compared. */
function comparable(request: SelectionRequest): object {
  const { exclude, held } = request;
  return {
    ...request,
    ...(exclude === undefined ? {} : { exclude: textsOf(exclude) }),
    ...(held === undefined ? {} : { held: textsOf(held) }),
  };
}

/** The request, when the ordinary way takes it. */
function ordinary(bytes: Uint8Array): SelectionRequest | undefined {
  try {
    const request = parseJsonBytes(bytes) as SelectionRequest;
    checkRequest(request, LIMITS);
    const ids = [request.exclude ?? [], request.held ?? []].flat() as unknown[];
    const wellFormed = ids.every(each => typeof each === 'string' && /^[0-9a-fA-F]{64}$/.test(each));
    return wellFormed ? request : undefined;
  } catch {
    return undefined;
  }
}

/** What the quick way makes of `bytes`: the same as the ordinary way, or nothing. */
function expectSame(bytes: Buffer): SelectionRequest | undefined {
  const quick = read(bytes);
  if (quick === undefined) return undefined;
  const expected = ordinary(bytes);
  expect(expected, bytes.toString()).toBeDefined();
  expect(comparable(quick)).toEqual(comparable(expected!));
  return quick;
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

/** JSON as libraries write it: compact, with a blank behind commas and colons, or on lines of its own. */
const SPELLINGS: readonly ((value: object) => string)[] = [
  value => JSON.stringify(value),
  value =>
    JSON.stringify(value, undefined, 1)
      .replace(/\n */g, ' ')
      .replace(/([[{]) | ([\]}])/g, '$1$2'),
  value => JSON.stringify(value, undefined, '\t'),
];
const spelling = fc.constantFrom(...SPELLINGS);

describe('the quick reading', () => {
  test('takes ordinary bodies, and what it takes means the same', () => {
    let taken = 0;
    const property = fc.property(request, spelling, (value, spell) => {
      if (expectSame(Buffer.from(spell(value))) !== undefined) taken++;
    });
    checkProperty(property, { runs: 500 });
    expect(taken).toBeGreaterThan(100);
  });

  test('takes nothing that the ordinary way refuses, however bytes are changed', () => {
    const edit = fc.record({
      at: fc.nat(),
      byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]",:0e-. '))),
    });
    const edits = fc.array(edit, { minLength: 1, maxLength: 3 });
    const property = fc.property(request, spelling, edits, (value, spell, changes) => {
      const bytes = Buffer.from(spell(value));
      for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
      expectSame(bytes);
    });
    checkProperty(property, { runs: 3_000 });
  });

  test.each([0, 1])(
    'takes nothing that the ordinary way refuses, whichever byte is another: spelling %i',
    way => {
      const ids = (length: number) => Array.from({ length }, (_, i) => i.toString(16).padStart(64, 'c4'));
      const good = SPELLINGS[way]!({ exclude: ids(3), count: 3, held: ids(1) });
      for (let at = 0; at < good.length; at++) {
        for (const byte of '{}[]",: \\0aAgxé') {
          expectSame(Buffer.from(good.slice(0, at) + byte + good.slice(at + 1), 'latin1'));
        }
      }
    },
  );

  test('takes nothing that the ordinary way refuses, whatever pieces a body is made of', () => {
    const text = (digits: number) => `"${'a1'.repeat(digits / 2)}"`;
    const list = fc.constantFrom(
      `[${text(64)}]`,
      `[${text(64)},${text(64)}]`,
      `[${text(64)}, ${text(64)}]`,
      `[${text(64)},${text(62)}]`,
      `[[${text(64)}]]`,
      '[]',
      '[1]',
      '1',
      text(64),
    );
    const listName = fc.constantFrom('"exclude":', '"held":', '"held" : ', '"ids":', '"exclude"', '"[":', '');
    const field = fc.tuple(listName, list).map(parts => parts.join(''));
    const other = fc.constantFrom(
      '"count":1',
      '"placement":"["',
      '"order":"random"',
      '{',
      '}',
      '[',
      ']',
      '"',
    );
    const piece = fc.oneof({ weight: 3, arbitrary: field }, other);
    const between = fc.oneof({ weight: 5, arbitrary: fc.constant(',') }, fc.constantFrom('', ' ', ':', ',,'));
    const pieces = fc.array(fc.tuple(piece, between), { minLength: 1, maxLength: 4 });
    let taken = 0;
    const property = fc.property(pieces, parts => {
      const inside = parts.map(([first, second], i) => (i === parts.length - 1 ? first : first + second));
      const quick = expectSame(Buffer.from(`{${inside.join('')}}`));
      if (quick?.exclude instanceof IdDigits || quick?.held instanceof IdDigits) taken++;
    });
    checkProperty(property, { runs: 20_000 });
    expect(taken).toBeGreaterThan(500);
  });

  test.each([
    ['as JavaScript writes it', 0, true],
    ['with a blank behind commas', 1, true],
    ['with a list on lines of its own', 2, false],
  ])('takes ids from where they stand in a body %s: %#', (_, index, inPlace) => {
    const exclude = Array.from({ length: 30 }, (_each, i) => i.toString(16).padStart(64, 'Ab'));
    const value = { count: 7, exclude, held: exclude.slice(0, 1), order: 'random' };
    const quick = read(Buffer.from(SPELLINGS[index]!(value)))!;
    expect(comparable(quick)).toEqual(value);
    expect([quick.exclude, quick.held].map(each => each instanceof IdDigits)).toEqual([inPlace, inPlace]);
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
    ['a list that is no list before one', `{"exclude":5,"held":["${'a'.repeat(64)}"]}`],
    ['a list in a text', `{"placement":"["${'a'.repeat(64)}"]"}`],
    ['a list in a name', `{"["${'a'.repeat(64)}"]":1}`],
    ['a list in a list', `{"exclude":[["${'a'.repeat(64)}"]]}`],
    ['a list in an unknown field', `{"ids":["${'a'.repeat(64)}"]}`],
    ['a list in an object', `{"exclude":{"held":["${'a'.repeat(64)}"]}}`],
    ['a list twice', `{"held":["${'a'.repeat(64)}"],"held":["${'b'.repeat(64)}"]}`],
    ['a list and no more', `["${'a'.repeat(64)}"]`],
    ['a list with a comma behind it', `{"exclude":["${'a'.repeat(64)}",]}`],
    ['a list without commas', `{"exclude":["${'a'.repeat(64)}""${'a'.repeat(64)}"]}`],
    ['a list without an end', `{"exclude":["${'a'.repeat(64)}"`],
    ['an id of 62 digits and a blank', `{"exclude":["${'a'.repeat(62)}" ,"${'a'.repeat(64)}"]}`],
    ['an id with an escape', `{"exclude":["${'a'.repeat(58)}\\u0061"]}`],
    ['an id with colons', `{"exclude":["${'a'.repeat(62)}::"]}`],
    ['an unknown key', '{"foo":1}'],
    ['a text that is no ASCII', '{"placement":"é"}'],
    ['__proto__', '{"__proto__":1}'],
  ])('leaves %s to the ordinary way', (_, text) => {
    expect(read(Buffer.from(text))).toBeUndefined();
  });

  test('gives each body its own lists, whatever it remembers of the text around them', () => {
    const bodies = Array.from({ length: 3 * KNOWN_MAX }, (_, i) => ({
      count: 1 + (i % 2),
      held: [String(i % 10).repeat(64)],
      exclude: Array<string>(1 + (i % 40)).fill(String(i % 7).repeat(64)),
    }));
    const read = bodies.map(body => reader.read(Buffer.from(JSON.stringify(body)))!);
    expect(read.map(comparable)).toEqual(bodies);
  });

  test('remembers few texts, and none that is long', () => {
    const fresh = new SelectionBodyReader(LIMITS);
    const text = (count: number, blanks: number) => Buffer.from(`{"count":${count}${' '.repeat(blanks)}}`);
    for (let count = 1; count <= 1_000; count++) {
      expect(fresh.read(text(count, KNOWN_BYTES_MAX))).toEqual({ count });
      expect(fresh.knownCount).toBe(Math.min(count - 1, KNOWN_MAX));
      for (const _ of [1, 2]) expect(fresh.read(text(count, 400))).toEqual({ count });
    }
    expect(fresh.knownCount).toBe(KNOWN_MAX);
  });

  test('takes an empty object and empty lists', () => {
    expect(read(Buffer.from(' { } '))).toEqual({});
    expect(read(Buffer.from('{"exclude":[],"held":[ ]}'))).toEqual({ exclude: [], held: [] });
  });
});
