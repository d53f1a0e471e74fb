// @hotpath
/**
 * The key of a network: rows of equal keys are in the same network. An IPv4 network is the leading bytes of
 * its addresses; all others (IPv6 prefixes and names) have a code in a dictionary.
 */
import { ADDRESS_BYTES } from '../../../native-layout/snapshot-row.ts';
import { ByteDictionary } from '../byte-dictionary.ts';
import { ipv4Mask, isIpv4, parseAddressBytes } from './address.ts';
import { dottedDecimalEnd } from './dotted-decimal.ts';

export interface PrefixBits {
  readonly ipv4: number;
  readonly ipv6: number;
}

export const DEFAULT_PREFIX_BITS: PrefixBits = { ipv4: 24, ipv6: 64 };

const IPV4_BYTE = ADDRESS_BYTES - 4;
const IPV4_BITS = 32;
const IPV6_BITS = 128;
const SLASH = 47;
/** What keys of the dictionary begin with. */
const PREFIX_KIND = 0;
const NAME_KIND = 1;
const PREFIX_DIGITS_MAX = 3;

export class NetworkKeys {
  /** The key that was found last: four bytes of an IPv4 network as they stand in memory, or a code. */
  key = 0;
  /** It is a code. */
  named = false;
  readonly #ipv4Mask: number;
  readonly #ipv6Bits: number;
  readonly #names: ByteDictionary;
  readonly #address = new Uint8Array(ADDRESS_BYTES);
  readonly #ipv4Word = new Int32Array(this.#address.buffer, IPV4_BYTE);
  #bytes = new Uint8Array(64);

  constructor(bits: PrefixBits, seed: number) {
    this.#ipv4Mask = ipv4Mask(bits.ipv4);
    this.#ipv6Bits = bits.ipv6;
    this.#names = new ByteDictionary(seed);
  }

  /** Finds the network of an IPv4 address by its leading bits. */
  ofIpv4(address: number): void {
    this.#takeIpv4(address & this.#ipv4Mask);
  }

  /** Finds the network of an IPv6 address (16 bytes) by its leading bits. */
  ofIpv6(address: Uint8Array): void {
    this.#takePrefix(address, this.#ipv6Bits);
  }

  /** Finds the network that is an address: its 4 or 16 bytes from `from` to `to`. Any others are a name. */
  ofBytes(bytes: Uint8Array, from: number, to: number): void {
    const width = to - from;
    const isAddress = width === 4 || width === ADDRESS_BYTES;
    for (let i = 0; i < width && isAddress; i++) {
      this.#address[ADDRESS_BYTES - width + i] = bytes[from + i]!;
    }
    if (!isAddress) this.#takeName(bytes, from, to);
    else if (width === 4 || isIpv4(this.#address)) this.#takeIpv4(this.#ipv4Word[0]!);
    else this.#takePrefix(this.#address, IPV6_BITS);
  }

  /**
   * Finds the network that the source names in `bytes`, which `view` covers too. A name that is an address is
   * that address, so that `203.0.113.0` means the same as the /24 computed from a member; with a prefix
   * length, as `inet` columns have it, its leading bits. Any other name is taken as it is.
   */
  ofName(bytes: Uint8Array, view: DataView, from: number, to: number): void {
    if (dottedDecimalEnd(view, from, this.#ipv4Word) === to) this.#takeIpv4(this.#ipv4Word[0]!);
    else this.#ofOtherName(bytes, from, to);
  }

  #ofOtherName(bytes: Uint8Array, from: number, to: number): void {
    let slash = from;
    while (slash < to && bytes[slash] !== SLASH) slash++;
    const isAddress = parseAddressBytes(bytes, from, slash, this.#address);
    const ipv4 = isIpv4(this.#address);
    const width = ipv4 ? IPV4_BITS : IPV6_BITS;
    const bits = slash === to ? width : prefixBits(bytes, slash + 1, to, width);
    if (!isAddress || bits < 0) this.#takeName(bytes, from, to);
    else if (ipv4) this.#takeIpv4(this.#ipv4Word[0]! & ipv4Mask(bits));
    else this.#takePrefix(this.#address, bits);
  }

  #takeIpv4(key: number): void {
    this.key = key;
    this.named = false;
  }

  #takePrefix(address: Uint8Array, bits: number): void {
    const bytes = this.#bytes;
    bytes[0] = PREFIX_KIND;
    for (let i = 0, left = bits; i < ADDRESS_BYTES; i++, left -= 8) {
      const mask = left >= 8 ? 0xff : left <= 0 ? 0 : (0xff << (8 - left)) & 0xff;
      bytes[i + 1] = address[i]! & mask;
    }
    this.key = this.#names.codeOf(bytes, 0, ADDRESS_BYTES + 1);
    this.named = true;
  }

  #takeName(name: Uint8Array, from: number, to: number): void {
    const length = to - from;
    if (this.#bytes.length <= length) this.#bytes = new Uint8Array(2 * length);
    this.#bytes[0] = NAME_KIND;
    for (let i = 0; i < length; i++) this.#bytes[i + 1] = name[from + i]!;
    this.key = this.#names.codeOf(this.#bytes, 0, length + 1);
    this.named = true;
  }
}

/** A prefix length from 0 to `width`, or -1 when the bytes are none. */
function prefixBits(text: Uint8Array, from: number, to: number, width: number): number {
  if (to === from || to - from > PREFIX_DIGITS_MAX) return -1;
  let bits = 0;
  for (let i = from; i < to; i++) {
    const digit = text[i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    bits = 10 * bits + digit;
  }
  return bits <= width ? bits : -1;
}
