/** The order of the picks, which carries no information, or says the pool. */
import { HEADER_WORD_VETTED, KERNEL_WORD_MOVES } from './constants';
import { directory, header } from './directory';
import { below } from './random';

/** Exchanges each of the first `newFirst` of the picks, or all of them, with a pick at random. */
export function mix(picks: u32, pickCount: u32, newFirst: u32, fully: bool): void {
  if (pickCount === 0) return;
  const last = pickCount - 1;
  const exchanged = fully || newFirst > last ? last : newFirst;
  for (let i: u32 = 0; i < exchanged; i++) {
    const here = picks + (i << 2);
    const there = picks + ((i + below(pickCount - i)) << 2);
    const row = load<u32>(here);
    store<u32>(here, load<u32>(there));
    store<u32>(there, row);
  }
}

/** Rows of the vetted pool come first in a snapshot; the order inside the pools is random and stays. */
export function sortVettedFirst(picks: u32, pickCount: u32): void {
  const vettedCount = header(HEADER_WORD_VETTED);
  const others = directory(KERNEL_WORD_MOVES);
  let vetted: u32 = 0;
  let other: u32 = 0;
  for (let i: u32 = 0; i < pickCount; i++) {
    const row = load<u32>(picks + (i << 2));
    if (row < vettedCount) store<u32>(picks + (vetted++ << 2), row);
    else store<u32>(others + (other++ << 2), row);
  }
  memory.copy(picks + (vetted << 2), others, other << 2);
}
