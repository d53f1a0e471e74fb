/** Ids as hexadecimal text, made the bytes that the id index is asked with. */
import {
  CASE_BITS,
  CHARACTER_A,
  DIGITS_TO_TOP,
  HALVES_TO_BYTE,
  HIGH_HALVES,
  ID_BYTES,
  KERNEL_WORD_ID_TEXT,
  KERNEL_WORD_IDS,
  LETTERS,
  TENS,
} from './constants';
import { directory } from './directory';

/**
 * Decodes `count` ids of 64 digits each, `stride` bytes apart from ID_TEXT on, to the ids from number `first`
 * on. Returns how many: fewer where one is no id.
 */
export function decodeIds(first: u32, count: u32, stride: u32): u32 {
  let text = directory(KERNEL_WORD_ID_TEXT);
  let id = directory(KERNEL_WORD_IDS) + first * ID_BYTES;
  for (let i: u32 = 0; i < count; i++) {
    const a = valuesOf(v128.load(text));
    const b = valuesOf(v128.load(text, 16));
    const c = valuesOf(v128.load(text, 32));
    const d = valuesOf(v128.load(text, 48));
    v128.store(id, i8x16.narrow_i16x8_u(joined(a), joined(b)));
    v128.store(id, i8x16.narrow_i16x8_u(joined(c), joined(d)), 16);
    const all = v128.or(v128.or(a, b), v128.or(c, d));
    if (v128.any_true(v128.and(all, v128.load(HIGH_HALVES)))) return i;
    text += stride;
    id += ID_BYTES;
  }
  return count;
}

/**
 * What 16 digits are worth, 0 to 15 each; more than that for any other sign. The digits are moved to the top
 * of a byte and below what saturates, the letters to ten and what follows: what is neither is large in both.
 */
function valuesOf(text: v128): v128 {
  const top = i8x16.sub_sat_u(i8x16.add(text, v128.load(DIGITS_TO_TOP)), v128.load(LETTERS));
  const digits = i8x16.sub(top, v128.load(HIGH_HALVES));
  const letters = i8x16.sub(v128.or(text, v128.load(CASE_BITS)), v128.load(CHARACTER_A));
  return i8x16.min_u(digits, i8x16.add_sat_u(letters, v128.load(TENS)));
}

/** Of each pair of values a byte, in 16 bits: the first one is the upper half. */
function joined(values: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(v128.load(HALVES_TO_BYTE), values);
}
