// @hotpath
/**
 * Reads the fields of a row into numbers and says why a row cannot be used: the one place where what a source
 * delivers is judged.
 */
import { ADDRESS_BYTES, ID_BYTES, ID_WORDS } from '../../../native-layout/snapshot-row.ts';
import { isIpv4, parseAddressBytes, writeMappedPrefix } from '../address/address.ts';
import { dottedDecimalEnd } from '../address/dotted-decimal.ts';
import { NetworkKeys, type PrefixBits } from '../address/network-keys.ts';
import { type SpecialUseTest, specialUseTest } from '../address/special-use.ts';
import { ABSENT, FIELD, type FieldRows } from './field-rows.ts';
import { ID_DIGITS, parseIdDigits } from './node-id.ts';

const PORT_MAX = 65_535;
const NO_PORT = -1;
const PORT_DIGITS_MAX = 15;
const IPV4_BYTE = ADDRESS_BYTES - 4;
const COLON = 58;
const OPENING_BRACKET = 91;
const CLOSING_BRACKET = 93;
const ZERO = 48;

export class FieldReader {
  /** What `read` found in the last row: the id, 32 bytes from `idFrom` in `idView`. */
  idView: DataView;
  idFrom = 0;
  ipv4 = false;
  /** The sixteen bytes of an IPv6 address. */
  readonly wide = new Uint8Array(ADDRESS_BYTES);
  port = NO_PORT;
  readonly network: NetworkKeys;
  /** An IPv4 address in its mapped form. */
  readonly #mapped = new Uint8Array(ADDRESS_BYTES);
  readonly #ipv4Word = new Int32Array(this.#mapped.buffer, IPV4_BYTE);
  readonly #specialUse: SpecialUseTest;
  readonly #parsedId = new Uint32Array(ID_WORDS);
  readonly #parsedView = new DataView(this.#parsedId.buffer);

  constructor(bits: PrefixBits, allowRanges: readonly string[], seed: number) {
    writeMappedPrefix(this.#mapped);
    this.idView = this.#parsedView;
    this.network = new NetworkKeys(bits, seed);
    this.#specialUse = specialUseTest(allowRanges);
  }

  /** The four bytes of an IPv4 address as they stand in memory. */
  get ipv4Word(): number {
    return this.#ipv4Word[0]!;
  }

  /** Reads the row whose places begin at index `at`; returns why it cannot be used, or `undefined`. */
  read(rows: FieldRows, at: number): string | undefined {
    if (!this.#readAddress(rows, at)) return 'address-invalid';
    const range = this.#specialUse(this.ipv4 ? this.#mapped : this.wide, this.ipv4);
    if (range !== undefined) return `special-use:${range}`;
    if (this.port < 1 || this.port > PORT_MAX) return 'port-invalid';
    if (!this.readId(rows, at)) return 'id-invalid';
    return this.#readNetwork(rows, at) ? undefined : 'network-invalid';
  }

  #readAddress({ format, bytes, view, places }: FieldRows, at: number): boolean {
    const from = places[at + 2 * FIELD.address]!;
    const to = places[at + 2 * FIELD.address + 1]!;
    if (from === ABSENT) return false;
    if (format.address === 'host-port') return this.#readHostPort(bytes, view, from, to);
    this.port = portOf(view, places[at + 2 * FIELD.port]!, places[at + 2 * FIELD.port + 1]!);
    return format.address === 'text'
      ? this.#readText(bytes, view, from, to)
      : this.#readBytes(bytes, from, to);
  }

  #readText(bytes: Uint8Array, view: DataView, from: number, to: number): boolean {
    this.ipv4 = dottedDecimalEnd(view, from, this.#ipv4Word) === to;
    if (this.ipv4) return true;
    return parseAddressBytes(bytes, from, to, this.wide) && this.#settle();
  }

  #readBytes(bytes: Uint8Array, from: number, to: number): boolean {
    const width = to - from;
    if (width !== 4 && width !== ADDRESS_BYTES) return false;
    this.ipv4 = width === 4;
    const target = this.ipv4 ? this.#mapped : this.wide;
    for (let i = 0; i < width; i++) target[ADDRESS_BYTES - width + i] = bytes[from + i]!;
    return this.ipv4 || this.#settle();
  }

  /** What was written as IPv6 may be IPv4 in its mapped form. */
  #settle(): true {
    this.ipv4 = isIpv4(this.wide);
    if (this.ipv4) for (let i = IPV4_BYTE; i < ADDRESS_BYTES; i++) this.#mapped[i] = this.wide[i]!;
    return true;
  }

  /**
   * `203.0.113.7:28967`, `[2001:db8::1]:28967`. IPv6 without brackets cannot be told from its port: like any
   * other text it is taken for an address without a port.
   */
  #readHostPort(bytes: Uint8Array, view: DataView, from: number, to: number): boolean {
    const end = dottedDecimalEnd(view, from, this.#ipv4Word);
    this.ipv4 = end > from && end < to && bytes[end] === COLON;
    if (!this.ipv4) return this.#readOtherHost(bytes, view, from, to);
    this.port = decimal(bytes, end + 1, to);
    return true;
  }

  /** The same one byte at a time: IPv6, text at the end of the bytes, and all that is no address. */
  #readOtherHost(bytes: Uint8Array, view: DataView, from: number, to: number): boolean {
    let colon = to - 1;
    while (colon >= from && bytes[colon] !== COLON) colon--;
    const brackets =
      colon > from && bytes[from] === OPENING_BRACKET && bytes[colon - 1] === CLOSING_BRACKET ? 1 : 0;
    const hasPort = brackets === 1 || (colon >= from && bytes.indexOf(COLON, from) === colon);
    this.port = hasPort ? decimal(bytes, colon + 1, to) : NO_PORT;
    return hasPort
      ? this.#readText(bytes, view, from + brackets, colon - brackets)
      : this.#readText(bytes, view, from, to);
  }

  /** Reads the id alone; false when it is none. */
  readId({ format, bytes, view, places }: FieldRows, at: number): boolean {
    const from = places[at + 2 * FIELD.id]!;
    const length = places[at + 2 * FIELD.id + 1]! - from;
    if (from === ABSENT) return false;
    if (format.id === 'bytes') {
      this.idView = view;
      this.idFrom = from;
      return length === ID_BYTES;
    }
    this.idView = this.#parsedView;
    this.idFrom = 0;
    return length === ID_DIGITS && parseIdDigits(bytes, from, this.#parsedId);
  }

  #readNetwork({ format, bytes, view, places }: FieldRows, at: number): boolean {
    const from = places[at + 2 * FIELD.network]!;
    const to = places[at + 2 * FIELD.network + 1]!;
    if (from !== ABSENT && to > from) {
      if (format.network === 'key') return this.network.ofKey(bytes, from, to);
      if (format.network === 'text') this.network.ofName(bytes, view, from, to);
      else this.network.ofBytes(bytes, from, to);
    } else if (this.ipv4) this.network.ofIpv4(this.ipv4Word);
    else this.network.ofIpv6(this.wide);
    return true;
  }
}

/** A port as a big-endian signed integer; NO_PORT when it is none or out of range. */
function portOf(view: DataView, from: number, to: number): number {
  if (from === ABSENT) return NO_PORT;
  const width = to - from;
  if (width === 4) return view.getInt32(from, false);
  if (width === 2) return view.getInt16(from, false);
  return width === 8 && view.getInt32(from, false) === 0 ? view.getInt32(from + 4, false) : NO_PORT;
}

/** The number that is the digits from `from` to `to`; NO_PORT when it is none. */
function decimal(bytes: Uint8Array, from: number, to: number): number {
  if (to === from || to - from > PORT_DIGITS_MAX) return NO_PORT;
  let value = 0;
  for (let i = from; i < to; i++) {
    const digit = bytes[i]! - ZERO;
    if (digit < 0 || digit > 9) return NO_PORT;
    value = 10 * value + digit;
  }
  return value;
}
