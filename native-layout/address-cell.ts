/**
 * The address cell: what an encoder needs of a node's address, ready to be copied, 24 bytes a row.
 *
 *   byte   0 …  14   text of an IPv4 address, dotted decimal, unused bytes zero
 *   byte        15   length of that text, 7 to 15; 0: the address is IPv6, and bytes 0 to 3 are the number of
 *                    its wide address
 *   byte  16 …  20   decimal digits of the port, unused bytes zero
 *   byte        21   number of those digits, 1 to 5
 *   byte  22 …  23   the port itself, unsigned, little-endian
 *
 * A wide address holds the text of an IPv6 address: 40 bytes, the last one its length, 2 to 39.
 */

export const CELL_BYTES = 24;
export const CELL_WORDS = CELL_BYTES / 4;
export const CELL_TEXT_LENGTH_BYTE = 15;
export const CELL_PORT_TEXT_BYTE = 16;
export const CELL_PORT_LENGTH_BYTE = 21;
export const CELL_PORT_BYTE = 22;

export const WIDE_ADDRESS_BYTES = 40;
export const WIDE_ADDRESS_LENGTH_BYTE = 39;
