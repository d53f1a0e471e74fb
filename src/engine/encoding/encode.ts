/** The wire formats that the engine encodes by itself, by name. */

import { CacheError } from '../errors.ts';
import type { EncodedFormat } from '../selection/selection-types.ts';
import { encodeJson, jsonBytesMax } from './encode-json.ts';
import { encodeMessagePack, messagePackBytesMax } from './encode-messagepack.ts';

/** Bytes that a buffer needs to take an answer of up to `count` picks for certain. */
export function encodedBytesMax(format: EncodedFormat, count: number): number {
  return format === 'json' ? jsonBytesMax(count) : messagePackBytesMax(count);
}

/** The encoder of `format`. Throws REQUEST_INVALID for a name that is none. */
export function encoderOf(format: EncodedFormat): typeof encodeJson {
  if (format === 'json') return encodeJson;
  if (format === 'messagepack') return encodeMessagePack;
  throw new CacheError('REQUEST_INVALID', `there is no format "${format}"; known: json and messagepack`, {
    field: 'format',
  });
}
