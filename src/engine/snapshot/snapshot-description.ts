/**
 * What the numbers in the columns of a snapshot stand for, as JSON: names and values of attributes, the names
 * of placements, the candidate sets, and how networks are computed from addresses.
 */
import { DESCRIPTION_BYTES_MAX, HEADER_WORD } from '../../../native-layout/snapshot-header.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import type { PrefixBits } from '../address/network-keys.ts';
import { CacheError } from '../errors.ts';
import type { PlacementPlan } from '../placement/placement-plan.ts';

export interface DescribedAttribute {
  readonly name: string;
  /** Text of each code, from code 1 on. */
  readonly values: readonly string[];
}

export interface DescribedSet {
  /** Number of its filter; 0 lets all rows pass. */
  readonly filter: number;
  /** `network`, or the name of an attribute. */
  readonly grouping: string;
}

export interface SnapshotDescription {
  readonly attributes: readonly DescribedAttribute[];
  readonly placements: readonly string[];
  readonly sets: readonly DescribedSet[];
  readonly prefixBits: PrefixBits;
}

/** `values`: of each attribute, in the order of their codes. */
export function describeSnapshot(
  plan: PlacementPlan,
  prefixBits: PrefixBits,
  values: readonly (readonly string[])[],
): SnapshotDescription {
  return {
    attributes: plan.attributes.map((name, i) => ({ name, values: values[i]! })),
    placements: [...plan.placements.keys()],
    sets: plan.sets.map(set => ({
      filter: set.filter,
      grouping: set.attribute === undefined ? 'network' : plan.attributes[set.attribute]!,
    })),
    prefixBits: { ipv4: prefixBits.ipv4, ipv6: prefixBits.ipv6 },
  };
}

/** Writes the description to its column; returns its length in bytes. Throws CAPACITY_EXCEEDED. */
export function writeDescription(views: SnapshotViews, description: SnapshotDescription): number {
  const bytes = new TextEncoder().encode(JSON.stringify(description));
  if (bytes.length > DESCRIPTION_BYTES_MAX) {
    throw new CacheError(
      'CAPACITY_EXCEEDED',
      `the attribute values take ${bytes.length} bytes; the limit is ${DESCRIPTION_BYTES_MAX}`,
    );
  }
  views.description.set(bytes);
  return bytes.length;
}

/** Reads the description. Throws SNAPSHOT_CORRUPT when it is none. */
export function readDescription(views: SnapshotViews): SnapshotDescription {
  // Copied, because text is not decoded from shared memory.
  const bytes = views.description.slice(0, views.header[HEADER_WORD.DESCRIPTION_BYTES]!);
  let description: unknown;
  try {
    description = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new CacheError('SNAPSHOT_CORRUPT', 'the description is no JSON', { cause });
  }
  if (!isDescription(description)) throw new CacheError('SNAPSHOT_CORRUPT', 'the description lacks a part');
  return description;
}

function isDescription(value: unknown): value is SnapshotDescription {
  const { attributes, placements, sets, prefixBits } = (value ?? {}) as Partial<SnapshotDescription>;
  return (
    isList(attributes, ({ name, values }) => isText(name) && isList(values, isText)) &&
    isList(placements, isText) &&
    isList(sets, ({ filter, grouping }) => Number.isInteger(filter) && isText(grouping)) &&
    Number.isInteger(prefixBits?.ipv4) &&
    Number.isInteger(prefixBits?.ipv6)
  );
}

function isList<T>(value: readonly T[] | undefined, isEntry: (entry: Partial<T> & T) => boolean): boolean {
  return Array.isArray(value) && value.every(entry => entry !== null && isEntry(entry));
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}
