/**
 * Which of the two formats an `Accept` header asks for (RFC 9110, 12.5.1): most specific range, then highest
 * q.
 */
import type { EncodedFormat } from '../../engine/selection/selection-types.ts';

/** The names a format goes by; the first is the one that answers carry. */
export const MEDIA_TYPES = {
  json: ['application/json'],
  messagepack: ['application/msgpack', 'application/x-msgpack', 'application/vnd.msgpack'],
} as const satisfies Record<EncodedFormat, readonly string[]>;

export const CONTENT_TYPE: Readonly<Record<EncodedFormat, string>> = {
  json: MEDIA_TYPES.json[0],
  messagepack: MEDIA_TYPES.messagepack[0],
};

interface MediaRange {
  readonly type: string;
  readonly q: number;
}

/** Headers that are remembered: clients send few different ones. When the memory is full it starts again. */
const REMEMBERED_MAX = 64;
const REMEMBERED_CHARACTERS_MAX = 256;
const remembered = new Map<string, EncodedFormat | undefined>();

/** The format to answer in; `undefined` when the client accepts neither. JSON where it does not care. */
export function negotiate(accept: string | undefined): EncodedFormat | undefined {
  if (accept === undefined || accept === '*/*') return 'json';
  const known = remembered.get(accept);
  if (known !== undefined || remembered.has(accept)) return known;
  const format = bestFormat(parseRanges(accept));
  if (accept.length <= REMEMBERED_CHARACTERS_MAX) {
    if (remembered.size >= REMEMBERED_MAX) remembered.clear();
    remembered.set(accept, format);
  }
  return format;
}

function bestFormat(ranges: readonly MediaRange[]): EncodedFormat | undefined {
  const json = quality(ranges, MEDIA_TYPES.json);
  const messagepack = quality(ranges, MEDIA_TYPES.messagepack);
  if (json === 0 && messagepack === 0) return undefined;
  return messagepack > json ? 'messagepack' : 'json';
}

/**
 * The q of the most specific range that covers one of `types`, the best over all of them; 0 when none does.
 */
function quality(ranges: readonly MediaRange[], types: readonly string[]): number {
  const qualities = types.map(type => {
    const exact = ranges.find(range => range.type === type);
    const family = ranges.find(range => range.type === 'application/*');
    const any = ranges.find(range => range.type === '*/*');
    return (exact ?? family ?? any)?.q ?? 0;
  });
  return Math.max(...qualities);
}

function parseRanges(accept: string): MediaRange[] {
  return accept.split(',').map(part => {
    const [type = '', ...parameters] = part.split(';').map(text => text.trim().toLowerCase());
    const weight = parameters.find(parameter => parameter.startsWith('q='));
    return { type, q: weight === undefined ? 1 : parseWeight(weight.slice(2)) };
  });
}

/** A weight that is none (RFC 9110, 12.4.2) asks for nothing. */
function parseWeight(text: string): number {
  return /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(text) ? Number(text) : 0;
}
