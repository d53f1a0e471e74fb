/**
 * Checks a selection request that came from outside. Nothing is coerced: a field that is wrong is named, and
 * so is one that does not exist. Ids are checked here by type and count; their content when they are looked
 * up.
 */
import { ID_BYTES } from '../../../native-layout/snapshot-row.ts';
import { CacheError } from '../errors.ts';
import { IdDigits } from './id-digits.ts';
import type { NodeIds, SelectionRequest } from './selection-types.ts';

export const DEFAULT_COUNT = 110;

export interface SelectionLimits {
  /** Largest `count`. */
  readonly countMax: number;
  /** Most ids in `exclude` and `held` together, and in one lookup. */
  readonly idsMax: number;
}

export const DEFAULT_LIMITS: SelectionLimits = { countMax: 1_000, idsMax: 10_000 };

const FIELDS: readonly (keyof SelectionRequest)[] = [
  'count',
  'newFraction',
  'exclude',
  'held',
  'placement',
  'distinct',
  'partial',
  'fillWithNew',
  'order',
];
const FIELD_SET: ReadonlySet<string> = new Set(FIELDS);

/** Throws REQUEST_INVALID with the field at fault. The count is checked even when it is the default. */
export function checkRequest(request: SelectionRequest, limits: SelectionLimits): void {
  if (typeof request !== 'object' || request === null || Array.isArray(request)) {
    throw invalid('', `a request is an object, not ${describe(request)}`);
  }
  for (const field in request) {
    if (!FIELD_SET.has(field)) {
      throw invalid(field, `there is no field "${field}"; the fields are ${FIELDS.join(', ')}`);
    }
  }
  const { count = DEFAULT_COUNT, newFraction, order } = request;
  if (!Number.isInteger(count) || count < 1 || count > limits.countMax) {
    throw invalid('count', `count is ${describe(count)}; it is an integer from 1 to ${limits.countMax}`);
  }
  if (
    newFraction !== undefined &&
    !(typeof newFraction === 'number' && newFraction >= 0 && newFraction <= 1)
  ) {
    throw invalid('newFraction', `newFraction is ${describe(newFraction)}; it is a number from 0 to 1`);
  }
  if (request.exclude !== undefined || request.held !== undefined) checkIds(request, limits);
  checkText('placement', request.placement);
  checkText('distinct', request.distinct);
  checkFlag('partial', request.partial);
  checkFlag('fillWithNew', request.fillWithNew);
  if (order !== undefined && order !== 'random' && order !== 'vetted-first') {
    throw invalid('order', `order is ${describe(order)}; it is "random" or "vetted-first"`);
  }
}

function checkIds(request: SelectionRequest, limits: SelectionLimits): void {
  const excluded = checkIdList('exclude', request.exclude);
  const ids = excluded + checkIdList('held', request.held);
  if (ids <= limits.idsMax) return;
  throw invalid(
    excluded > 0 ? 'exclude' : 'held',
    `exclude and held have ${ids} ids together; the limit is ${limits.idsMax}`,
  );
}

/** Checks the ids of a lookup. */
export function checkLookup(ids: unknown, limits: SelectionLimits): void {
  if (ids === undefined) throw invalid('ids', 'ids is missing; it is a list of node ids');
  const count = checkIdList('ids', ids);
  if (count > limits.idsMax) throw invalid('ids', `ids has ${count} ids; the limit is ${limits.idsMax}`);
}

/** How many ids they are. */
export function idCount(ids: NodeIds): number {
  return ids instanceof Uint8Array ? ids.length / ID_BYTES : ids.length;
}

/** The error for an element of an id list that is no node id. */
export function invalidId(field: string, index: number, id: unknown): CacheError {
  const path = `${field}[${index}]`;
  return new CacheError(
    'REQUEST_INVALID',
    `${path} is ${describe(id)}; an id is 64 hexadecimal digits or 32 bytes`,
    {
      field: path,
    },
  );
}

/** Returns how many ids they are. */
function checkIdList(field: string, ids: unknown): number {
  if (ids === undefined) return 0;
  if (Array.isArray(ids) || ids instanceof IdDigits) return ids.length;
  if (ids instanceof Uint8Array && ids.length % ID_BYTES === 0) return ids.length / ID_BYTES;
  throw invalid(
    field,
    `${field} is ${describe(ids)}; it is a list of node ids, or their bytes, ${ID_BYTES} for each`,
  );
}

function checkText(field: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'string') {
    throw invalid(field, `${field} is ${describe(value)}; it is a text`);
  }
}

function checkFlag(field: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') {
    throw invalid(field, `${field} is ${describe(value)}; it is true or false`);
  }
}

function invalid(field: string, problem: string): CacheError {
  return new CacheError('REQUEST_INVALID', problem, field === '' ? {} : { field });
}

const SHOWN_CHARACTERS_MAX = 80;

/** A value as an error message shows it: short, and never more of it than helps. */
function describe(value: unknown): string {
  if (typeof value === 'string') {
    const shown = value.length > SHOWN_CHARACTERS_MAX ? `${value.slice(0, SHOWN_CHARACTERS_MAX)}…` : value;
    return JSON.stringify(shown);
  }
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return Array.isArray(value) ? 'a list' : `of type ${typeof value}`;
}
