/**
 * Which word of `rate-words.ts` counts for whom: a name keeps its word while it is listed, wherever its line
 * moves, so that nobody inherits the count of a neighbour. Main thread; pure.
 */
import type { Identity } from './identity.ts';
import { IDENTITIES_MAX } from './identity-file.ts';

/**
 * `next` with the places that the names had `before`. A new name gets a place that nobody had then, while
 * there is one; after that the place of a name that is gone.
 */
export function keepPlaces(next: readonly Identity[], before: readonly Identity[]): Identity[] {
  const listed = new Set(next.map(({ name }) => name));
  const places = new Map(before.map(({ name, index }) => [name, index]));
  const used = new Set(places.values());
  const free = Array.from({ length: IDENTITIES_MAX }, (_, place) => place).filter(place => !used.has(place));
  for (const [name, place] of places) if (!listed.has(name)) free.push(place);
  const fresh = free.values();
  return next.map(identity => {
    const index = places.get(identity.name) ?? fresh.next().value;
    if (index === undefined) throw new Error(`there are more than ${IDENTITIES_MAX} identities`);
    return { ...identity, index };
  });
}
