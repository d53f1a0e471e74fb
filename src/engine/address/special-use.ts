/**
 * Address ranges that are not globally reachable (IANA special-purpose registries, RFC 6890 and after). A
 * node operator must not be able to point clients at internal services, so rows in them are refused unless a
 * range is allowed by name.
 */
import { ipv4Mask, isIpv4, parseAddress } from './address.ts';

/** Name and CIDR of every range. Where ranges overlap the most specific one decides. */
const RANGES: readonly (readonly [name: string, cidr: string])[] = [
  ['this-network', '0.0.0.0/8'],
  ['private-10', '10.0.0.0/8'],
  ['shared-carrier', '100.64.0.0/10'],
  ['loopback', '127.0.0.0/8'],
  ['link-local', '169.254.0.0/16'],
  ['private-172', '172.16.0.0/12'],
  ['protocol-assignments', '192.0.0.0/24'],
  ['documentation', '192.0.2.0/24'],
  ['relay-6to4', '192.88.99.0/24'],
  ['private-192', '192.168.0.0/16'],
  ['benchmark', '198.18.0.0/15'],
  ['documentation', '198.51.100.0/24'],
  ['documentation', '203.0.113.0/24'],
  ['multicast', '224.0.0.0/4'],
  ['reserved', '240.0.0.0/4'],
  ['unspecified', '::/128'],
  ['loopback', '::1/128'],
  ['ipv4-compatible', '::/96'],
  ['translation-local', '64:ff9b:1::/48'],
  ['translation-nat64', '64:ff9b::/96'],
  ['discard', '100::/64'],
  ['dummy', '100:0:0:1::/64'],
  ['documentation', '2001:db8::/32'],
  ['protocol-assignments', '2001::/23'],
  ['relay-6to4', '2002::/16'],
  ['documentation', '3fff::/20'],
  ['segment-routing', '5f00::/16'],
  ['unique-local', 'fc00::/7'],
  ['link-local', 'fe80::/10'],
  ['site-local', 'fec0::/10'],
  ['multicast', 'ff00::/8'],
];

interface Range {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly bits: number;
  readonly ipv4: boolean;
}

/** Names that `guard.allowRanges` takes. */
export const RANGE_NAMES: readonly string[] = [
  ...new Set(RANGES.map(([name]) => name)),
  'unassigned-ipv6',
].sort();

const MOST_SPECIFIC_FIRST: readonly Range[] = RANGES.map(([name, cidr]) => parseRange(name, cidr)).sort(
  (a, b) => b.bits - a.bits,
);

/** `mapped`: the address is IPv4, where that is known already. */
export type SpecialUseTest = (address: Uint8Array, mapped?: boolean) => string | undefined;

/**
 * Makes a test of addresses (16 bytes, IPv4 mapped) that returns the name of the special-use range an address
 * is in, or `undefined` when it may be used. IPv6 outside 2000::/3 is `unassigned-ipv6`.
 */
export function specialUseTest(allowed: readonly string[]): SpecialUseTest {
  const ipv4 = rangesByFirstByte(
    MOST_SPECIFIC_FIRST.filter(range => range.ipv4),
    12,
  );
  const ipv6 = rangesByFirstByte(
    MOST_SPECIFIC_FIRST.filter(range => !range.ipv4),
    0,
  );
  return (address, mapped = isIpv4(address)) => {
    const candidates = mapped ? ipv4[address[12]!] : ipv6[address[0]!];
    const globalUnicast = mapped || address[0]! >>> 5 === 1;
    if (candidates === undefined && globalUnicast) return undefined;
    const range = candidates?.find(candidate => matches(candidate, address));
    const name = range?.name ?? (globalUnicast ? undefined : 'unassigned-ipv6');
    return name !== undefined && allowed.includes(name) ? undefined : name;
  };
}

const IPV4_RANGES = MOST_SPECIFIC_FIRST.filter(range => range.ipv4);
/** For each first octet of an IPv4 address 1 where some range can match it. */
const IPV4_FIRST_BYTES = Uint8Array.from(rangesByFirstByte(IPV4_RANGES, 12), ranges => (ranges ? 1 : 0));
/** First address and mask of each range, as the four bytes stand in memory. */
const IPV4_FIRSTS = Int32Array.from(IPV4_RANGES, ({ bytes }) => wordOf(bytes.subarray(12)));
const IPV4_MASKS = Int32Array.from(IPV4_RANGES, ({ bits }) => ipv4Mask(bits - 96));

/** True when an IPv4 address, four bytes as they stand in memory, is in any range, allowed or not. */
export function isSpecialIpv4(address: number): boolean {
  if (IPV4_FIRST_BYTES[address & 0xff] === 0) return false;
  for (let i = 0; i < IPV4_FIRSTS.length; i++) {
    if ((address & IPV4_MASKS[i]!) === IPV4_FIRSTS[i]) return true;
  }
  return false;
}

/** For each first byte the ranges that can match it; `undefined` where none can, which is the common case. */
function rangesByFirstByte(ranges: readonly Range[], at: number): (Range[] | undefined)[] {
  return Array.from({ length: 256 }, (_, byte) => {
    const possible = ranges.filter(range => {
      const bits = Math.min(8, range.bits - at * 8);
      const mask = bits <= 0 ? 0 : (0xff << (8 - bits)) & 0xff;
      return (byte & mask) === (range.bytes[at]! & mask);
    });
    return possible.length === 0 ? undefined : possible;
  });
}

function wordOf(bytes: Uint8Array): number {
  return bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24);
}

function parseRange(name: string, cidr: string): Range {
  const slash = cidr.indexOf('/');
  const bytes = new Uint8Array(16);
  if (!parseAddress(cidr.slice(0, slash), bytes)) throw new Error(`not a range: ${cidr}`);
  const ipv4 = isIpv4(bytes);
  return { name, bytes, ipv4, bits: Number(cidr.slice(slash + 1)) + (ipv4 ? 96 : 0) };
}

function matches(range: Range, address: Uint8Array): boolean {
  let bits = range.bits;
  for (let i = 0; bits > 0; i++, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
    if (((address[i]! ^ range.bytes[i]!) & mask) !== 0) return false;
  }
  return true;
}
