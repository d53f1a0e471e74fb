/**
 * Documents put together from answers that are encoded already: a batch, and an answer with more members.
 * Encoded answers are not taken apart: an object without its first sign can be continued.
 */
import { Packr } from 'msgpackr';
import type { EncodedFormat } from '../../engine/selection/selection-types.ts';

/** Plain MessagePack: no records, no structures, nothing another language would not know. */
const packr = new Packr({
  useRecords: false,
  structuredClone: false,
  moreTypes: false,
  int64AsType: 'number',
});

const COMMA = Buffer.from(',');
const BATCH_START = Buffer.from('{"answers":[');
const BATCH_END = Buffer.from(']}');

const FIXMAP_1 = 0x81;
const FIXMAP = 0x80;
const FIXMAP_SIZE_MAX = 15;
const ARRAY32 = 0xdd;

/** `value` holds no `undefined`, which MessagePack would carry as an extension. */
export function encodeDocument(format: EncodedFormat, value: unknown): Buffer {
  // A copy: the packer's own arena lives on.
  return format === 'json' ? Buffer.from(JSON.stringify(value)) : Buffer.from(packr.pack(value));
}

/** `{"answers": [...]}` around whole encoded answers. */
export function joinAnswers(format: EncodedFormat, answers: readonly Uint8Array[]): Buffer {
  if (format === 'messagepack') {
    const head = Buffer.alloc(5);
    head[0] = ARRAY32;
    head.writeUInt32BE(answers.length, 1);
    return Buffer.concat([Buffer.from([FIXMAP_1]), packr.pack('answers'), head, ...answers]);
  }
  const parts = answers.flatMap((answer, index) => (index === 0 ? [answer] : [COMMA, answer]));
  return Buffer.concat([BATCH_START, ...parts, BATCH_END]);
}

/** The encoded object `bytes` with `members` in front of its own. */
export function withMembers(format: EncodedFormat, members: object, bytes: Uint8Array): Buffer {
  if (format === 'json') {
    const text = JSON.stringify(members);
    return Buffer.concat([Buffer.from(`${text.slice(0, -1)},`), bytes.subarray(1)]);
  }
  const entries = Object.entries(members);
  const size = (bytes[0]! & FIXMAP_SIZE_MAX) + entries.length;
  if (size > FIXMAP_SIZE_MAX) throw new RangeError(`${size} members do not fit a short map`);
  const packed = entries.flatMap(entry => entry.map(part => Buffer.from(packr.pack(part))));
  return Buffer.concat([Buffer.from([FIXMAP | size]), ...packed, bytes.subarray(1)]);
}
