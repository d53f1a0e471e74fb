/**
 * Addresses as text and as 16 bytes (IPv4 as ::ffff:a.b.c.d). Strict: no leading zeros, no zones, no
 * shorthand IPv4, because what one parser reads as 127.0.0.1 and another as something else is how clients get
 * misled.
 */

const MAPPED_PREFIX_BYTES = 12;

/**
 * Parses `text` into `out` (16 bytes, network byte order). Returns false when it is no address; `out` is then
 * undefined.
 */
export function parseAddress(text: string, out: Uint8Array): boolean {
  if (parseIpv4(text, 0, out, MAPPED_PREFIX_BYTES)) {
    out.fill(0, 0, 10);
    out.fill(0xff, 10, MAPPED_PREFIX_BYTES);
    return true;
  }
  return parseIpv6(text, out);
}

/** True when the 16 bytes from `at` are an IPv4 address in its mapped form. */
export function isIpv4(address: Uint8Array, at = 0): boolean {
  for (let i = at; i < at + 10; i++) if (address[i] !== 0) return false;
  return address[at + 10] === 0xff && address[at + 11] === 0xff;
}

/** Canonical text of the 16 bytes from `at`: dotted decimal, or IPv6 in the short form of RFC 5952. */
export function formatAddress(address: Uint8Array, at = 0): string {
  if (isIpv4(address, at)) {
    return `${address[at + 12]}.${address[at + 13]}.${address[at + 14]}.${address[at + 15]}`;
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

/** Reads dotted decimal from `text[from…]` to its end into four bytes of `out`. */
function parseIpv4(text: string, from: number, out: Uint8Array, at: number): boolean {
  const end = text.length;
  if (end - from < 7 || end - from > 15) return false;
  let position = from;
  for (let part = 0; part < 4; part++) {
    const first = position;
    let value = 0;
    for (; position < end; position++) {
      const digit = text.charCodeAt(position) - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    const length = position - first;
    if (length === 0 || length > 3 || value > 255) return false;
    if (length > 1 && text.charCodeAt(first) === 48) return false;
    out[at + part] = value;
    if (part < 3) {
      if (position >= end || text.charCodeAt(position) !== 46) return false;
      position++;
    }
  }
  return position === end;
}

const GROUP = /^[0-9a-f]{1,4}$/i;
const IPV6_TEXT_LENGTH_MAX = 45;

function parseIpv6(text: string, out: Uint8Array): boolean {
  if (text.length < 2 || text.length > IPV6_TEXT_LENGTH_MAX) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (!head || !tail) return false;
  const count = head.length + tail.length;
  if (halves.length === 1 ? count !== 8 : count > 7) return false;
  out.fill(0, 0, 16);
  for (const [i, group] of head.entries()) writeGroup(out, i, group);
  for (const [i, group] of tail.entries()) writeGroup(out, 8 - tail.length + i, group);
  return true;
}

/** The 16-bit groups of one side of a `::`; the last may be dotted decimal when `last`. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [i, part] of parts.entries()) {
    if (GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      const dotted = new Uint8Array(4);
      if (!last || i !== parts.length - 1 || !parseIpv4(part, 0, dotted, 0)) return undefined;
      groups.push((dotted[0]! << 8) | dotted[1]!, (dotted[2]! << 8) | dotted[3]!);
    }
  }
  return groups;
}

function writeGroup(out: Uint8Array, index: number, group: number): void {
  out[2 * index] = group >>> 8;
  out[2 * index + 1] = group & 0xff;
}
