/**
 * Addresses against two other readers of them: ipaddr.js and node:net. Ids against the language's own
 * conversions.
 */
import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { ID_WORDS } from '../../native-layout/snapshot-row.ts';
import { formatAddress, isIpv4, parseAddress } from '../../src/engine/address/address.ts';
import { bytesOf, nodeIdText, parseNodeId } from '../../src/engine/snapshot/node-id.ts';
import { checkProperty } from '../support/property.ts';

/** The 16 bytes of `text`, or `undefined` when it is refused. */
function parsed(text: string): Uint8Array | undefined {
  const out = new Uint8Array(16).fill(0x5a);
  return parseAddress(text, out) ? out : undefined;
}

/** The same by ipaddr.js, for text that node:net calls an address without a zone. */
function expected(text: string): number[] {
  // ipaddr.js takes the deprecated ::1.2.3.4 for ::ffff:1.2.3.4; RFC 4291 does not.
  if (/^::\d+\./.test(text)) return [...Array(12).fill(0), ...expected(text.slice(2)).slice(12)];
  const address = ipaddr.parse(text);
  if (address instanceof ipaddr.IPv4) return [...Array(10).fill(0), 255, 255, ...address.toByteArray()];
  return address.toByteArray();
}

const isAddress = (text: string) => isIPv4(text) || (isIPv6(text) && !text.includes('%'));

/** IPv6 addresses with runs of zeros, as bytes. */
const wideBytes = fc
  .array(fc.oneof(fc.constant(0), fc.nat(0xffff), fc.nat(15)), { minLength: 8, maxLength: 8 })
  .map(groups => Uint8Array.from(groups.flatMap(group => [group >> 8, group & 255])));

/** Texts that are nearly addresses: parts of addresses in any order. */
const nearlyAddresses = fc
  .array(
    fc.constantFrom(
      '::',
      ':',
      '.',
      '0',
      '1',
      '00',
      '01',
      'ffff',
      'FFFF',
      '12345',
      'g',
      '255',
      '256',
      '1.2.3.4',
      '%0',
      ' ',
      '127',
      '-1',
      'x',
      '٣',
    ),
    {
      minLength: 1,
      maxLength: 15,
    },
  )
  .map(parts => parts.join(''));

describe('addresses', () => {
  test('are read as ipaddr.js reads them, in any spelling', () => {
    const texts = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      wideBytes.map(bytes => ipaddr.fromByteArray([...bytes]).toNormalizedString()),
      wideBytes.map(bytes =>
        (ipaddr.fromByteArray([...bytes]) as ipaddr.IPv6).toNormalizedString().toUpperCase(),
      ),
      fc.ipV4().map(text => `::ffff:${text}`),
      fc.ipV4().map(text => `64:ff9b::${text}`),
    );
    checkProperty(
      fc.property(texts, text => {
        expect([...(parsed(text) ?? [])], text).toEqual(expected(text));
      }),
      { runs: 3000 },
    );
  });

  test('are what node:net says they are, but for zones; all else is refused', () => {
    const texts = fc.oneof(
      { weight: 4, arbitrary: nearlyAddresses },
      fc.string(),
      fc.ipV6(),
      fc.ipV4Extended(),
    );
    checkProperty(
      fc.property(texts, text => {
        expect(parsed(text) !== undefined, JSON.stringify(text)).toBe(isAddress(text));
      }),
      { runs: 20_000 },
    );
  });

  test('are written in the one form of RFC 5952, and read back', () => {
    checkProperty(
      fc.property(wideBytes, bytes => {
        const text = formatAddress(bytes);
        if (!isIpv4(bytes)) {
          expect(text).toBe((ipaddr.fromByteArray([...bytes]) as ipaddr.IPv6).toRFC5952String());
        }
        expect([...parsed(text)!]).toEqual([...bytes]);
      }),
      { runs: 3000 },
    );
    checkProperty(
      fc.property(fc.ipV4(), text => {
        expect(formatAddress(parsed(text)!)).toBe(text);
      }),
    );
  });

  test.each([
    '127.1',
    '0x7f.0.0.1',
    '017.0.0.1',
    '1.2.3.04',
    '2130706433',
    '1.2.3.4 ',
    ' 1.2.3.4',
    '1.2.3.4\n',
    '1.2.3.4/32',
    '１.2.3.4',
    'fe80::1%eth0',
    '[::1]',
    '::1/128',
    '1::2::3',
    ':1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '::00001',
    '',
    '.',
    ':',
    ':::',
    'localhost',
  ])('%j is no address', text => {
    expect(parsed(text)).toBeUndefined();
  });

  test.each([
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::FFFF:0102:0304', '1.2.3.4'],
    ['0:0:0:0:0:ffff:1.2.3.4', '1.2.3.4'],
    ['2001:0DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ])('%s is written as %s', (text, canonical) => {
    expect(formatAddress(parsed(text)!)).toBe(canonical);
  });
});

describe('node ids', () => {
  const idBytes = fc.uint8Array({ minLength: 32, maxLength: 32 });

  function words(id: unknown): Uint32Array | undefined {
    const out = new Uint32Array(ID_WORDS + 2).fill(0x5a5a_5a5a);
    if (!parseNodeId(id, bytesOf(out), 4)) return undefined;
    expect([out[0], out[ID_WORDS + 1]]).toEqual([0x5a5a_5a5a, 0x5a5a_5a5a]);
    return out.slice(1, ID_WORDS + 1);
  }

  test('are the same as bytes, as digits in either case, and as text again', () => {
    checkProperty(
      fc.property(idBytes, bytes => {
        const text = Buffer.from(bytes).toString('hex');
        const expectedWords = [...new Uint32Array(bytes.slice().buffer)];
        for (const id of [bytes, Buffer.from(bytes), text, text.toUpperCase()]) {
          expect([...words(id)!]).toEqual(expectedWords);
        }
        expect(nodeIdText(words(text)!, 0)).toBe(text);
      }),
    );
  });

  test('with any other character in any place are refused', () => {
    const characters = fc.constantFrom(
      'g',
      'G',
      '`',
      '@',
      '/',
      ':',
      ' ',
      '\0',
      'İ',
      'ａ',
      '\u0130',
      '\u00e0',
      '\uff11',
      'x',
      '-',
    );
    checkProperty(
      fc.property(idBytes, fc.nat(63), characters, (bytes, at, character) => {
        const text = Buffer.from(bytes).toString('hex');
        expect(words(text.slice(0, at) + character + text.slice(at + 1))).toBeUndefined();
      }),
      { runs: 1000 },
    );
  });

  test.each<[string, unknown]>([
    ['63 digits', 'a'.repeat(63)],
    ['65 digits', 'a'.repeat(65)],
    ['no text', ''],
    ['31 bytes', new Uint8Array(31)],
    ['33 bytes', new Uint8Array(33)],
    ['32 words', new Uint16Array(32)],
    ['a list of numbers', Array(32).fill(1)],
    ['a number', 7],
    ['null', null],
    ['undefined', undefined],
    ['an object', { length: 64 }],
    ['a text object', Object('a'.repeat(64))],
  ])('are not %s', (_, id) => {
    expect(words(id)).toBeUndefined();
  });
});
