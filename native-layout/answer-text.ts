/**
 * The fixed texts of an encoded answer, for the encoders in TypeScript and for the kernel's. The characters
 * of MessagePack's are bytes: heads of maps, keys and numbers stand among the names.
 */

/** Around and between the parts of a node in JSON; no text is longer than 16 bytes. */
export const JSON_TEXT = {
  GENERATION: '{"generation":',
  AGE: ',"ageMs":',
  NODES: ',"nodes":[',
  ID: '{"id":"',
  IP: '","ip":"',
  PORT: '","port":',
  POOL: ',"pool":"',
  VETTED: 'vetted"},',
  NEW: 'new"},',
  END: ']}',
} as const;

export const MESSAGEPACK_TEXT = {
  /** Map of three; key, and head of a 32-bit integer. */
  GENERATION: '\x83\xaageneration\xce',
  /** Key only: the age is a 32-bit integer or, beyond that, a double. */
  AGE: '\xa5ageMs',
  /** Key, and head of an array with a 32-bit length. */
  NODES: '\xa5nodes\xdd',
  /** Map of four; key and head of the bytes of the id. */
  ID: '\x84\xa2id\xc4\x20',
  IP: '\xa2ip',
  /** Key, and head of a 16-bit integer. */
  PORT: '\xa4port\xcd',
  POOL: '\xa4pool',
  VETTED: '\xa6vetted',
  NEW: '\xa3new',
} as const;

/** Heads of MessagePack that no text above ends in. */
export const MESSAGEPACK_FIXSTR = 0xa0;
export const MESSAGEPACK_FIXSTR_LENGTH_MAX = 31;
export const MESSAGEPACK_STR8 = 0xd9;
export const MESSAGEPACK_UINT32 = 0xce;
export const MESSAGEPACK_FLOAT64 = 0xcb;
