/**
 * Numbers as texts spell them, in URLs, the environment and flags: plain decimals, and whatever `String`
 * writes for a number. Anything else is no number here: nothing is guessed.
 */

const PLAIN = /^-?(0|[1-9]\d{0,15})(\.\d{1,20})?$/;

/** The number that `text` spells; `undefined` when it spells none. */
export function numberOfText(text: string): number | undefined {
  const value = Number(text);
  // The second half takes 1e-7 and all digits of a very small number, and no other spelling.
  return PLAIN.test(text) || (Number.isFinite(value) && String(value) === text) ? value : undefined;
}
