/**
 * Body parsers against the plain ones: the same values where there is no duplicate, and a refusal where there
 * is one.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseMessagePack } from '../../src/server/http/messagepack-reader.ts';
import { queryStringParser } from '../../src/server/http/query-string.ts';
import { BodyError, JSON_DEPTH_MAX, parseJson } from '../../src/server/strict-json.ts';
import { packr } from './support/messagepack.ts';

const settings = { seed: Number(process.env.SEED ?? 7), numRuns: 500 };

/** JSON text with blanks and escapes in it, of any value. */
const jsonText = fc
  .tuple(fc.json({ stringUnit: 'binary', maxDepth: 4 }), fc.constantFrom(undefined, 1, '\t', '\r\n '))
  .map(([text, space]) => JSON.stringify(JSON.parse(text), undefined, space));

describe('JSON', () => {
  test('says what JSON.parse says, when no key is there twice', () => {
    fc.assert(
      fc.property(jsonText, text => {
        expect(parseJson(text)).toEqual(JSON.parse(text));
      }),
      settings,
    );
  });

  test('refuses a key that is there twice, at any depth and in any spelling', () => {
    const spelled = fc.constantFrom('"a"', '"\\u0061"', '"\\u0061" ');
    const key = fc.string({ unit: 'binary', minLength: 1 }).filter(name => name !== 'a');
    fc.assert(
      fc.property(spelled, spelled, key, jsonText, (first, second, outer, value) => {
        const text = `[1,{"x":[{${JSON.stringify(outer)}:{${first}:${value},"b":0,${second}:${value}}}]}]`;
        expect(() => parseJson(text)).toThrow(BodyError);
        expect(() => parseJson(text)).toThrow(/a is there twice/);
      }),
      settings,
    );
  });

  test('takes keys and values that only look like duplicates', () => {
    const text = '{"a":"a","b":["a","a",{"a":1},{"a":2}],"a\\"":1,"\\\\":"\\"a\\":","c":{"a":{"a":{}}}}';
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });

  test(`refuses nesting deeper than ${JSON_DEPTH_MAX}`, () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    expect(() => parseJson(nested(JSON_DEPTH_MAX))).not.toThrow();
    expect(() => parseJson(nested(JSON_DEPTH_MAX + 1))).toThrow(/nested deeper/);
  });
});

describe('MessagePack', () => {
  test('reads what another writer has written', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noNullPrototype: true, maxDepth: 4 } as fc.JsonSharedConstraints), value => {
        // JSON has no negative zero either.
        const plain: unknown = JSON.parse(JSON.stringify(value));
        expect(parseMessagePack(packr.pack(plain))).toEqual(plain);
      }),
      settings,
    );
  });

  test('never throws anything but BodyError, and never for long', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        try {
          parseMessagePack(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(BodyError);
        }
      }),
      { ...settings, numRuns: 5_000 },
    );
  });

  test.each<[string, number[], RegExp]>([
    ['a declared length beyond the bytes', [0xdd, 0xff, 0xff, 0xff, 0xff], /ends too early/],
    ['a map of too many entries', [0xdf, 0x7f, 0xff, 0xff, 0xff, 0xa1, 0x61], /ends too early/],
    ['a text beyond the bytes', [0xdb, 0xff, 0xff, 0xff, 0xff], /ends too early/],
    ['an extension', [0xd4, 0x72, 0x40], /extension/],
    ['the unused type', [0xc1], /unused/],
    ['a key twice', [0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2], /a is there twice/],
    ['a key that is a number', [0x81, 1, 1], /key that is no text/],
    ['bytes behind the value', [0xc0, 0xc0], /goes on/],
    ['nothing', [], /empty/],
    ['a binary of another length than an id', [0xc4, 2, 1, 1], /binary of 2 bytes/],
    ['deep nesting', Array.from({ length: 200 }, () => 0x91), /nested deeper/],
    ['text that is not UTF-8', [0xa1, 0xff], /UTF-8/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => parseMessagePack(Uint8Array.from(bytes))).toThrow(message);
  });

  test('keeps a prototype key as a key of its own, for the schema to refuse', () => {
    const value = parseMessagePack(
      Uint8Array.from([0x81, 0xa9, ...Buffer.from('__proto__'), 0x80]),
    ) as object;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  });
});

describe('query strings', () => {
  const parse = queryStringParser({ integers: ['count'], numbers: ['newFraction'], booleans: ['partial'] });

  test('reads only canonical numbers and booleans, and only of their own keys', () => {
    expect(parse('count=110&newFraction=0.05&partial=true&placement=1')).toEqual({
      count: 110,
      newFraction: 0.05,
      partial: true,
      placement: '1',
    });
    expect(parse('count=0110&newFraction=.5&partial=TRUE')).toEqual({
      count: '0110',
      newFraction: '.5',
      partial: 'TRUE',
    });
  });

  test('keeps every value of a key that is given more than once', () => {
    expect(parse('a=1&a=2&a=3')).toEqual({ a: ['1', '2', '3'] });
  });

  test('says what URLSearchParams says of well-formed text', () => {
    const entry = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.string({ unit: 'grapheme' }));
    fc.assert(
      fc.property(fc.uniqueArray(entry, { selector: ([key]) => key }), entries => {
        const text = new URLSearchParams(entries).toString();
        expect(parse(text)).toEqual(Object.fromEntries(new URLSearchParams(text)));
      }),
      settings,
    );
  });

  test('forgets and remembers without a difference', () => {
    for (let i = 0; i < 1_000; i++) expect(parse(`count=${i % 300}`)).toEqual({ count: i % 300 });
  });
});
