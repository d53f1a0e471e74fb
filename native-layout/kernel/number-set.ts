/** Sets of small numbers as one bit each, in the private memory at `set`. All are empty between two calls. */

export function has(set: u32, number: u32): bool {
  return (load<u32>(set + ((number >> 5) << 2)) & (1 << (number & 31))) !== 0;
}

/** False when `number` was there already. */
export function add(set: u32, number: u32): bool {
  const at = set + ((number >> 5) << 2);
  const bit: u32 = 1 << (number & 31);
  const before = load<u32>(at);
  store<u32>(at, before | bit);
  return (before & bit) === 0;
}

/** Takes out `number` and its neighbours: enough where all that was added is taken out. */
export function clear(set: u32, number: u32): void {
  store<u32>(set + ((number >> 5) << 2), 0);
}
