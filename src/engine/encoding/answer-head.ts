/**
 * The beginning of an encoded answer, up to its age: what may be written anew long after the nodes behind it
 * were chosen. So that a prepared answer says its age as of the moment it is sent, in the very bytes that it
 * would have if it had been computed then.
 */
import {
  JSON_TEXT,
  MESSAGEPACK_FLOAT64,
  MESSAGEPACK_TEXT,
  MESSAGEPACK_UINT32,
} from '../../../native-layout/answer-text.ts';
import type { EncodedFormat } from '../selection/selection-types.ts';
import { writeAscii } from './encode-bytes.ts';

/** Longest beginning in either format: `{"generation":<10>,"ageMs":<16>,`. */
export const ANSWER_HEAD_BYTES_MAX = 50;

const COMMA = 44;
const DIGIT_ZERO = 48;
const PACKED_AGE_AT = MESSAGEPACK_TEXT.GENERATION.length + 4 + MESSAGEPACK_TEXT.AGE.length;

/** Where the rest begins in the encoded answer at `start` of `bytes`: its nodes. */
export function answerRestStart(format: EncodedFormat, bytes: Uint8Array, start: number): number {
  if (format === 'messagepack')
    return start + PACKED_AGE_AT + (bytes[start + PACKED_AGE_AT] === MESSAGEPACK_UINT32 ? 5 : 9);
  let at = bytes.indexOf(COMMA, start + JSON_TEXT.GENERATION.length);
  at = bytes.indexOf(COMMA, at + JSON_TEXT.AGE.length);
  return at + 1;
}

/** Writes a beginning so that it ends at `end`, in front of the rest; returns where it starts. */
export function writeAnswerHead(
  format: EncodedFormat,
  generation: number,
  ageMs: number,
  target: Uint8Array,
  end: number,
): number {
  if (format === 'messagepack') return writePackedHead(generation, ageMs, target, end);
  target[end - 1] = COMMA;
  let at = writeDigits(ageMs, target, end - 1) - JSON_TEXT.AGE.length;
  writeAscii(target, at, JSON_TEXT.AGE);
  at = writeDigits(generation, target, at) - JSON_TEXT.GENERATION.length;
  writeAscii(target, at, JSON_TEXT.GENERATION);
  return at;
}

/** Decimal digits of a whole number up to 2^53, ending at `end`; returns where they start. */
function writeDigits(value: number, target: Uint8Array, end: number): number {
  let at = end;
  let rest = value;
  do {
    const tens = Math.floor(rest / 10);
    target[--at] = DIGIT_ZERO + rest - 10 * tens;
    rest = tens;
  } while (rest > 0);
  return at;
}

function writePackedHead(generation: number, ageMs: number, target: Uint8Array, end: number): number {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  const wide = ageMs > 0xffff_ffff;
  const start = end - PACKED_AGE_AT - (wide ? 9 : 5);
  let at = writeAscii(target, start, MESSAGEPACK_TEXT.GENERATION);
  view.setUint32(at, generation, false);
  at = writeAscii(target, at + 4, MESSAGEPACK_TEXT.AGE);
  target[at] = wide ? MESSAGEPACK_FLOAT64 : MESSAGEPACK_UINT32;
  if (wide) view.setFloat64(at + 1, ageMs, false);
  else view.setUint32(at + 1, ageMs, false);
  return start;
}
