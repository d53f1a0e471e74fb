/**
 * Documents put together from answers that are encoded already: a batch, and an answer with more members.
 * Encoded answers are not taken apart: an object without its first sign can be continued.
 */
import { Packr } from 'msgpackr';
import { assert } from '../../engine/assert.ts';
import type { EncodedFormat } from '../../engine/selection/selection-types.ts';
import { BATCH_ROOM } from '../../workers/batch-room.ts';

/** Plain MessagePack: no records, no structures, nothing another language would not know. */
const packr = new Packr({
  useRecords: false,
  structuredClone: false,
  moreTypes: false,
  int64AsType: 'number',
});

const NOTHING = Buffer.alloc(0);
/** Between two answers of a batch, and behind the last. */
const SEPARATOR: Readonly<Record<EncodedFormat, Buffer>> = { json: Buffer.from(','), messagepack: NOTHING };
const BATCH_END: Readonly<Record<EncodedFormat, Buffer>> = { json: Buffer.from(']}'), messagepack: NOTHING };

const FIXMAP_1 = 0x81;
const FIXMAP = 0x80;
const FIXMAP_SIZE_MAX = 15;
const ARRAY32 = 0xdd;

for (const format of ['json', 'messagepack'] as const) {
  const { before, between, behind } = BATCH_ROOM[format];
  assert(batchStart(format, 1).length === before, 'the beginning of a batch has the room that it takes');
  assert(SEPARATOR[format].length === between, 'and so has what stands between two answers');
  assert(BATCH_END[format].length === behind, 'and what stands behind the last');
}

/** `value` holds no `undefined`, which MessagePack would carry as an extension. */
export function encodeDocument(format: EncodedFormat, value: unknown): Buffer<ArrayBuffer> {
  // A copy: the packer's own arena lives on.
  return format === 'json' ? Buffer.from(JSON.stringify(value)) : Buffer.from(packr.pack(value));
}

/**
 * `{"answers": [...]}` around whole encoded answers: where they stand, if they are as the pool left them,
 * else in a copy.
 */
export function joinAnswers(format: EncodedFormat, answers: readonly Uint8Array<ArrayBuffer>[]): Buffer {
  assert(answers.length > 0, 'a batch has an answer');
  const start = batchStart(format, answers.length);
  const separator = SEPARATOR[format];
  const end = BATCH_END[format];
  if (!lieTogether(format, answers)) {
    const separated = answers.flatMap((answer, i) => (i === 0 ? [answer] : [separator, answer]));
    return Buffer.concat([start, ...separated, end]);
  }
  const bytes = Buffer.from(answers[0]!.buffer);
  start.copy(bytes);
  for (const { byteOffset } of answers.slice(1)) separator.copy(bytes, byteOffset - separator.length);
  end.copy(bytes, bytes.length - end.length);
  return bytes;
}

function batchStart(format: EncodedFormat, count: number): Buffer {
  if (format === 'json') return Buffer.from('{"answers":[');
  const size = Buffer.alloc(5);
  size[0] = ARRAY32;
  size.writeUInt32BE(count, 1);
  return Buffer.concat([Buffer.from([FIXMAP_1]), packr.pack('answers'), size]);
}

/** One behind the other in one memory, with the room that a document needs. */
function lieTogether(format: EncodedFormat, answers: readonly Uint8Array[]): boolean {
  const { before, between, behind } = BATCH_ROOM[format];
  const { buffer } = answers[0]!;
  let at = before;
  for (const answer of answers) {
    if (answer.buffer !== buffer || answer.byteOffset !== at) return false;
    at += answer.length + between;
  }
  return buffer.byteLength === at - between + behind;
}

/** The encoded object `bytes` with `members` in front of its own. */
export function withMembers(format: EncodedFormat, members: object, bytes: Uint8Array): Buffer<ArrayBuffer> {
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
