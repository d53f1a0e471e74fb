/** Special-use ranges, one by one: first and last address, and the neighbours on both sides. */
import { describe, expect, test } from 'vitest';
import { formatAddress, parseAddress } from '../../src/engine/address/address.ts';
import { RANGE_NAMES, specialUseTest } from '../../src/engine/address/special-use.ts';

const NOTHING_ALLOWED = specialUseTest([]);

/** Name, first, last, what the address before it is in, and what the one after it is in. */
const RANGES: [
  name: string,
  first: string,
  last: string,
  before: string | undefined,
  after: string | undefined,
][] = [
  ['this-network', '0.0.0.0', '0.255.255.255', undefined, undefined],
  ['private-10', '10.0.0.0', '10.255.255.255', undefined, undefined],
  ['shared-carrier', '100.64.0.0', '100.127.255.255', undefined, undefined],
  ['loopback', '127.0.0.0', '127.255.255.255', undefined, undefined],
  ['link-local', '169.254.0.0', '169.254.255.255', undefined, undefined],
  ['private-172', '172.16.0.0', '172.31.255.255', undefined, undefined],
  ['protocol-assignments', '192.0.0.0', '192.0.0.255', undefined, undefined],
  ['documentation', '192.0.2.0', '192.0.2.255', undefined, undefined],
  ['relay-6to4', '192.88.99.0', '192.88.99.255', undefined, undefined],
  ['private-192', '192.168.0.0', '192.168.255.255', undefined, undefined],
  ['benchmark', '198.18.0.0', '198.19.255.255', undefined, undefined],
  ['documentation', '198.51.100.0', '198.51.100.255', undefined, undefined],
  ['documentation', '203.0.113.0', '203.0.113.255', undefined, undefined],
  ['multicast', '224.0.0.0', '239.255.255.255', undefined, 'reserved'],
  ['reserved', '240.0.0.0', '255.255.255.255', 'multicast', undefined],
  ['unspecified', '::', '::', 'multicast', 'loopback'],
  ['loopback', '::1', '::1', 'unspecified', 'ipv4-compatible'],
  ['ipv4-compatible', '::2', '::255.255.255.255', 'loopback', 'unassigned-ipv6'],
  ['translation-nat64', '64:ff9b::', '64:ff9b::ffff:ffff', 'unassigned-ipv6', 'unassigned-ipv6'],
  [
    'translation-local',
    '64:ff9b:1::',
    '64:ff9b:1:ffff:ffff:ffff:ffff:ffff',
    'unassigned-ipv6',
    'unassigned-ipv6',
  ],
  ['discard', '100::', '100::ffff:ffff:ffff:ffff', 'unassigned-ipv6', 'dummy'],
  ['dummy', '100:0:0:1::', '100::1:ffff:ffff:ffff:ffff', 'discard', 'unassigned-ipv6'],
  ['protocol-assignments', '2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', undefined, undefined],
  ['documentation', '2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', undefined, undefined],
  ['relay-6to4', '2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff', undefined, undefined],
  ['documentation', '3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', undefined, undefined],
  [
    'segment-routing',
    '5f00::',
    '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    'unassigned-ipv6',
    'unassigned-ipv6',
  ],
  ['unique-local', 'fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'unassigned-ipv6', 'unassigned-ipv6'],
  ['link-local', 'fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'unassigned-ipv6', 'site-local'],
  ['site-local', 'fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'link-local', 'multicast'],
  ['multicast', 'ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'site-local', 'unspecified'],
  ['unassigned-ipv6', '4000::', '5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', undefined, 'segment-routing'],
];

function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (!parseAddress(text, bytes)) throw new Error(`no address: ${text}`);
  return bytes;
}

/** The address `by` further on, inside its own version of the protocol, around its ends. */
function neighbour(address: Uint8Array, by: 1 | -1): Uint8Array {
  const next = address.slice();
  const isIpv4 = address.subarray(0, 12).every((byte, i) => byte === (i < 10 ? 0 : 255));
  for (let i = 15; i >= (isIpv4 ? 12 : 0); i--) {
    next[i]! += by;
    if (next[i] !== (by === 1 ? 0 : 255)) break;
  }
  return next;
}

describe.each(RANGES)('%s, %s to %s', (name, first, last, before, after) => {
  test('holds its first and its last address, and not their neighbours', () => {
    const found = [
      neighbour(bytesOf(first), -1),
      bytesOf(first),
      bytesOf(last),
      neighbour(bytesOf(last), 1),
    ].map(address => [formatAddress(address), NOTHING_ALLOWED(address)]);
    // The last IPv4 address and the first one are neighbours here, and so are those of IPv6.
    const wrapped = (text: string, end: string, name_: string | undefined, other: string) =>
      text === end ? other : name_;
    expect(found.map(([, range]) => range)).toEqual([
      wrapped(first, '0.0.0.0', before, 'reserved'),
      name,
      name,
      wrapped(last, '255.255.255.255', after, 'this-network'),
    ]);
  });

  test('is let through by its name, and nothing else with it', () => {
    const allowed = specialUseTest([name]);
    for (const text of [first, last]) expect(allowed(bytesOf(text))).toBeUndefined();
    for (const [other, otherFirst] of RANGES) {
      if (other !== name) expect(allowed(bytesOf(otherFirst)), otherFirst).toBe(other);
    }
  });
});

test('every name that can be allowed is the name of a range, and the other way round', () => {
  expect([...RANGE_NAMES]).toEqual([...new Set(RANGES.map(([name]) => name))].sort());
});

test.each([
  ['::ffff:127.0.0.1', 'loopback'],
  ['::ffff:7f00:1', 'loopback'],
  ['0:0:0:0:0:FFFF:10.1.2.3', 'private-10'],
  ['::ffff:0.0.0.0', 'this-network'],
  ['::127.0.0.1', 'ipv4-compatible'],
  ['::ffff:0:127.0.0.1', 'unassigned-ipv6'],
  ['64:ff9b::10.0.0.1', 'translation-nat64'],
  ['64:ff9b:1::10.0.0.1', 'translation-local'],
  ['2002:7f00:0001::', 'relay-6to4'],
  ['2001:0:4136:e378:8000:63bf:3fff:fdd2', 'protocol-assignments'],
  ['fe80::5efe:10.0.0.1', 'link-local'],
  ['169.254.169.254', 'link-local'],
  ['fd00:ec2::254', 'unique-local'],
])('%s, which leads inside under another name, is refused as %s', (text, range) => {
  expect(NOTHING_ALLOWED(bytesOf(text))).toBe(range);
});

test.each([
  '8.8.8.8',
  '1.1.1.1',
  '223.255.255.255',
  '::ffff:8.8.8.8',
  '2a02:c207:2299:5486::1',
  '2000::',
  '3ffe::1',
])('%s may be used', text => {
  expect(NOTHING_ALLOWED(bytesOf(text))).toBeUndefined();
});

test('many ranges can be allowed at once', () => {
  const allowed = specialUseTest(RANGE_NAMES);
  for (const [, first, last] of RANGES) {
    expect(allowed(bytesOf(first))).toBeUndefined();
    expect(allowed(bytesOf(last))).toBeUndefined();
  }
});
