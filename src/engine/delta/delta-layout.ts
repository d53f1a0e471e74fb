/**
 * A delta on the wire: what leads from one content of the table to another. All numbers are little-endian.
 *
 *   byte   0 …  3   magic "SDLT"
 *   byte        4   version
 *   byte        5   attributes of a row
 *   byte        6   leading bits of an IPv4 address that are its network
 *   byte        7   the same of an IPv6 address
 *   byte   8 … 23   content digest that it leads from
 *   byte  24 … 39   content digest that it leads to
 *   byte  40 … 43   ids that go
 *   byte  44 … 47   rows that come or change
 *   byte  48 … 51   values
 *   byte  52 … 59   checksum: the first two words of the digest (digest.ts) of all bytes, these eight
 *                   zero, and zeros up to a multiple of sixteen
 *
 * Then the ids that go, 32 bytes each; the values, each its length and its UTF-8 bytes; the rows:
 *
 *   a byte          pool in bits 0 and 1 (1 vetted, 2 new, 3 ineligible), bit 2: IPv6, bit 3: with a key
 *   32 bytes        id
 *   4 or 16 bytes   address, network byte order
 *   2 bytes         port
 *   16 bytes        key of the network, where that is not the one computed from the address
 *   a number each   for each attribute the number of its value, from 1; 0: none
 *
 * Lengths and numbers of values are in groups of seven bits, the lowest first, the highest bit set in all but
 * the last byte.
 *
 * Damage shows twice: by the checksum before anything is done, and by the content that a delta leads to,
 * which covers all that it says of any row.
 */
import { DIGEST_WORDS } from '../../../native-layout/snapshot-header.ts';
import { ID_BYTES } from '../../../native-layout/snapshot-row.ts';
import type { PrefixBits } from '../address/network-keys.ts';

/** "SDLT", little-endian. */
export const DELTA_MAGIC = 0x544c_4453;
export const DELTA_VERSION = 1;

/** First byte of each part of the header. */
export const DELTA_BYTE = {
  MAGIC: 0,
  VERSION: 4,
  ATTRIBUTES: 5,
  IPV4_BITS: 6,
  IPV6_BITS: 7,
  CONTENT_FROM: 8,
  CONTENT_TO: 8 + 4 * DIGEST_WORDS,
  REMOVED: 8 + 8 * DIGEST_WORDS,
  UPSERTS: 12 + 8 * DIGEST_WORDS,
  VALUES: 16 + 8 * DIGEST_WORDS,
  CHECKSUM: 20 + 8 * DIGEST_WORDS,
} as const;

export const CHECKSUM_WORDS = 2;
export const DELTA_HEADER_BYTES = DELTA_BYTE.CHECKSUM + 4 * CHECKSUM_WORDS;

/** A delta at the most; beyond that a snapshot is due. */
export const DELTA_BYTES_MAX = 64 * 1024 * 1024;

/** Bits of the first byte of a row. */
export const DELTA_POOL_MASK = 3;
export const DELTA_WIDE = 4;
export const DELTA_KEYED = 8;
export const DELTA_FLAGS = DELTA_POOL_MASK | DELTA_WIDE | DELTA_KEYED;

export const PORT_BYTES = 2;
/** A row without attributes at the least. */
export const DELTA_ROW_BYTES_MIN = 1 + ID_BYTES + 4 + PORT_BYTES;

/** Bytes of a number in groups of seven bits at the most. */
export const NUMBER_BYTES_MAX = 4;

/** What both sides of a delta must have in common. */
export interface DeltaTerms {
  readonly attributes: number;
  readonly prefixBits: PrefixBits;
}
