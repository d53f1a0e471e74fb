/** What a server sends for a COPY in binary, byte for byte as the protocol's documentation describes it. */

export type CopyValue = Uint8Array | string | null;

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
const TRAILER = int16(-1);

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}

/** A value of type inet or cidr. */
export function inetValue(address: Uint8Array, bits = 8 * address.length): Buffer {
  const family = address.length === 4 ? 2 : 3;
  return Buffer.from([family, bits, 0, address.length, ...address]);
}

export function message(type: string, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(body.length + 4), body]);
}

/** Signature, flags, and more that a reader skips. */
export function copyHeader(flags = 0, extension: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([SIGNATURE, int32(flags), int32(extension.length), extension]);
}

export function copyRow(values: readonly CopyValue[]): Buffer {
  const parts: Uint8Array[] = [int16(values.length)];
  for (const value of values) {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    parts.push(int32(bytes === null ? -1 : bytes.length), bytes ?? Buffer.alloc(0));
  }
  return Buffer.concat(parts);
}

/** The whole answer: the header goes with the first row, a message a row, then what ends the statement. */
export function copyAnswer(rows: readonly (readonly CopyValue[])[]): Buffer {
  const bodies = [...rows.map(copyRow), TRAILER];
  bodies[0] = Buffer.concat([copyHeader(), bodies[0]!]);
  return Buffer.concat([
    message('H', Buffer.from([1, 0, 0])),
    ...bodies.map(body => message('d', body)),
    message('c', Buffer.alloc(0)),
    message('C', Buffer.from(`COPY ${rows.length}\0`)),
    message('Z', Buffer.from('T')),
  ]);
}
