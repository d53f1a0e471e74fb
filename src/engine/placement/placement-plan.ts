/**
 * What all placements together need of a snapshot: which attributes are packed, which filters are evaluated,
 * and which candidate sets (a filter, grouped by network or by an attribute) are prepared. Loader and readers
 * derive the same plan from the same plain settings.
 */
import { DISTINCT_ATTRIBUTE, DISTINCT_NETWORK, DISTINCT_NONE } from '../../../native-layout/kernel-memory.ts';
import { ATTRIBUTES_MAX, SETS_MAX } from '../../../native-layout/snapshot-header.ts';
import { CacheError } from '../errors.ts';
import {
  compileFilter,
  DEFAULT_NEW_FRACTION,
  DEFAULT_PLACEMENT,
  filterAttributes,
  type PlacementFilter,
  type PlacementOptions,
  type RowFilter,
} from './placement.ts';

/** The builder notes in one 32-bit word which filters let a row pass. */
const FILTERS_MAX = 32;

/** Plain data: it crosses to every thread that opens the cache. */
export interface PlacementSettings {
  readonly placements: Readonly<Record<string, PlacementOptions>>;
  readonly distinctAttributes: readonly string[];
}

export interface PlannedSet {
  /** Index into `filters`. */
  readonly filter: number;
  /** Index into `attributes`, or `undefined` for grouping by network. */
  readonly attribute: number | undefined;
}

export interface PlannedPlacement {
  readonly name: string;
  readonly newFraction: number;
  readonly capNewFraction: boolean;
  readonly distinct: DistinctRule;
  /** The rule of each name that a request may give. */
  readonly distinctRules: ReadonlyMap<string, DistinctRule>;
}

/** What a distinct rule means for a placement: which candidate set, and what may not come twice. */
export interface DistinctRule {
  readonly kind: typeof DISTINCT_NETWORK | typeof DISTINCT_NONE | typeof DISTINCT_ATTRIBUTE;
  /** Index of the candidate set. */
  readonly set: number;
  /** Index of the attribute of a rule by attribute, else 0. */
  readonly attribute: number;
}

export interface PlacementPlan {
  readonly attributes: readonly string[];
  /** Entry 0 lets all rows pass. */
  readonly filters: readonly (RowFilter | undefined)[];
  /** Entry 0 is all rows by network. */
  readonly sets: readonly PlannedSet[];
  readonly placements: ReadonlyMap<string, PlannedPlacement>;
}

/** The plan of `settings`. Throws CONFIG_INVALID with the key at fault. */
export function placementPlan(settings: PlacementSettings): PlacementPlan {
  const options: Record<string, PlacementOptions> = { [DEFAULT_PLACEMENT]: {}, ...settings.placements };
  for (const [name, placement] of Object.entries(options)) checkPlacement(name, placement);
  checkDistinctAttributes(settings.distinctAttributes);
  const groupings = groupingAttributes(Object.values(options), settings.distinctAttributes);
  const attributes = [
    ...new Set([...groupings, ...Object.values(options).flatMap(p => filterAttributes(p.filter))]),
  ];
  if (attributes.length > ATTRIBUTES_MAX) {
    throw new CacheError(
      'CONFIG_INVALID',
      `placements use ${attributes.length} attributes; the limit is ${ATTRIBUTES_MAX}`,
    );
  }
  const filterKeys = [filterKey(undefined)];
  const filters: (RowFilter | undefined)[] = [undefined];
  const sets: PlannedSet[] = [];
  const rulesOf: ReadonlyMap<string, DistinctRule>[] = [addSets(sets, 0, groupings, attributes)];
  const placements = new Map<string, PlannedPlacement>();
  for (const [name, placement] of Object.entries(options)) {
    const key = filterKey(placement.filter);
    let filter = filterKeys.indexOf(key);
    if (filter < 0) {
      filter = filterKeys.push(key) - 1;
      filters.push(compileFilter(placement.filter, attributes));
      rulesOf.push(addSets(sets, filter, groupings, attributes));
    }
    const distinctRules = rulesOf[filter]!;
    placements.set(name, {
      name,
      newFraction: placement.newFraction ?? DEFAULT_NEW_FRACTION,
      capNewFraction: placement.capNewFraction ?? true,
      distinct: distinctRules.get(placement.distinct ?? 'network')!,
      distinctRules,
    });
  }
  if (filters.length > FILTERS_MAX) {
    throw new CacheError(
      'CONFIG_INVALID',
      `placements have ${filters.length - 1} different filters; the limit is ${FILTERS_MAX - 1}`,
      { field: 'placements' },
    );
  }
  if (sets.length > SETS_MAX) {
    throw new CacheError(
      'CONFIG_INVALID',
      `placements need ${sets.length} candidate sets (filters × groupings); the limit is ${SETS_MAX}`,
      { field: 'placements' },
    );
  }
  return { attributes, filters, sets, placements };
}

/** Plans the candidate sets of one filter; returns the distinct rules that they make possible. */
function addSets(
  sets: PlannedSet[],
  filter: number,
  groupings: readonly string[],
  attributes: readonly string[],
): ReadonlyMap<string, DistinctRule> {
  const byNetwork = sets.push({ filter, attribute: undefined }) - 1;
  const rules = new Map<string, DistinctRule>([
    ['network', { kind: DISTINCT_NETWORK, set: byNetwork, attribute: 0 }],
    ['none', { kind: DISTINCT_NONE, set: byNetwork, attribute: 0 }],
  ]);
  for (const grouping of groupings) {
    const attribute = attributes.indexOf(grouping);
    rules.set(grouping, { kind: DISTINCT_ATTRIBUTE, set: sets.push({ filter, attribute }) - 1, attribute });
  }
  return rules;
}

function groupingAttributes(placements: readonly PlacementOptions[], more: readonly string[]): string[] {
  const named = placements.flatMap(placement => placement.distinct ?? []);
  return [...new Set([...named, ...more])].filter(name => name !== 'network' && name !== 'none');
}

/** Equal for filters that say the same in another order. */
function filterKey(filter: PlacementFilter | undefined): string {
  return JSON.stringify([
    filter?.countries ? [...filter.countries].sort() : null,
    filter?.excludeCountries ? [...filter.excludeCountries].sort() : null,
    Object.entries(filter?.flags ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
  ]);
}

const PLACEMENT_KEYS = ['newFraction', 'distinct', 'capNewFraction', 'filter'];
const FILTER_KEYS = ['countries', 'excludeCountries', 'flags'];

/** Checks a placement that came from outside: unknown keys, types and ranges, each named by its path. */
function checkPlacement(name: string, placement: PlacementOptions): void {
  const path = `placements.${name}`;
  if (name === '') fail('placements', 'has a placement without a name');
  if (!isObject(placement)) fail(path, 'is not an object');
  checkKeys(path, placement, PLACEMENT_KEYS);
  const { newFraction, distinct, capNewFraction, filter } = placement;
  if (
    newFraction !== undefined &&
    !(typeof newFraction === 'number' && newFraction >= 0 && newFraction <= 1)
  ) {
    fail(`${path}.newFraction`, `is ${JSON.stringify(newFraction)}; it is a number from 0 to 1`);
  }
  if (distinct !== undefined && (typeof distinct !== 'string' || distinct === '')) {
    fail(`${path}.distinct`, `is ${JSON.stringify(distinct)}; it is "network", "none" or an attribute`);
  }
  if (capNewFraction !== undefined && typeof capNewFraction !== 'boolean') {
    fail(`${path}.capNewFraction`, `is ${JSON.stringify(capNewFraction)}; it is true or false`);
  }
  if (filter !== undefined) checkFilter(`${path}.filter`, filter);
}

function checkFilter(path: string, filter: PlacementFilter): void {
  if (!isObject(filter)) fail(path, 'is not an object');
  checkKeys(path, filter, FILTER_KEYS);
  for (const key of ['countries', 'excludeCountries'] as const) {
    const values = filter[key];
    if (values === undefined) continue;
    if (!Array.isArray(values) || values.length === 0 || !values.every(value => typeof value === 'string')) {
      fail(`${path}.${key}`, 'is not a list of country codes');
    }
  }
  const { flags = {} } = filter;
  if (!isObject(flags)) fail(`${path}.flags`, 'is not an object');
  for (const [flag, wanted] of Object.entries(flags)) {
    if (typeof wanted !== 'boolean') fail(`${path}.flags.${flag}`, 'is not true or false');
  }
}

function checkDistinctAttributes(names: readonly string[]): void {
  if (!Array.isArray(names) || !names.every(name => typeof name === 'string' && name !== '')) {
    fail('distinctAttributes', 'is not a list of attribute names');
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkKeys(path: string, value: object, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) fail(`${path}.${key}`, `is no known key; the keys are ${known.join(', ')}`);
  }
}

function fail(field: string, problem: string): never {
  throw new CacheError('CONFIG_INVALID', `${field} ${problem}`, { field });
}
