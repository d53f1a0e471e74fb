/**
 * MessagePack request bodies, read by hand: only what JSON can say too, with text keys, none of them twice,
 * bounded depth and size, no extension types; a binary of 32 bytes is a node id and becomes its text. A
 * declared length is believed only as far as there are bytes, so that nothing is allocated on a client's
 * word.
 */
import { ID_BYTES } from '../../../native-layout/snapshot-row.ts';
import { BodyError, JSON_DEPTH_MAX } from '../strict-json.ts';

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** The value that `bytes` hold. Throws `BodyError`. */
export function parseMessagePack(bytes: Uint8Array): unknown {
  if (bytes.length === 0) throw new BodyError('the body is empty');
  const reader = new MessagePackReader(bytes);
  const value = reader.value(0, '');
  if (!reader.atEnd) throw new BodyError('the MessagePack goes on behind its value');
  return value;
}

class MessagePackReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  value(depth: number, path: string): unknown {
    if (depth > JSON_DEPTH_MAX)
      throw new BodyError(`the MessagePack is nested deeper than ${JSON_DEPTH_MAX}`);
    const head = this.#unsigned(1);
    if (head <= 0x7f) return head;
    if (head <= 0x8f) return this.#map(head & 0x0f, depth, path);
    if (head <= 0x9f) return this.#array(head & 0x0f, depth, path);
    if (head <= 0xbf) return this.#text(head & 0x1f);
    if (head >= 0xe0) return head - 0x100;
    return this.#headed(head, depth, path);
  }

  /** Values whose kind fills the whole first byte. */
  #headed(head: number, depth: number, path: string): unknown {
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#binary(this.#unsigned(1 << (head - 0xc4)), path);
      case 0xca:
        return this.#view.getFloat32(this.#take(4));
      case 0xcb:
        return this.#view.getFloat64(this.#take(8));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.#unsigned(1 << (head - 0xcc));
      case 0xcf:
        return Number(this.#view.getBigUint64(this.#take(8)));
      case 0xd0:
        return this.#view.getInt8(this.#take(1));
      case 0xd1:
        return this.#view.getInt16(this.#take(2));
      case 0xd2:
        return this.#view.getInt32(this.#take(4));
      case 0xd3:
        return Number(this.#view.getBigInt64(this.#take(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#unsigned(1 << (head - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#unsigned(head === 0xdc ? 2 : 4), depth, path);
      case 0xde:
      case 0xdf:
        return this.#map(this.#unsigned(head === 0xde ? 2 : 4), depth, path);
      default:
        throw refused(`holds an extension type or an unused one (0x${head.toString(16)})`, path);
    }
  }

  #array(length: number, depth: number, path: string): unknown[] {
    this.#expect(length);
    const values: unknown[] = [];
    for (let i = 0; i < length; i++) values.push(this.value(depth + 1, `${path}[${i}]`));
    return values;
  }

  #map(length: number, depth: number, path: string): Record<string, unknown> {
    this.#expect(2 * length);
    const map: Record<string, unknown> = {};
    for (let i = 0; i < length; i++) {
      const key = this.value(depth + 1, path);
      if (typeof key !== 'string') throw refused('has a key that is no text', path);
      const keyPath = path === '' ? key : `${path}.${key}`;
      if (Object.hasOwn(map, key)) throw new BodyError(`${keyPath} is there twice`, keyPath);
      // Plain assignment to `__proto__` would set no key at all; so the schema sees it, and refuses it.
      const value = this.value(depth + 1, keyPath);
      Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true });
    }
    return map;
  }

  #text(length: number): string {
    const start = this.#take(length);
    try {
      return UTF8.decode(this.#bytes.subarray(start, start + length));
    } catch {
      // The decoder says no more than that the bytes are not UTF-8.
      throw new BodyError('the MessagePack holds a text that is not valid UTF-8');
    }
  }

  #binary(length: number, path: string): string {
    const start = this.#take(length);
    if (length !== ID_BYTES) throw refused(`is a binary of ${length} bytes; an id has ${ID_BYTES}`, path);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, length).toString('hex');
  }

  #unsigned(width: number): number {
    const at = this.#take(width);
    if (width === 1) return this.#view.getUint8(at);
    return width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  /** Moves on by `length` bytes; returns where they start. */
  #take(length: number): number {
    const start = this.#at;
    this.#expect(length);
    this.#at = start + length;
    return start;
  }

  /** Every value takes a byte at the least. */
  #expect(length: number): void {
    if (this.#at + length > this.#bytes.length) throw new BodyError('the MessagePack ends too early');
  }
}

function refused(problem: string, path: string): BodyError {
  const name = path === '' ? 'the MessagePack' : path;
  return new BodyError(`${name} ${problem}`, path === '' ? undefined : path);
}
