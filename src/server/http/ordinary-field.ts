/**
 * What the fields of a selection are in an ordinary request: values that are certainly right, so that a
 * request of nothing else needs no schema. Any other is checked by one, which says what is wrong.
 */
import { ID_DIGITS } from '../../engine/snapshot/node-id.ts';
import type { RequestLimits } from '../config/options.ts';

/**
 * ASCII without quotes, colons, brackets and escapes: a name that is written like this cannot look like
 * anything else.
 */
const PLAIN_TEXT = /^[\w .-]{1,64}$/;

/** True when a request has a field `name`, and `value` is one for it. */
export function isOrdinaryField(name: string, value: unknown, limits: RequestLimits): boolean {
  switch (name) {
    case 'count':
      return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= limits.countMax;
    case 'newFraction':
      return typeof value === 'number' && value >= 0 && value <= 1;
    case 'exclude':
    case 'held':
      return Array.isArray(value) && value.length <= limits.idsMax && value.every(isIdText);
    case 'placement':
    case 'distinct':
      return typeof value === 'string' && PLAIN_TEXT.test(value);
    case 'partial':
    case 'fillWithNew':
      return typeof value === 'boolean';
    case 'order':
      return value === 'random' || value === 'vetted-first';
    default:
      return false;
  }
}

/** As long as an id. */
function isIdText(value: unknown): boolean {
  return typeof value === 'string' && value.length === ID_DIGITS;
}
