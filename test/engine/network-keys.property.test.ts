/** Keys of networks against a plain reading of their description; and that no two networks share one. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, test } from 'vitest';
import { NetworkKeys, writePrefixKey } from '../../src/engine/address/network-keys.ts';
import { sha256 } from '../../src/engine/address/sha256.ts';
import { plainNameKey } from '../support/plain-content.ts';
import { checkProperty } from '../support/property.ts';

const BITS = { ipv4: 24, ipv6: 64 };

function keyOf(find: (keys: NetworkKeys) => void, keys = new NetworkKeys(BITS, 7)): number[] {
  const words = new Uint32Array(4);
  find(keys);
  keys.writeKey(keys.key, keys.named, words, 0);
  return [...new Uint8Array(words.buffer)];
}

function keyOfName(name: string, keys?: NetworkKeys): number[] {
  const bytes = Buffer.from(`<${name}${'>'.repeat(20)}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return keyOf(all => all.ofName(bytes, view, 1, 1 + Buffer.byteLength(name)), keys);
}

const mapped = (bytes: readonly number[]) => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...bytes];
const hashed = (kind: number, bytes: Uint8Array) => [
  255,
  ...createHash('sha256').update(Buffer.of(kind)).update(bytes).digest().subarray(0, 15),
];

test('SHA-256 is that of the language, for every length around its blocks', () => {
  checkProperty(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      const hash = Buffer.alloc(32);
      for (const [i, word] of sha256(bytes).entries()) hash.writeInt32BE(word, 4 * i);
      expect(hash.toString('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
    }),
    { runs: 500 },
  );
  for (let length = 0; length < 200; length++) {
    const first = sha256(new Uint8Array(length).fill(length))[0]! >>> 0;
    const digest = createHash('sha256').update(new Uint8Array(length).fill(length)).digest();
    expect(first).toBe(digest.readUInt32BE());
  }
});

describe('the key of', () => {
  test('an IPv4 network is its first address, mapped, however it is found', () => {
    expect(keyOfName('203.0.113.0')).toEqual(mapped([203, 0, 113, 0]));
    expect(keyOfName('203.0.113.77/24')).toEqual(mapped([203, 0, 113, 0]));
    expect(keyOfName('::ffff:203.0.113.0')).toEqual(mapped([203, 0, 113, 0]));
    expect(keyOf(keys => keys.ofBytes(Buffer.of(203, 0, 113, 0), 0, 4))).toEqual(mapped([203, 0, 113, 0]));
    const word = new Int32Array(Uint8Array.of(203, 0, 113, 77).buffer)[0]!;
    expect(keyOf(keys => keys.ofIpv4(word))).toEqual(mapped([203, 0, 113, 0]));
  });

  test('an IPv6 network is its first address', () => {
    const first = ipaddr.parse('2a02:c207:0:1::').toByteArray();
    expect(keyOfName('2a02:c207:0:1::')).toEqual(first);
    expect(keyOfName('2a02:c207:0:1::99/64')).toEqual(first);
    expect(keyOf(keys => keys.ofIpv6(Buffer.from(ipaddr.parse('2a02:c207:0:1::99').toByteArray())))).toEqual(
      first,
    );
  });

  test.each(['fe80::1', 'ff02::1', 'fe00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'])(
    'an IPv6 network that a name could be taken for is a hash: %s',
    address => {
      expect(keyOfName(address)).toEqual(hashed(0, Buffer.from(ipaddr.parse(address).toByteArray())));
    },
  );

  test.each([
    'AS64496',
    'x',
    'fifteen letters',
    'sixteen  letters',
    'a\0b',
    '203.0.113.0/99',
    'Ünïcödé ✓ und mehr',
  ])('a name is the name, or its hash: %j', name => {
    expect(keyOfName(name)).toEqual(plainNameKey(name));
  });
});

const names = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).map(text => text.toWellFormed()),
  fc.string({ minLength: 14, maxLength: 17 }),
  fc.ipV6(),
  fc.ipV4(),
  fc.constantFrom('\xfe', 'þa', 'rack 7', 'rack 7\0', 'rack 7\0\0'),
);

test('two names have one key where they are one network, whatever load, order and seed', () => {
  checkProperty(
    fc.property(fc.array(names, { maxLength: 20 }), fc.nat(), (list, seed) => {
      const forth = new NetworkKeys(BITS, seed);
      const back = new NetworkKeys(BITS, seed + 1);
      const keys = list.map(name => keyOfName(name, forth).join());
      const reversed = list.toReversed().map(name => keyOfName(name, back).join());
      expect(reversed.toReversed()).toEqual(keys);
      const networkOf = (name: string) =>
        ipaddr.isValid(name) && !/^::\d+\.|^0\d|\.0\d|^\d+$/.test(name)
          ? keyOfName(name).join()
          : `name ${name}`;
      for (const [i, name] of list.entries()) {
        for (const [j, other] of list.entries()) {
          expect(keys[i] === keys[j], `${name} and ${other}`).toBe(networkOf(name) === networkOf(other));
        }
      }
    }),
    { runs: 300 },
  );
});

test('a key leads to the network that it is of, and to no other', () => {
  checkProperty(
    fc.property(fc.array(names, { minLength: 1, maxLength: 20 }), list => {
      const keys = new NetworkKeys(BITS, 3);
      for (const name of list) {
        const key = keyOfName(name, keys);
        const { key: found, named } = keys;
        expect(keyOf(all => expect(all.ofKey(Buffer.from([9, ...key]), 1, 17)).toBe(true), keys)).toEqual(
          key,
        );
        expect([keys.key, keys.named]).toEqual([found, named]);
      }
      expect(keys.ofKey(new Uint8Array(17), 0, 17)).toBe(false);
      expect(keys.ofKey(new Uint8Array(17), 0, 15)).toBe(false);
    }),
    { runs: 200 },
  );
});

test('codes are forgotten, and keys are the same then', () => {
  const keys = new NetworkKeys(BITS, 3);
  const before = ['rack 7', 'a name that is too long for a key', '2a02::'].map(name => keyOfName(name, keys));
  keys.clear();
  const after = ['2a02::', 'a name that is too long for a key', 'rack 7'].map(name => keyOfName(name, keys));
  expect(after.toReversed()).toEqual(before);
});

test('the leading bits of an address are its network, whatever their number', () => {
  checkProperty(
    fc.property(fc.ipV6(), fc.integer({ min: 0, max: 128 }), (text, bits) => {
      const address = ipaddr.parse(text).toByteArray();
      const plain = address.map(
        (byte, i) => byte & (0xff << Math.max(0, Math.min(8, 8 * (i + 1) - bits))) & 0xff,
      );
      const key = new Uint8Array(16);
      writePrefixKey(key, Uint8Array.from(address), bits);
      expect([...key]).toEqual(plain[0]! >= 0xfe ? hashed(0, Uint8Array.from(plain)) : plain);
    }),
    { runs: 500 },
  );
});
