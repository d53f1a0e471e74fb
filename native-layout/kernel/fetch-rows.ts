/** Brings rows into the processor's caches before they are worked on one by one. */
import { HEADER_WORD_ROWS, KERNEL_WORD_FETCHED, KERNEL_WORD_ROW, ROW_BYTES } from './constants';
import { directory, header, setDirectory } from './directory';
import { load32 } from './slot';

/** Rows that a second-level cache holds: fewer are there already, or come fast enough. */
const NEAR_ROWS_MAX: u32 = 24_576;

/**
 * Touches the `count` rows that are listed at `list`. The loads depend on nothing, so that many are under way
 * at once; encoders would wait for one row after the other.
 */
export function fetchRows(list: u32, count: u32): void {
  if (header(HEADER_WORD_ROWS) <= NEAR_ROWS_MAX) return;
  const rows = directory(KERNEL_WORD_ROW);
  let sum: u32 = 0;
  for (let at = list; at < list + (count << 2); at += 4) sum += load32(rows + load<u32>(at) * ROW_BYTES);
  keep(sum);
}

/** Keeps the compiler from leaving out the loads that `sum` is made of. */
export function keep(sum: u32): void {
  setDirectory(KERNEL_WORD_FETCHED, sum);
}
