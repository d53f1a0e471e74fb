/**
 * The content digest of a table of rows, written from its description with big integers: slow, and sharing
 * nothing with the engine.
 */
import { createHash } from 'node:crypto';
import { plainDigest } from './plain-digest.ts';

/** A row as the source says it. */
export interface PlainRow {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly pool: 1 | 2 | 3;
  /** Four bytes, or sixteen. */
  readonly address: readonly number[];
  readonly port: number;
  /** Sixteen bytes. */
  readonly networkKey: readonly number[];
  readonly values: readonly (string | undefined)[];
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const WIDE_MARK = 1 << 18;
const NAMED_MARK = 1 << 19;

/** Four words: the sum of a digest of each row, in which the length of the bytes does not count. */
export function plainContent(rows: readonly PlainRow[]): number[] {
  const sums = [0, 0, 0, 0];
  for (const row of rows) {
    plainDigest(rowBytes(row), 0).forEach((word, i) => {
      sums[i] = (sums[i]! + word) % 2 ** 32;
    });
  }
  return sums;
}

function rowBytes({ id, pool, address, port, networkKey, values }: PlainRow): Uint8Array {
  const wide = address.length === 16;
  const named = !MAPPED.every((byte, i) => networkKey[i] === byte);
  const third = Buffer.alloc(16);
  if (!wide) third.set(address, 0);
  third.writeUInt32LE(port | (pool << 16) | (wide ? WIDE_MARK : 0) | (named ? NAMED_MARK : 0), 4);
  if (!named) third.set(networkKey.slice(12), 8);
  return Buffer.concat([
    Buffer.from(id, 'hex'),
    third,
    ...(wide ? [Buffer.from(address)] : []),
    ...(named ? [Buffer.from(networkKey)] : []),
    ...values.map(valueBytes),
  ]);
}

function valueBytes(value: string | undefined): Uint8Array {
  if (value === undefined) return Buffer.alloc(16);
  const text = Buffer.from(value);
  const bytes = Buffer.alloc(16 + 16 * Math.ceil(text.length / 16));
  bytes.writeUInt32LE(text.length);
  bytes.set(text, 16);
  return new Uint8Array(Uint32Array.from(plainDigest(bytes)).buffer);
}

/** The key of a network that is named so: by the description in native-layout. */
export function plainNameKey(name: string): number[] {
  const bytes = Buffer.from(name);
  if (bytes.length <= 15 && !bytes.includes(0)) return [...Buffer.concat([Buffer.of(0xfe), bytes], 16)];
  const hash = createHash('sha256').update(Buffer.of(1)).update(bytes).digest();
  return [0xff, ...hash.subarray(0, 15)];
}
