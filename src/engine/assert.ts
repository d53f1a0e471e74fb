/**
 * Assertions detect programmer errors; they are on in production and never caught except at a thread's top.
 */

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Throws when `condition` is false. One condition an assertion; put the values into the message. */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new AssertionError(typeof message === 'string' ? message : message());
}
