/** How both sources read single values. Runs once per row on the loader thread. */

/** Criterion of a row that says `eligible: false` without a reason. */
export const NOT_ELIGIBLE = 'not-eligible';

/** NaN for anything but an integer in plain digits: the builder then refuses and counts that row alone. */
export function portNumber(text: string): number {
  return /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}
