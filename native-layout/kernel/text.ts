/** Texts, numbers and ids as the encoders write them to the private memory. */

import {
  HEX_DIGITS,
  KERNEL_WORD_WIDE_ADDRESS,
  LOW_HALVES,
  ROW_ADDRESS_BYTE,
  WIDE_ADDRESS_BYTES,
  WIDE_TEXT_LENGTH_BYTE,
} from './constants';
import { directory } from './directory';
import { load32, load128 } from './slot';

/** Writes `value` in decimal digits; returns the place behind them. */
export function writeDecimal(at: u32, value: u64): u32 {
  let digits: u32 = 1;
  for (let rest = value / 10; rest !== 0; rest /= 10) digits++;
  let rest = value;
  for (let to = at + digits; to > at; rest /= 10) store<u8>(--to, <u8>(48 + (rest % 10)));
  return at + digits;
}

/** Writes the 32 bytes `bytes` (two vectors) as 64 hexadecimal digits. */
export function writeHex(at: u32, low: v128, high: v128): void {
  writeHexHalf(at, low);
  writeHexHalf(at + 32, high);
}

function writeHexHalf(at: u32, bytes: v128): void {
  const mask = v128.load(LOW_HALVES);
  const upper = digitsOf(v128.and(i16x8.shr_u(bytes, 4), mask));
  const lower = digitsOf(v128.and(bytes, mask));
  v128.store(at, i8x16.shuffle(upper, lower, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  v128.store(
    at,
    i8x16.shuffle(upper, lower, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
    16,
  );
}

function digitsOf(halves: v128): v128 {
  return i8x16.relaxed_swizzle(v128.load(HEX_DIGITS), halves);
}

/** Where the wide address of `row` (a place in the slot) is. */
export function wideAddressOf(row: u32): u32 {
  return directory(KERNEL_WORD_WIDE_ADDRESS) + load32(row + ROW_ADDRESS_BYTE) * WIDE_ADDRESS_BYTES;
}

export function wideTextLength(wide: u32): u32 {
  return load32(wide + WIDE_TEXT_LENGTH_BYTE - 3) >> 24;
}

/** Writes the text of the wide address at `wide`, and some bytes behind it; returns the place behind it. */
export function writeWideText(at: u32, wide: u32): u32 {
  v128.store(at, load128(wide));
  v128.store(at, load128(wide + 16), 16);
  v128.store(at, load128(wide + 32), 32);
  return at + wideTextLength(wide);
}

/** Copies the vector `vector` (KERNEL_VECTOR) to `at`: all of it, whatever counts. */
export function writeVector(at: u32, vector: u32): void {
  v128.store(at, v128.load(vector));
}
