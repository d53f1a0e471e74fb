/**
 * The row: all that is known of a node but its attributes, 64 bytes, so that a pick touches one cache line.
 *
 *   byte   0 … 31   id
 *   byte  32 … 46   text of an IPv4 address, dotted decimal, unused bytes zero
 *   byte       47   length of that text, 7 to 15; 0: the address is IPv6, and the text is zero
 *   byte  48 … 52   decimal digits of the port, unused bytes zero
 *   byte       53   number of those digits, 1 to 5
 *   byte  54 … 55   the port itself, unsigned
 *   byte  56 … 59   number of the network that the row lies in, unsigned
 *   byte  60 … 63   IPv4: the address, network byte order; IPv6: number of its wide address, unsigned
 *
 * A wide address is an IPv6 address, 64 bytes as well:
 *
 *   byte   0 … 38   its text in the short form of RFC 5952, unused bytes zero
 *   byte       39   length of that text, 2 to 39
 *   byte  40 … 55   the address, network byte order
 *   byte  56 … 63   zero
 */

export const ROW_BYTES = 64;
export const ROW_WORDS = ROW_BYTES / 4;
export const ROW_LONGS = ROW_BYTES / 8;

export const ID_BYTES = 32;
export const ID_WORDS = ID_BYTES / 4;

/** An address in network byte order, IPv4 as ::ffff:a.b.c.d. */
export const ADDRESS_BYTES = 16;

export const ROW_ID_BYTE = 0;
export const ROW_TEXT_BYTE = ROW_ID_BYTE + ID_BYTES;
export const ROW_TEXT_BYTES = 15;
export const ROW_TEXT_LENGTH_BYTE = ROW_TEXT_BYTE + ROW_TEXT_BYTES;
export const ROW_PORT_TEXT_BYTE = ROW_TEXT_LENGTH_BYTE + 1;
export const ROW_PORT_TEXT_BYTES = 5;
export const ROW_PORT_TEXT_LENGTH_BYTE = ROW_PORT_TEXT_BYTE + ROW_PORT_TEXT_BYTES;
export const ROW_PORT_BYTE = ROW_PORT_TEXT_LENGTH_BYTE + 1;
export const ROW_NETWORK_BYTE = ROW_PORT_BYTE + 2;
export const ROW_ADDRESS_BYTE = ROW_NETWORK_BYTE + 4;

/** The word that ends the address text: its highest byte is the text's length. */
export const ROW_TEXT_LENGTH_WORD = (ROW_TEXT_LENGTH_BYTE - 3) / 4;
/** The word that ends in the port: its second byte is the number of digits, its upper half the port. */
export const ROW_PORT_WORD = (ROW_PORT_BYTE - 2) / 4;
export const ROW_NETWORK_WORD = ROW_NETWORK_BYTE / 4;
export const ROW_ADDRESS_WORD = ROW_ADDRESS_BYTE / 4;

export const WIDE_ADDRESS_BYTES = 64;
export const WIDE_TEXT_BYTES = 39;
export const WIDE_TEXT_LENGTH_BYTE = WIDE_TEXT_BYTES;
export const WIDE_BINARY_BYTE = WIDE_TEXT_LENGTH_BYTE + 1;
