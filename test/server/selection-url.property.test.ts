/**
 * The quick reading of URLs gives what the framework's parser and schema give, or nothing: whatever it takes
 * means the same, and whatever is wrong it leaves alone.
 */
import fc from 'fast-check';
import { Value } from 'typebox/value';
import { expect, test } from 'vitest';
import type { SelectionRequest } from '../../src/engine/selection/selection-types.ts';
import { queryStringParser } from '../../src/server/http/query-string.ts';
import { readSelectionUrl, SELECTION_QUERY } from '../../src/server/http/selection-url.ts';
import { selectionQuerySchema } from '../../src/server/routes/schemas.ts';
import { checkProperty } from '../support/property.ts';

const PATH = '/v1/selection';
const LIMITS = { countMax: 1_000, idsMax: 40, lookupIdsMax: 1, batchRequestsMax: 1, batchPicksMax: 1 };
const RULES = { path: PATH, charactersMax: 2_000, limits: LIMITS };

const parse = queryStringParser(SELECTION_QUERY);
const SCHEMA = selectionQuerySchema(LIMITS);

/** The request, when the framework takes it. */
function ordinary(url: string): SelectionRequest | undefined {
  const [path, ...queries] = url.split('?');
  if (path !== PATH) return undefined;
  const query = parse(queries.join('?'));
  return Value.Check(SCHEMA, query) ? query : undefined;
}

/** What the quick way makes of `url`: the same as the framework, or nothing. */
function expectSame(url: string): SelectionRequest | undefined {
  const quick = readSelectionUrl(url, RULES);
  if (quick !== undefined) expect(quick, url).toEqual(ordinary(url));
  return quick;
}

const fields = fc.record(
  {
    count: fc.integer({ min: -1, max: 1_100 }),
    newFraction: fc.oneof(fc.double({ min: -0.1, max: 1.1, noNaN: true }), fc.integer({ min: 0, max: 2 })),
    placement: fc.string({ maxLength: 20 }).map(encodeURIComponent),
    distinct: fc.constantFrom('network', 'none', 'country'),
    partial: fc.boolean(),
    fillWithNew: fc.boolean(),
    order: fc.constantFrom('random', 'vetted-first', 'sorted'),
  },
  { requiredKeys: [] },
);
const urlOf = (values: object) =>
  `${PATH}?${Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join('&')}`;

test('takes what clients write, and what it takes means the same', () => {
  let taken = 0;
  const property = fc.property(fields, values => {
    if (expectSame(urlOf(values)) !== undefined) taken++;
  });
  checkProperty(property, { runs: 2_000 });
  expect(taken).toBeGreaterThan(200);
});

test('takes nothing that the framework refuses or reads otherwise, however signs are changed', () => {
  const sign = fc.oneof(
    fc.constantFrom(...'&=?#%+;,.-_eE0123456789 \u0000', 'count', 'count=', '&count=1', '%31', 'ä'),
    fc.string({ maxLength: 2 }),
  );
  const edit = fc.record({ at: fc.nat(), length: fc.nat(3), sign });
  const property = fc.property(fields, fc.array(edit, { minLength: 1, maxLength: 3 }), (values, edits) => {
    let url = urlOf(values);
    for (const { at, length, sign } of edits) {
      const from = at % (url.length + 1);
      url = url.slice(0, from) + sign + url.slice(from + length);
    }
    expectSame(url);
  });
  checkProperty(property, { runs: 20_000 });
});

test.each([
  ['', {}],
  ['?count=3', { count: 3 }],
  ['?newFraction=0.0455&count=110', { newFraction: 0.0455, count: 110 }],
  ['?placement=eu.west-1&distinct=none', { placement: 'eu.west-1', distinct: 'none' }],
  [
    '?partial=true&fillWithNew=false&order=vetted-first',
    { partial: true, fillWithNew: false, order: 'vetted-first' },
  ],
])('takes %o', (query, request) => {
  expect(expectSame(PATH + query)).toEqual(request);
});

test.each([
  '?',
  's',
  '/',
  '?count=3&',
  '?&count=3',
  '?count=3&count=3',
  '?count',
  '?count&partial=true',
  '?count=',
  '?count=03',
  '?count=3.0',
  '?count=1e2',
  '?count=0',
  '?count=1001',
  '?newFraction=.5',
  '?newFraction=1.5',
  '?partial=1',
  '?partial=TRUE',
  '?placement=a%20b',
  '?placement=a+b',
  '?placement=',
  '?exclude=00',
  '?__proto__=1',
  '?toString=1',
  `?placement=${'a'.repeat(65)}`,
  '?count=3#',
])('leaves %o to the framework', query => {
  expect(readSelectionUrl(PATH + query, RULES)).toBeUndefined();
});

test('leaves a URL that is longer than the server takes to the framework', () => {
  expect(readSelectionUrl(`${PATH}?count=3`, { ...RULES, charactersMax: PATH.length + 7 })).toBeUndefined();
});
