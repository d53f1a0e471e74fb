/** Files of identities: what a line may say, and refusals by line that quote nothing. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf, KEY_PATTERN, newKey, RIGHTS } from '../../../src/server/access/identity.ts';
import {
  IdentityFileError,
  parseAdministrators,
  parseIdentities,
} from '../../../src/server/access/identity-file.ts';
import { checkProperty } from '../../support/property.ts';

const KEY = newKey();
const DIGEST = digestOf(KEY);
const OTHER = digestOf('another-key-altogether');

function problem(text: string, by: 'keys' | 'certificates' = 'keys'): string {
  try {
    parseIdentities(text, by);
  } catch (error) {
    expect(error).toBeInstanceOf(IdentityFileError);
    return (error as Error).message;
  }
  return '';
}

test('a key has 256 random bits and is kept as its SHA-256', () => {
  expect(KEY).toMatch(/^sortition_[\w-]{43}$/);
  expect(KEY).toMatch(KEY_PATTERN);
  expect(newKey()).not.toBe(KEY);
  expect(digestOf('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

test('lines say who may ask for what', () => {
  const line = `  uploader ${DIGEST} count=110 rate=5000 may=select,status # night`;
  const text = `# who\r\n\n${line}\nall ${OTHER}\n`;
  expect(parseIdentities(text, 'keys')).toEqual([
    {
      name: 'uploader',
      digest: DIGEST,
      countMax: 110,
      ratePerSecond: 5_000,
      rights: ['select', 'status'],
      index: 0,
    },
    { name: 'all', digest: OTHER, countMax: undefined, ratePerSecond: undefined, rights: RIGHTS, index: 1 },
  ]);
  expect(parseIdentities('uploader count=3', 'certificates')).toMatchObject([
    { name: 'uploader', digest: undefined, countMax: 3 },
  ]);
  expect(parseAdministrators(`alice ${DIGEST} role=operate`)).toEqual([
    { name: 'alice', digest: DIGEST, role: 'operate' },
  ]);
});

describe('a wrong line is named, with what is wrong about it', () => {
  test.each<[string, string]>([
    ['', 'it names nobody'],
    ['# only a comment', 'it names nobody'],
    [`a ${DIGEST}\nb`, 'line 2: behind the name there is no SHA-256'],
    [`a ${DIGEST.toUpperCase()}`, 'line 1: behind the name there is no SHA-256'],
    [`a ${KEY}`, 'line 1: behind the name there is no SHA-256'],
    [KEY, 'line 1: it begins with no name'],
    [DIGEST, 'line 1: it begins with no name'],
    [`a ${DIGEST}\n\na ${OTHER}`, 'line 3: the name is that of line 1'],
    [`a ${DIGEST}\nb ${DIGEST}`, 'line 2: the key is that of line 1'],
    [`a ${DIGEST} count=0`, 'line 1: count= takes an integer from 1 to 100000'],
    [`a ${DIGEST} count=01`, 'line 1: count= takes'],
    [`a ${DIGEST} count=1e3`, 'line 1: count= takes'],
    [`a ${DIGEST} rate=1000001`, 'line 1: rate= takes an integer from 1 to 1000000'],
    [`a ${DIGEST} rate=5 rate=6`, 'line 1: rate= is there twice'],
    [`a ${DIGEST} may=`, 'line 1: may= takes names out of select, lookup, status'],
    [`a ${DIGEST} may=select,select`, 'line 1: may= takes'],
    [`a ${DIGEST} may=all`, 'line 1: may= takes'],
    [`a ${DIGEST} role=operate`, 'line 1: there is a word that is none of count=, rate=, may='],
    [`a ${DIGEST} count`, 'line 1: there is a word that is none of'],
    [`a ${DIGEST} __proto__=1`, 'line 1: there is a word that is none of'],
    [`a\nb ${DIGEST} count=0`, 'line 1: behind the name there is no SHA-256 in'],
  ])('%j', (text, expected) => {
    const message = problem(text);
    expect(message).toContain(expected);
    expect(message).not.toContain(KEY);
  });

  test('all of them at once', () => {
    expect(problem(`a\nb ${DIGEST} count=0\nc ${OTHER}`).match(/line \d/g)).toEqual(['line 1', 'line 2']);
  });

  test.each([
    '',
    `alice ${DIGEST}`,
    `alice ${DIGEST} role=root`,
    `alice ${DIGEST} count=3`,
    'alice role=read',
  ])('of administrators: %j', text => expect(() => parseAdministrators(text)).toThrow(IdentityFileError));

  test('but no more of them than anybody reads', () => {
    const message = problem('oops\n'.repeat(1_000));
    expect(message.match(/line \d+/g)).toHaveLength(20);
    expect(message).toMatch(/; and more$/);
  });

  test('more identities than there is room for are refused', () => {
    const lines = Array.from({ length: 4_097 }, (_, i) => `name-${i}`).join('\n');
    expect(problem(lines, 'certificates')).toBe('it names more than 4096');
  });
});

test('any text is read or refused by line, and a key in it is never quoted', () => {
  const word = fc.oneof(
    fc.constantFrom(KEY, DIGEST, OTHER, 'a', 'count=3', 'rate=9', 'may=select', '#', 'count=', '\u0000'),
    fc.string(),
  );
  const line = fc.array(word, { maxLength: 6 }).map(words => words.join(' '));
  checkProperty(
    fc.property(fc.array(line, { maxLength: 6 }), fc.constantFrom('keys', 'certificates'), (lines, by) => {
      const message = problem(lines.join('\n'), by as 'keys');
      expect(message).not.toContain(KEY);
      if (message !== '') expect(message).toMatch(/^(line \d+: |it names)/);
    }),
    { runs: 500 },
  );
});
