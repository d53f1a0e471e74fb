/**
 * Placements: named policies that say which nodes may be chosen for a request and how they spread. A filter
 * is evaluated once a load, row by row, by the builder; a request never evaluates one. The policy language is
 * to come here: whatever it becomes, it compiles to a `RowFilter`.
 */
import { CacheError } from '../errors.ts';

/** A filter as configuration spells it. All given conditions must hold. */
export interface PlacementFilter {
  /** Country codes a node must have one of. */
  readonly countries?: readonly string[];
  /** Country codes a node must have none of. */
  readonly excludeCountries?: readonly string[];
  /** Attributes that must be set (`true`) or not set (`false`); `1`, `t`, `true`, `yes` count as set. */
  readonly flags?: Readonly<Record<string, boolean>>;
}

/** A placement as configuration spells it. */
export interface PlacementOptions {
  /** Share of picks from the new pool, 0 to 1. */
  readonly newFraction?: number;
  /** `network`, `none`, or an attribute name. */
  readonly distinct?: string;
  /** Caps `newFraction` at the new nodes' natural share of the candidates. True by default. */
  readonly capNewFraction?: boolean;
  readonly filter?: PlacementFilter;
}

export const DEFAULT_PLACEMENT = 'default';
export const DEFAULT_NEW_FRACTION = 0.05;

/** Judges a row by the values of its attributes. */
export type RowFilter = (attributes: readonly (string | undefined)[]) => boolean;

/**
 * A row filter over rows that carry the values of `attributes` in that order; `undefined` lets all rows pass.
 */
export function compileFilter(
  filter: PlacementFilter | undefined,
  attributes: readonly string[],
): RowFilter | undefined {
  const conditions: RowFilter[] = [];
  if (filter?.countries) conditions.push(valueIn(attributes, 'country', filter.countries, true));
  if (filter?.excludeCountries)
    conditions.push(valueIn(attributes, 'country', filter.excludeCountries, false));
  for (const [name, wanted] of Object.entries(filter?.flags ?? {})) {
    const index = attributeIndex(attributes, name);
    conditions.push(values => isSet(values[index]) === wanted);
  }
  return conditions.length === 0 ? undefined : values => conditions.every(condition => condition(values));
}

/** The attributes that `filter` reads. */
export function filterAttributes(filter: PlacementFilter | undefined): string[] {
  const names = Object.keys(filter?.flags ?? {});
  if (filter?.countries || filter?.excludeCountries) names.push('country');
  return names;
}

function valueIn(
  attributes: readonly string[],
  name: string,
  wantedValues: readonly string[],
  wanted: boolean,
): RowFilter {
  const index = attributeIndex(attributes, name);
  const set = new Set(wantedValues);
  return values => {
    const value = values[index];
    return (value !== undefined && set.has(value)) === wanted;
  };
}

function attributeIndex(attributes: readonly string[], name: string): number {
  const index = attributes.indexOf(name);
  if (index < 0) throw new CacheError('CONFIG_INVALID', `the filter reads "${name}", which no row carries`);
  return index;
}

function isSet(value: string | undefined): boolean {
  return value === '1' || value === 't' || value === 'true' || value === 'yes';
}
