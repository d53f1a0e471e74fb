/**
 * Sets of small numbers as one bit each, in the private memory at `set`. All are empty between two calls.
 * They are accessed by bytes: a load waits for a store to the same place that is under way, and the wider the
 * place the more of them meet.
 */

export function has(set: u32, number: u32): bool {
  return ((load<u8>(set + (number >> 3)) >> (number & 7)) & 1) !== 0;
}

/** False when `number` was there already. */
export function add(set: u32, number: u32): bool {
  const at = set + (number >> 3);
  const before: u32 = load<u8>(at);
  store<u8>(at, <u8>(before | (1 << (number & 7))));
  return ((before >> (number & 7)) & 1) === 0;
}

/** Takes out `number`. */
export function remove(set: u32, number: u32): void {
  const at = set + (number >> 3);
  const before: u32 = load<u8>(at);
  store<u8>(at, <u8>(before & ~(1 << (number & 7))));
}

/** Takes out `number` and its neighbours: enough where all that was added is taken out. */
export function clear(set: u32, number: u32): void {
  store<u8>(set + (number >> 3), 0);
}
