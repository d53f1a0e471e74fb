/** The wire formats that the engine encodes by itself, by name. */
import { encodeJson, jsonBytesMax } from './encode-json.ts';
import { encodeMessagePack, messagePackBytesMax } from './encode-messagepack.ts';
import type { EncodedFormat } from './selection-types.ts';

/** Bytes that a buffer needs to take an answer of up to `count` picks for certain. */
export function encodedBytesMax(format: EncodedFormat, count: number): number {
  return format === 'json' ? jsonBytesMax(count) : messagePackBytesMax(count);
}

export function encoderOf(format: EncodedFormat): typeof encodeJson {
  return format === 'json' ? encodeJson : encodeMessagePack;
}
