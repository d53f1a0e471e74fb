/**
 * Placements as configuration: what a plan is made of, what filters let pass, and errors that name the key at
 * fault.
 */
import { describe, expect, test } from 'vitest';
import {
  compileFilter,
  filterAttributes,
  type PlacementFilter,
} from '../../src/engine/placement/placement.ts';
import { type PlacementSettings, placementPlan } from '../../src/engine/placement/placement-plan.ts';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import { LocalCache } from '../support/local-cache.ts';
import { testNode, testRow } from '../support/population.ts';

const NONE: PlacementSettings = { placements: {}, distinctAttributes: [] };

describe('a plan', () => {
  test('has a default placement, and one set of all rows by network, when nothing is configured', () => {
    const plan = placementPlan(NONE);
    expect([...plan.placements.keys()]).toEqual(['default']);
    expect(plan.placements.get('default')).toMatchObject({ newFraction: 0.05, capNewFraction: true });
    expect(plan.sets).toEqual([{ filter: 0, attribute: undefined }]);
    expect(plan.filters).toEqual([undefined]);
    expect(plan.attributes).toEqual([]);
  });

  test('shares a filter among placements that spell it in another order', () => {
    const plan = placementPlan({
      placements: {
        a: { filter: { countries: ['DE', 'FR'], flags: { exit: true, fast: false } } },
        b: { filter: { flags: { fast: false, exit: true }, countries: ['FR', 'DE'] } },
        c: { filter: { countries: ['FR'] } },
      },
      distinctAttributes: [],
    });
    expect(plan.filters).toHaveLength(3);
    expect(plan.attributes.toSorted()).toEqual(['country', 'exit', 'fast']);
  });

  test('prepares every attribute that a placement or a request may spread by, for every filter', () => {
    const plan = placementPlan({
      placements: { spread: { distinct: 'rack' }, some: { filter: { countries: ['DE'] } } },
      distinctAttributes: ['owner', 'rack'],
    });
    const groupings = plan.sets.map(({ filter, attribute }) => [
      filter,
      attribute === undefined ? 'network' : plan.attributes[attribute],
    ]);
    expect(groupings.toSorted()).toEqual(
      [0, 1].flatMap(filter => ['network', 'owner', 'rack'].map(name => [filter, name])),
    );
  });

  test('lets configuration change the default placement', () => {
    const plan = placementPlan({ placements: { default: { newFraction: 0.5 } }, distinctAttributes: [] });
    expect(plan.placements.get('default')).toMatchObject({ newFraction: 0.5 });
  });
});

describe('a filter', () => {
  const ATTRIBUTES = ['country', 'exit'];
  const row = (country?: string, exit?: string) => ({ attributes: [country, exit] }) as unknown as NodeRow;

  test.each<[string, PlacementFilter, NodeRow, boolean]>([
    ['a country it lists', { countries: ['DE', 'FR'] }, row('FR'), true],
    ['a country it does not list', { countries: ['DE', 'FR'] }, row('US'), false],
    ['no country, where it lists some', { countries: ['DE'] }, row(undefined), false],
    ['a country that it excludes', { excludeCountries: ['DE'] }, row('DE'), false],
    ['a country that it does not exclude', { excludeCountries: ['DE'] }, row('FR'), true],
    ['no country, where it excludes some', { excludeCountries: ['DE'] }, row(undefined), true],
    ['a listed country in other letters', { countries: ['DE'] }, row('de'), false],
    ['a flag that is 1', { flags: { exit: true } }, row('DE', '1'), true],
    ['a flag that is t', { flags: { exit: true } }, row('DE', 't'), true],
    ['a flag that is yes', { flags: { exit: true } }, row('DE', 'yes'), true],
    ['a flag that is 0', { flags: { exit: true } }, row('DE', '0'), false],
    ['a flag that is missing', { flags: { exit: true } }, row('DE'), false],
    ['a flag that must not be set and is missing', { flags: { exit: false } }, row('DE'), true],
    ['a flag that must not be set and is', { flags: { exit: false } }, row('DE', 'true'), false],
    ['all conditions', { countries: ['DE'], flags: { exit: true } }, row('DE', '1'), true],
    ['one condition of two', { countries: ['DE'], flags: { exit: true } }, row('FR', '1'), false],
  ])('meets %s', (_, filter, nodeRow, passes) => {
    expect(compileFilter(filter, ATTRIBUTES)!(nodeRow.attributes)).toBe(passes);
  });

  test('without conditions is no filter', () => {
    expect(compileFilter(undefined, [])).toBeUndefined();
    expect(compileFilter({}, [])).toBeUndefined();
    expect(filterAttributes({ flags: { a: true }, countries: ['DE'] }).toSorted()).toEqual(['a', 'country']);
  });

  test('that reads an attribute which no row carries is refused', () => {
    expect(() => compileFilter({ flags: { exit: true } }, ['country'])).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });
});

describe('a configuration error names its key:', () => {
  test.each<[string, unknown]>([
    ['placements.x', { placements: { x: null } }],
    ['placements.x', { placements: { x: 7 } }],
    ['placements.x', { placements: { x: [] } }],
    ['placements', { placements: { '': {} } }],
    ['placements.x.newfraction', { placements: { x: { newfraction: 0.1 } } }],
    ['placements.x.newFraction', { placements: { x: { newFraction: -0.1 } } }],
    ['placements.x.newFraction', { placements: { x: { newFraction: 1.1 } } }],
    ['placements.x.newFraction', { placements: { x: { newFraction: '0.1' } } }],
    ['placements.x.newFraction', { placements: { x: { newFraction: Number.NaN } } }],
    ['placements.x.newFraction', { placements: { x: { newFraction: null } } }],
    ['placements.x.distinct', { placements: { x: { distinct: '' } } }],
    ['placements.x.distinct', { placements: { x: { distinct: 7 } } }],
    ['placements.x.capNewFraction', { placements: { x: { capNewFraction: 'yes' } } }],
    ['placements.x.filter', { placements: { x: { filter: null } } }],
    ['placements.x.filter', { placements: { x: { filter: 'DE' } } }],
    ['placements.x.filter.country', { placements: { x: { filter: { country: 'DE' } } } }],
    ['placements.x.filter.countries', { placements: { x: { filter: { countries: 'DE' } } } }],
    ['placements.x.filter.countries', { placements: { x: { filter: { countries: [] } } } }],
    ['placements.x.filter.excludeCountries', { placements: { x: { filter: { excludeCountries: [7] } } } }],
    ['placements.x.filter.flags', { placements: { x: { filter: { flags: null } } } }],
    ['placements.x.filter.flags', { placements: { x: { filter: { flags: ['exit'] } } } }],
    ['placements.x.filter.flags.exit', { placements: { x: { filter: { flags: { exit: 1 } } } } }],
    ['distinctAttributes', { distinctAttributes: 'country' }],
    ['distinctAttributes', { distinctAttributes: [''] }],
    ['distinctAttributes', { distinctAttributes: [7] }],
    [
      'placements',
      {
        placements: Object.fromEntries(
          Array.from({ length: 41 }, (_, n) => [`p${n}`, { filter: { countries: [`${n}`] } }]),
        ),
      },
    ],
    [
      'placements',
      {
        placements: Object.fromEntries(
          Array.from({ length: 20 }, (_, n) => [`p${n}`, { filter: { countries: [`${n}`] } }]),
        ),
        distinctAttributes: ['a', 'b'],
      },
    ],
  ])('%s in %j', (field, settings) => {
    const plan = () => placementPlan({ ...NONE, ...(settings as Partial<PlacementSettings>) });
    expect(plan).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', field }));
  });

  test('more attributes than a snapshot has columns', () => {
    const distinctAttributes = Array.from({ length: 17 }, (_, n) => `attribute ${n}`);
    expect(() => placementPlan({ ...NONE, distinctAttributes })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });
});

test('as many filters as are allowed each let their own rows pass', () => {
  const countries = Array.from({ length: 31 }, (_, n) => `C${n}`);
  const placements = Object.fromEntries(
    countries.map(country => [country, { filter: { countries: [country] } }]),
  );
  const cache = new LocalCache({ capacity: 31, settings: { placements, distinctAttributes: [] } });
  cache.publish(
    countries.map((country, n) => ({ ...testRow(testNode(n, n, 'vetted')), attributes: [country] })),
  );
  const reader = cache.reader();
  for (const [n, country] of countries.entries()) {
    const ids = reader.select({ count: 2, placement: country }).nodes.map(({ id }) => id);
    expect(ids).toEqual([testNode(n, n, 'vetted').id]);
  }
});

test('one filter more than a row has bits for is refused, not mixed up with another', () => {
  const placements = Object.fromEntries(
    Array.from({ length: 32 }, (_, n) => [`p${n}`, { filter: { countries: [`C${n}`] } }]),
  );
  expect(() => placementPlan({ ...NONE, placements })).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', field: 'placements' }),
  );
});
