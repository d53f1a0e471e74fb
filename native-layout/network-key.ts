/**
 * The key of a network, 16 bytes: which network a number stands for. Equal networks have equal keys, whatever
 * the load, the seed or the machine. The first byte tells which of four kinds it is, and nothing is of two:
 *
 *   IPv4          ::ffff:a.b.c.d, the first address of the network
 *   IPv6          the first address of the network, where its first byte is none of the two below
 *   short name    0xfe, then the name, 1 to 15 bytes without a zero among them, then zeros
 *   hashed        0xff, then the first 15 bytes of the SHA-256 of a byte that tells what follows (0: the 16
 *                 bytes of an IPv6 network, 1: a name) and of that
 *
 * So IPv6 networks in fe00::/7, which no node can be reached in, are hashed. The length of a prefix is no
 * part of the key: `203.0.113.0`, `203.0.113.0/24` and the network of a member by its leading 24 bits are one
 * network.
 */

export const NETWORK_KEY_BYTES = 16;
export const NETWORK_KEY_WORDS = NETWORK_KEY_BYTES / 4;

/** The third word of an IPv4 network's key, behind two zeros and ahead of its four bytes. */
export const NETWORK_MAPPED_WORD = 0xffff_0000;

/** First bytes of keys that are no address. */
export const NETWORK_KEY_NAME = 0xfe;
export const NETWORK_KEY_HASHED = 0xff;
/** What is hashed begins with. */
export const NETWORK_HASH_ADDRESS = 0;
export const NETWORK_HASH_NAME = 1;
/** Bytes of a short name at the most, and of a hash. */
export const NETWORK_NAME_BYTES_MAX = NETWORK_KEY_BYTES - 1;
