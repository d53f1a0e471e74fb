/**
 * Which entry makes room when a bounded memory is full: the one that is asked for least, so that no number of
 * lukewarm entries shuts out a hot one. One look at each entry, and only when something new is to go in: what
 * is known already costs nothing. Pure.
 */

/** The entry with the least heat, of several the one that stands longest; undefined when there is none. */
export function coldest<T>(entries: Iterable<T>, heat: (entry: T) => number): T | undefined {
  let found: T | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const entry of entries) {
    const own = heat(entry);
    if (own >= least) continue;
    least = own;
    found = entry;
  }
  return found;
}
