/** Ids as hexadecimal text, made the bytes that the id index is asked with. */
import {
  CASE_BITS,
  CHARACTER_0,
  CHARACTER_A,
  HEX_LETTERS,
  ID_BYTES,
  KERNEL_WORD_ID_TEXT,
  KERNEL_WORD_IDS,
  LOW_BYTES,
  TENS,
} from './constants';
import { directory } from './directory';

const ID_DIGITS: u32 = 2 * ID_BYTES;

/**
 * Decodes `count` ids of 64 digits each, one behind the other at ID_TEXT, to the ids from number `first` on.
 * Returns how many: fewer where one is no id.
 */
export function decodeIds(first: u32, count: u32): u32 {
  let text = directory(KERNEL_WORD_ID_TEXT);
  let id = directory(KERNEL_WORD_IDS) + first * ID_BYTES;
  for (let i: u32 = 0; i < count; i++) {
    if (!decodeHalf(text, id) || !decodeHalf(text + 32, id + 16)) return i;
    text += ID_DIGITS;
    id += ID_BYTES;
  }
  return count;
}

/** Decodes 32 digits to 16 bytes; false when one of them is no digit. */
function decodeHalf(text: u32, bytes: u32): bool {
  const left = v128.load(text);
  const right = v128.load(text, 16);
  const leftDigits = i8x16.sub(left, v128.load(CHARACTER_0));
  const rightDigits = i8x16.sub(right, v128.load(CHARACTER_0));
  const leftLetters = i8x16.sub(v128.or(left, v128.load(CASE_BITS)), v128.load(CHARACTER_A));
  const rightLetters = i8x16.sub(v128.or(right, v128.load(CASE_BITS)), v128.load(CHARACTER_A));
  const leftAreDigits = i8x16.lt_u(leftDigits, v128.load(TENS));
  const rightAreDigits = i8x16.lt_u(rightDigits, v128.load(TENS));
  const leftFit = v128.or(leftAreDigits, i8x16.lt_u(leftLetters, v128.load(HEX_LETTERS)));
  const rightFit = v128.or(rightAreDigits, i8x16.lt_u(rightLetters, v128.load(HEX_LETTERS)));
  const leftHalves = v128.bitselect(leftDigits, i8x16.add(leftLetters, v128.load(TENS)), leftAreDigits);
  const rightHalves = v128.bitselect(rightDigits, i8x16.add(rightLetters, v128.load(TENS)), rightAreDigits);
  v128.store(bytes, i8x16.narrow_i16x8_u(joined(leftHalves), joined(rightHalves)));
  return i8x16.all_true(v128.and(leftFit, rightFit));
}

/** Of each pair of half bytes a byte, in 16 bits: the first half is the upper one. */
function joined(halves: v128): v128 {
  return v128.and(v128.or(i16x8.shl(halves, 4), i16x8.shr_u(halves, 8)), v128.load(LOW_BYTES));
}
