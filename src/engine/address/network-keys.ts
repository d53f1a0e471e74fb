// @hotpath
/**
 * The key of a network: rows of equal keys are in the same network. Its sixteen bytes are those of
 * native-layout/network-key.ts. Here an IPv4 network is its four bytes; all others (IPv6 prefixes and names)
 * have a code in a dictionary of sixteen bytes.
 */

import {
  NETWORK_HASH_ADDRESS,
  NETWORK_HASH_NAME,
  NETWORK_KEY_BYTES,
  NETWORK_KEY_HASHED,
  NETWORK_KEY_NAME,
  NETWORK_KEY_WORDS,
  NETWORK_MAPPED_WORD,
  NETWORK_NAME_BYTES_MAX,
} from '../../../native-layout/network-key.ts';
import { ADDRESS_BYTES } from '../../../native-layout/snapshot-row.ts';
import { ByteDictionary } from '../byte-dictionary.ts';
import { ipv4Mask, isIpv4, parseAddressBytes } from './address.ts';
import { dottedDecimalEnd } from './dotted-decimal.ts';
import { sha256 } from './sha256.ts';

export interface PrefixBits {
  readonly ipv4: number;
  readonly ipv6: number;
}

export const DEFAULT_PREFIX_BITS: PrefixBits = { ipv4: 24, ipv6: 64 };

const IPV4_BYTE = ADDRESS_BYTES - 4;
const IPV4_BITS = 32;
const IPV6_BITS = 128;
const SLASH = 47;
const PREFIX_DIGITS_MAX = 3;
const CODES_FIRST = 64;

/** Writes the key of the IPv4 network `address`, four bytes as they stand in memory, from word `at` on. */
export function writeIpv4Key(keyWords: Uint32Array, at: number, address: number): void {
  keyWords[at] = 0;
  keyWords[at + 1] = 0;
  keyWords[at + 2] = NETWORK_MAPPED_WORD;
  keyWords[at + 3] = address;
}

/**
 * Writes the key of the network that is the leading `bits` of an IPv6 address to the sixteen bytes of `key`.
 */
export function writePrefixKey(key: Uint8Array, address: Uint8Array, bits: number): void {
  for (let i = 0, left = bits; i < ADDRESS_BYTES; i++, left -= 8) {
    const mask = left >= 8 ? 0xff : left <= 0 ? 0 : (0xff << (8 - left)) & 0xff;
    key[i] = address[i]! & mask;
  }
  // What would be taken for a name.
  if (key[0]! >= NETWORK_KEY_NAME) writeHashedKey(key, NETWORK_HASH_ADDRESS, key.slice());
}

function writeHashedKey(key: Uint8Array, kind: number, bytes: Uint8Array): void {
  const hashed = new Uint8Array(1 + bytes.length);
  hashed[0] = kind;
  hashed.set(bytes, 1);
  const words = sha256(hashed);
  key[0] = NETWORK_KEY_HASHED;
  for (let i = 0; i < NETWORK_NAME_BYTES_MAX; i++) key[i + 1] = words[i >> 2]! >>> (24 - 8 * (i & 3));
}

export class NetworkKeys {
  /** The key that was found last: four bytes of an IPv4 network as they stand in memory, or a code. */
  key = 0;
  /** It is a code. */
  named = false;
  /** Four words a code: the sixteen bytes that it stands for. */
  codeWords = new Uint32Array(NETWORK_KEY_WORDS * CODES_FIRST);
  readonly #ipv4Mask: number;
  readonly #ipv6Bits: number;
  readonly #seed: number;
  #codes: ByteDictionary;
  /** Names that are hashed, and the code of each, so that none is hashed twice. */
  #longNames: ByteDictionary;
  #codeOfLongName: number[] = [];
  readonly #address = new Uint8Array(ADDRESS_BYTES);
  readonly #ipv4Word = new Int32Array(this.#address.buffer, IPV4_BYTE);
  readonly #bytes = new Uint8Array(NETWORK_KEY_BYTES);
  readonly #words = new Uint32Array(this.#bytes.buffer);

  constructor(bits: PrefixBits, seed: number) {
    this.#ipv4Mask = ipv4Mask(bits.ipv4);
    this.#ipv6Bits = bits.ipv6;
    this.#seed = seed;
    this.#codes = new ByteDictionary(seed);
    this.#longNames = new ByteDictionary(seed);
  }

  /** Forgets all codes. */
  clear(): void {
    this.#codes = new ByteDictionary(this.#seed);
    this.#longNames = new ByteDictionary(this.#seed);
    this.#codeOfLongName = [];
  }

  /** Writes the sixteen bytes of `key` to `keyWords` from word `at` on. */
  writeKey(key: number, named: boolean, keyWords: Uint32Array, at: number): void {
    if (!named) {
      writeIpv4Key(keyWords, at, key);
      return;
    }
    const from = NETWORK_KEY_WORDS * key;
    for (let i = 0; i < NETWORK_KEY_WORDS; i++) keyWords[at + i] = this.codeWords[from + i]!;
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

  /** Finds the network of the key that is the bytes from `from` to `to`; false when these are not sixteen. */
  ofKey(bytes: Uint8Array, from: number, to: number): boolean {
    if (to - from !== NETWORK_KEY_BYTES) return false;
    for (let i = 0; i < NETWORK_KEY_BYTES; i++) this.#bytes[i] = bytes[from + i]!;
    if (isIpv4(this.#bytes)) this.#takeIpv4(this.#words[NETWORK_KEY_WORDS - 1]! | 0);
    else this.#takeKey();
    return true;
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
    writePrefixKey(this.#bytes, address, bits);
    this.#takeKey();
  }

  #takeName(name: Uint8Array, from: number, to: number): void {
    const length = to - from;
    const bytes = this.#bytes;
    let short = length <= NETWORK_NAME_BYTES_MAX;
    for (let i = 0; i < length && short; i++) short = name[from + i] !== 0;
    if (!short) {
      this.#takeLongName(name, from, to);
      return;
    }
    bytes[0] = NETWORK_KEY_NAME;
    for (let i = 0; i < NETWORK_NAME_BYTES_MAX; i++) bytes[i + 1] = i < length ? name[from + i]! : 0;
    this.#takeKey();
  }

  #takeLongName(name: Uint8Array, from: number, to: number): void {
    const known = this.#codeOfLongName;
    const number = this.#longNames.codeOf(name, from, to);
    if (known[number] === undefined) {
      writeHashedKey(this.#bytes, NETWORK_HASH_NAME, name.subarray(from, to));
      this.#takeKey();
      known[number] = this.key;
    }
    this.key = known[number];
    this.named = true;
  }

  /** Takes the bytes of the key, which are no IPv4 network's, for the one that was found. */
  #takeKey(): void {
    this.key = this.#codes.codeOf(this.#bytes, 0, NETWORK_KEY_BYTES);
    this.named = true;
    const at = NETWORK_KEY_WORDS * this.key;
    if (at === this.codeWords.length) {
      const larger = new Uint32Array(2 * at);
      larger.set(this.codeWords);
      this.codeWords = larger;
    }
    // Known or new, the same bytes; codes come up one after the other.
    this.codeWords.set(this.#words, at);
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
