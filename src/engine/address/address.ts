/**
 * Addresses as text and as 16 bytes (IPv4 as ::ffff:a.b.c.d). Strict: no leading zeros, no zones, no
 * shorthand IPv4, because what one parser reads as 127.0.0.1 and another as something else is how clients get
 * misled. Text is read as bytes, as a source delivers it.
 */

const MAPPED_PREFIX_BYTES = 12;
const IPV4_TEXT_BYTES_MAX = 15;
/** `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255` */
const IPV6_TEXT_BYTES_MAX = 45;
const DOT = 46;
const COLON = 58;
const ZERO = 48;
const ASCII_MAX = 0x7f;

/** Where `parseAddress` puts its text. */
const TEXT = new Uint8Array(IPV6_TEXT_BYTES_MAX);

/**
 * Parses `text` into `out` (16 bytes, network byte order). Returns false when it is no address; `out` is then
 * undefined.
 */
export function parseAddress(text: string, out: Uint8Array): boolean {
  if (text.length > IPV6_TEXT_BYTES_MAX) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > ASCII_MAX) return false;
    TEXT[i] = code;
  }
  return parseAddressBytes(TEXT, 0, text.length, out);
}

/** The same for the text that is the bytes from `from` to `to`. */
export function parseAddressBytes(text: Uint8Array, from: number, to: number, out: Uint8Array): boolean {
  if (parseIpv4(text, from, to, out, MAPPED_PREFIX_BYTES)) {
    writeMappedPrefix(out);
    return true;
  }
  return parseIpv6(text, from, to, out);
}

/** The first twelve bytes of an IPv4 address in its mapped form. */
export function writeMappedPrefix(out: Uint8Array): void {
  for (let i = 0; i < 10; i++) out[i] = 0;
  out[10] = 0xff;
  out[11] = 0xff;
}

/** True when the 16 bytes from `at` are an IPv4 address in its mapped form. */
export function isIpv4(address: Uint8Array, at = 0): boolean {
  for (let i = at; i < at + 10; i++) if (address[i] !== 0) return false;
  return address[at + 10] === 0xff && address[at + 11] === 0xff;
}

/** Decimal texts of all bytes: half of the time that making them anew takes. */
const OCTETS = Array.from({ length: 256 }, (_, octet) => String(octet));
const OCTETS_AND_DOT = OCTETS.map(octet => `${octet}.`);

/** A mask of the leading `bits` of four bytes as they stand in memory. */
export function ipv4Mask(bits: number): number {
  let mask = 0;
  for (let i = 0; i < bits; i++) mask |= (0x80 >>> (i % 8)) << (8 * Math.floor(i / 8));
  return mask;
}

/** Canonical text of the 16 bytes from `at`: dotted decimal, or IPv6 in the short form of RFC 5952. */
export function formatAddress(address: Uint8Array, at = 0): string {
  if (isIpv4(address, at)) {
    const head = OCTETS_AND_DOT[address[at + 12]!]! + OCTETS_AND_DOT[address[at + 13]!]!;
    return head + OCTETS_AND_DOT[address[at + 14]!]! + OCTETS[address[at + 15]!]!;
  }
  const groups: number[] = [];
  for (let i = at; i < at + 16; i += 2) groups.push((address[i]! << 8) | address[i + 1]!);
  const run = longestZeroRun(groups);
  if (run.length < 2) return groups.map(group => group.toString(16)).join(':');
  const before = groups.slice(0, run.start).map(group => group.toString(16));
  const after = groups.slice(run.start + run.length).map(group => group.toString(16));
  return `${before.join(':')}::${after.join(':')}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (i < groups.length && groups[i] === 0) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}

/**
 * Reads the dotted decimal that is the bytes from `from` to `to` into the four bytes of `out` from `at`;
 * false when it is none.
 */
export function parseIpv4(text: Uint8Array, from: number, to: number, out: Uint8Array, at: number): boolean {
  if (to - from > IPV4_TEXT_BYTES_MAX) return false;
  let position = from;
  for (let part = 0; part < 4; part++) {
    if (part > 0 && (position >= to || text[position++] !== DOT)) return false;
    let octet = position < to ? text[position++]! - ZERO : -1;
    if (octet < 0 || octet > 9) return false;
    // A leading zero ends the number: what follows it is then no dot.
    for (let more = octet === 0 ? 0 : 2; more > 0 && position < to; more--) {
      const digit = text[position]! - ZERO;
      if (digit < 0 || digit > 9) break;
      octet = octet * 10 + digit;
      position++;
    }
    if (octet > 255) return false;
    out[at + part] = octet;
  }
  return position === to;
}

const GROUPS = 8;
const GROUP_DIGITS_MAX = 4;
const NO_GAP = -1;

function parseIpv6(text: Uint8Array, from: number, to: number, out: Uint8Array): boolean {
  if (to - from > IPV6_TEXT_BYTES_MAX) return false;
  let at = from;
  let count = 0;
  /** Groups before the `::`. */
  let gap = NO_GAP;
  if (to - from >= 2 && text[at] === COLON && text[at + 1] === COLON) {
    gap = 0;
    at += 2;
  }
  while (at < to) {
    const first = at;
    let group = 0;
    for (; at < to && at - first <= GROUP_DIGITS_MAX; at++) {
      const digit = hexDigit(text[at]!);
      if (digit < 0) break;
      group = (group << 4) | digit;
    }
    if (at < to && text[at] === DOT) {
      // Dotted decimal stands at the end, for two groups.
      if (count > GROUPS - 2 || !parseIpv4(text, first, to, out, 2 * count)) return false;
      count += 2;
      break;
    }
    if (at === first || at - first > GROUP_DIGITS_MAX || count === GROUPS) return false;
    writeGroup(out, count++, group);
    if (at === to) break;
    if (text[at++] !== COLON || at === to) return false;
    if (text[at] !== COLON) continue;
    if (gap !== NO_GAP) return false;
    gap = count;
    at++;
  }
  return gap === NO_GAP ? count === GROUPS : count < GROUPS && openGap(out, gap, count);
}

/** Moves the groups after the `::` to the end, and puts zeros in between. */
function openGap(out: Uint8Array, gap: number, count: number): true {
  const end = 2 * (GROUPS - count + gap);
  out.copyWithin(end, 2 * gap, 2 * count);
  out.fill(0, 2 * gap, end);
  return true;
}

function writeGroup(out: Uint8Array, index: number, group: number): void {
  out[2 * index] = group >>> 8;
  out[2 * index + 1] = group & 0xff;
}

/** The value of a hexadecimal digit in either case, or -1. */
export function hexDigit(byte: number): number {
  return DIGIT_VALUES[byte]!;
}

const DIGIT_VALUES = new Int8Array(256).fill(-1);
for (const digits of ['0123456789abcdef', '0123456789ABCDEF']) {
  for (let value = 0; value < 16; value++) DIGIT_VALUES[digits.charCodeAt(value)] = value;
}
