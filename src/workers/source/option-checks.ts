/**
 * Checks of source options: plain data from a caller or a configuration file, refused with the key at fault.
 */
import { CacheError } from '../../engine/errors.ts';
import { didYouMean } from './nearest.ts';

export function invalidOption(field: string, detail: string): CacheError {
  return new CacheError('CONFIG_INVALID', `${field}: ${detail}`, { field });
}

/**
 * Refuses keys that are not in `known`, naming the nearest one; `path` is the prefix of the keys, with its
 * dot.
 */
export function checkKeys(value: object, known: readonly string[], path = ''): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) {
      throw invalidOption(`${path}${key}`, `unknown key${didYouMean(key, known)}`);
    }
  }
}

export function checkObject(value: unknown, field: string): asserts value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidOption(field, `expected an object, found ${shown(value)}`);
  }
}

export function checkText(value: unknown, field: string): asserts value is string {
  if (typeof value !== 'string' || value.trim() === '') {
    throw invalidOption(field, `expected a text, found ${shown(value)}`);
  }
  if (value.includes('\0')) throw invalidOption(field, 'holds a zero byte');
}

export function checkInteger(value: unknown, field: string, range: { min: number; max: number }): void {
  if (!Number.isSafeInteger(value) || (value as number) < range.min || (value as number) > range.max) {
    throw invalidOption(
      field,
      `expected an integer from ${range.min} to ${range.max}, found ${shown(value)}`,
    );
  }
}

export function checkBoolean(value: unknown, field: string): void {
  if (typeof value !== 'boolean') throw invalidOption(field, `expected true or false, found ${shown(value)}`);
}

export function checkNumber(value: unknown, field: string, range: { min: number; max: number }): void {
  if (typeof value !== 'number' || !(value >= range.min && value <= range.max)) {
    throw invalidOption(field, `expected a number from ${range.min} to ${range.max}, found ${shown(value)}`);
  }
}

export function checkTexts(value: unknown, field: string): asserts value is readonly string[] {
  if (!Array.isArray(value)) throw invalidOption(field, `expected a list of texts, found ${shown(value)}`);
  for (const [index, text] of value.entries()) checkText(text, `${field}[${index}]`);
}

/** Texts are not shown: a connection string or a password may stand in the wrong place. */
function shown(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'an empty text' : 'a text';
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  return Array.isArray(value) ? 'an array' : typeof value;
}
