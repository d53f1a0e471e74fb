/** Places of rates over reloads of any lists: nobody shares one, and whoever stays keeps theirs. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Identity, RIGHTS } from '../../../src/server/access/identity.ts';
import { IDENTITIES_MAX } from '../../../src/server/access/identity-file.ts';
import { keepPlaces } from '../../../src/server/access/rate-places.ts';
import { checkProperty } from '../../support/property.ts';

function identities(names: readonly string[]): Identity[] {
  const rest = { digest: undefined, countMax: undefined, ratePerSecond: 5, rights: RIGHTS };
  return names.map((name, index) => ({ name, index, ...rest }));
}

test('a name keeps its place, and no two have one', () => {
  const list = fc.uniqueArray(fc.integer({ min: 0, max: 30 }).map(String), { maxLength: 20 });
  checkProperty(
    fc.property(fc.array(list, { minLength: 2, maxLength: 8 }), lists => {
      let before = identities(lists[0]!);
      for (const names of lists.slice(1)) {
        const after = keepPlaces(identities(names), before);
        expect(after.map(({ name }) => name)).toEqual(names);
        const places = after.map(({ index }) => index);
        expect(new Set(places).size).toBe(names.length);
        for (const place of places) expect(place >= 0 && place < IDENTITIES_MAX).toBe(true);
        const had = new Map(before.map(({ name, index }) => [name, index]));
        for (const { name, index } of after) {
          if (had.has(name)) expect(index).toBe(had.get(name));
          else expect([...had.values()]).not.toContain(index);
        }
        before = after;
      }
    }),
  );
});

test('all places in use are given on to all others', () => {
  const names = (prefix: string) => Array.from({ length: IDENTITIES_MAX }, (_, i) => `${prefix}${i}`);
  const after = keepPlaces(identities(names('b')), identities(names('a')));
  expect(new Set(after.map(({ index }) => index)).size).toBe(IDENTITIES_MAX);
});
