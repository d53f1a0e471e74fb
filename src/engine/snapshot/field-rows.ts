/**
 * Rows as a source hands them over without making an object of each: places in a buffer, field by field.
 * Nothing in them is trusted yet.
 */

/** Fields of a row, in this order; then one for each attribute asked for, in the order of their names. */
export const FIELD = {
  id: 0,
  address: 1,
  /** A big-endian signed integer of 2, 4 or 8 bytes. Not looked at where `address` is `host-port`. */
  port: 2,
  /** Absent or empty: computed from the address. */
  network: 3,
  /** A byte: 0, or none, is the new pool, anything else the vetted one. */
  vetted: 4,
  /** UTF-8 name of the criterion that keeps the node out of selections; absent: eligible. */
  ineligible: 5,
  /**
   * When the node was last heard of, by the source's clock: microseconds since 2000-01-01 UTC, a big-endian
   * signed integer of 8 bytes. Snapshots do not hold it; the loader tells by it when a node leaves by itself.
   */
  lastContact: 6,
  /** UTF-8 texts; absent where the source has none. */
  attributes: 7,
} as const;

/** How the bytes of fields are to be read, for all rows of a read alike. */
export interface FieldFormat {
  /** 32 bytes, or 64 hexadecimal digits. */
  readonly id: 'bytes' | 'digits';
  /** Text of an address; its 4 or 16 bytes; or `host:port`, an IPv6 host in brackets. */
  readonly address: 'text' | 'bytes' | 'host-port';
  /**
   * The name of a network, which may be an address with or without prefix length; address bytes; or its key,
   * sixteen bytes (native-layout/network-key.ts).
   */
  readonly network: 'text' | 'bytes' | 'key';
}

export interface FieldRows {
  readonly format: FieldFormat;
  readonly bytes: Uint8Array;
  /** Over the same bytes. */
  readonly view: DataView;
  /** First byte, and the one after the last, of every field of every row; ABSENT and anything: no value. */
  readonly places: Int32Array;
  /** Rows, and fields after the fixed ones in each of them. */
  readonly count: number;
  readonly attributes: number;
}

/** The first byte of a field that has no value. */
export const ABSENT = -1;
