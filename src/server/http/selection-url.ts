/**
 * The URLs of `GET /v1/selection` as clients write them, read and checked in one go: no escapes, each field
 * once. Whatever is not certainly right is left to the framework's parser and schema, which say what is
 * wrong. HTTP threads only.
 */
import type { SelectionRequest } from '../../engine/selection/selection-types.ts';
import type { RequestLimits } from '../config/options.ts';
import { isOrdinaryField } from './ordinary-field.ts';
import { type QueryKinds, valueReaders } from './query-string.ts';

/** The fields that are no texts. */
export const SELECTION_QUERY: QueryKinds = {
  integers: ['count'],
  numbers: ['newFraction'],
  booleans: ['partial', 'fillWithNew'],
};

const READERS = valueReaders(SELECTION_QUERY);

export interface SelectionUrlRules {
  readonly path: string;
  readonly charactersMax: number;
  readonly limits: RequestLimits;
}

/** The request that `url` spells, checked; undefined when it is to be read the framework's way. */
export function readSelectionUrl(url: string, rules: SelectionUrlRules): SelectionRequest | undefined {
  const { path, charactersMax, limits } = rules;
  if (!url.startsWith(path) || url.length > charactersMax) return undefined;
  if (url.length === path.length) return {};
  if (url[path.length] !== '?') return undefined;
  const request: Record<string, unknown> = {};
  for (let from = path.length + 1; from <= url.length; ) {
    const next = url.indexOf('&', from);
    const end = next < 0 ? url.length : next;
    const equals = url.indexOf('=', from);
    // Where it is that of the next field, the name is none.
    if (equals < 0) return undefined;
    const name = url.slice(from, equals);
    const text = url.slice(equals + 1, end);
    const value = READERS.get(name)?.(text) ?? text;
    if (!isOrdinaryField(name, value, limits) || Object.hasOwn(request, name)) return undefined;
    request[name] = value;
    from = end + 1;
  }
  return request;
}
