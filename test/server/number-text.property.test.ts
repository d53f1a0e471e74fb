/** Numbers in URLs, the environment and flags: all that programs write, nothing else. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/server/config.ts';
import { queryStringParser } from '../../src/server/http/query-string.ts';
import { numberOfText } from '../../src/server/number-text.ts';
import { checkProperty } from '../support/property.ts';
import { expectProblem } from './support/expect-problem.ts';
import { startTestServer, type TestServer } from './support/server.ts';

const parse = queryStringParser({ integers: [], numbers: ['newFraction'], booleans: [] });

/** Random bits as often as random values: small numbers and the neighbours of 0 and 1 among them. */
const FRACTION = fc.double({ min: 0, max: 1, noNaN: true });

const NO_NUMBERS = [
  ...['', ' ', ' 1', '1 ', '+1', '.5', '5.', '01', '00.5', '--1', '1,5', '0x1', '0b1', '1_0', '1e', 'e1'],
  ...['1e2', '1E-7', '1e-07', '10e-8', '1.0e-7', '1e-400', '1e400', 'NaN', 'Infinity', '-Infinity'],
  ...['null', 'true', '[]', '[0.5]', '{}', '٣', `0.${'3'.repeat(400)}`, '9'.repeat(400), '0.5\u0000'],
];

describe('a text', () => {
  test('that a program writes for a fraction is that fraction, to the last bit', () => {
    checkProperty(
      fc.property(FRACTION, value => {
        expect(numberOfText(String(value))).toBe(value === 0 ? 0 : value);
        expect(numberOfText(JSON.stringify(value))).toBe(value === 0 ? 0 : value);
        expect(parse(`newFraction=${value}`)).toEqual({ newFraction: value === 0 ? 0 : value });
      }),
      { runs: 5_000 },
    );
  });

  test('of a plain decimal is read, trailing zeros included', () => {
    checkProperty(
      fc.property(FRACTION, fc.integer({ min: 1, max: 20 }), (value, digits) => {
        expect(numberOfText(value.toFixed(digits))).toBe(Number(value.toFixed(digits)));
      }),
    );
  });

  test.each(NO_NUMBERS)('%j is no number', text => {
    expect(numberOfText(text)).toBeUndefined();
  });

  test('of any other kind is no number', () => {
    const ours = /^-?\d+(\.\d+)?(e[+-]\d+)?$/;
    checkProperty(
      fc.property(
        fc.string().filter(text => !ours.test(text)),
        text => {
          expect(numberOfText(text)).toBeUndefined();
        },
      ),
      { runs: 2_000 },
    );
  });
});

describe('newFraction in the URL', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.close());

  test.each(['0.045454545454545456', '1e-7', '5e-324', '0.0000012345678901234567', '1', '0', '0.50'])(
    '%s is taken',
    async text => {
      expect((await server.call(`/v1/selection?count=10&newFraction=${text}`)).status).toBe(200);
    },
  );

  test.each(['1e0', '1e-07', '.5', '1.0000000000000002', '-1e-7', '5e-1', 'NaN', ''])(
    '%j is refused by name',
    async text => {
      const answer = await server.call(`/v1/selection?count=10&newFraction=${text}`);
      expectProblem(answer, 400, { code: 'REQUEST_INVALID', field: 'newFraction' });
    },
  );
});

test('the configuration reads numbers in the same way', () => {
  const config = (text: string) =>
    loadConfig({
      environment: { SORTITION_REFRESH_JITTER_RATIO: text },
      flags: new Map([['source.location', 'nodes.csv']]),
    }).values['refresh.jitterRatio'];
  expect(config('0.045454545454545456')).toBe(0.045454545454545456);
  expect(config('1e-7')).toBe(1e-7);
  expect(() => config('.5')).toThrow('SORTITION_REFRESH_JITTER_RATIO');
});
