/**
 * The node record: a pick as fixed-width bytes, for callers that want no text. 52 bytes, little-endian.
 *
 *   byte   0 …  31   id
 *   byte  32 …  47   address, IPv4 as ::ffff:a.b.c.d, network byte order
 *   byte  48 …  49   port
 *   byte        50   pool: 1 vetted, 2 new, 3 ineligible (lookups only)
 *   byte        51   zero
 */

export const RECORD_BYTES = 52;
export const RECORD_WORDS = RECORD_BYTES / 4;
export const RECORD_ADDRESS_WORD = 8;
/** Port in the low half, pool in the third byte. */
export const RECORD_TAIL_WORD = 12;

/** Bytes 8 to 11 of the address of IPv4, 0 0 255 255, as a word. */
export const RECORD_MAPPED_WORD = 0xffff_0000;

export const POOL_VETTED = 1;
export const POOL_NEW = 2;
export const POOL_INELIGIBLE = 3;
