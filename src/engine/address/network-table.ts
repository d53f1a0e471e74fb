/** Numbers the networks of a load: each network gets the next number when it is first met. */
import { isIpv4, parseAddress } from './address.ts';

export interface PrefixBits {
  readonly ipv4: number;
  readonly ipv6: number;
}

export const DEFAULT_PREFIX_BITS: PrefixBits = { ipv4: 24, ipv6: 64 };

export class NetworkTable {
  readonly #ipv4Mask: number;
  readonly #ipv6Bits: number;
  readonly #ipv4 = new Map<number, number>();
  readonly #other = new Map<string, number>();
  readonly #scratch = new Uint8Array(16);

  constructor(bits: PrefixBits) {
    this.#ipv4Mask = ipv4Mask(bits.ipv4);
    this.#ipv6Bits = bits.ipv6;
  }

  get count(): number {
    return this.#ipv4.size + this.#other.size;
  }

  /** The number of the network that `address` lies in: its leading bits. */
  ofAddress(address: Uint8Array): number {
    return isIpv4(address)
      ? this.#number(this.#ipv4, (ipv4Value(address) & this.#ipv4Mask) >>> 0)
      : this.#number(this.#other, ipv6Key(address, this.#ipv6Bits));
  }

  /**
   * The number of the network that the source names. A name that is an address is that address, so that
   * `203.0.113.0` means the same as the /24 computed from a member; with a prefix length, as `inet` columns
   * have it, its leading bits. Any other name is taken as it is.
   */
  ofName(name: string): number {
    const [address = '', prefix] = name.split('/', 2);
    if (!parseAddress(address, this.#scratch)) return this.#number(this.#other, name);
    const ipv4 = isIpv4(this.#scratch);
    const width = ipv4 ? 32 : 128;
    const bits = prefix === undefined ? width : prefixBits(prefix, width);
    if (bits === undefined) return this.#number(this.#other, name);
    return ipv4
      ? this.#number(this.#ipv4, (ipv4Value(this.#scratch) & ipv4Mask(bits)) >>> 0)
      : this.#number(this.#other, ipv6Key(this.#scratch, bits));
  }

  #number<Key>(map: Map<Key, number>, key: Key): number {
    const known = map.get(key);
    if (known !== undefined) return known;
    const number = this.count;
    map.set(key, number);
    return number;
  }
}

function ipv4Mask(bits: number): number {
  return bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0;
}

/** A prefix length from 0 to `width`, or `undefined` when `text` is none. */
function prefixBits(text: string, width: number): number | undefined {
  return /^\d{1,3}$/.test(text) && Number(text) <= width ? Number(text) : undefined;
}

function ipv4Value(address: Uint8Array): number {
  return ((address[12]! << 24) | (address[13]! << 16) | (address[14]! << 8) | address[15]!) >>> 0;
}

/** The leading `bits` of an IPv6 address; the zero byte in front keeps it apart from names. */
function ipv6Key(address: Uint8Array, bits: number): string {
  let key = '\0';
  for (let i = 0, left = bits; i < 16; i++, left -= 8) {
    const mask = left >= 8 ? 0xff : left <= 0 ? 0 : (0xff << (8 - left)) & 0xff;
    key += String.fromCharCode(address[i]! & mask);
  }
  return key;
}
