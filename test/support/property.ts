/**
 * Property tests with one seed a run: drawn at random and printed with a failure, or taken from `SEED`. A
 * failure is replayed by `SEED=<seed> vitest run <file>`.
 */
import fc from 'fast-check';

export const SEED =
  process.env.SEED === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(process.env.SEED);

export interface PropertyOptions {
  readonly runs?: number;
}

/** Checks `property`; the message of a failure begins with how to replay it. */
export function checkProperty(property: fc.IRawProperty<unknown>, options: PropertyOptions = {}): void {
  const result = fc.check(property as fc.IProperty<unknown>, {
    seed: SEED,
    numRuns: options.runs ?? 200,
    verbose: fc.VerbosityLevel.None,
  });
  if (!result.failed) return;
  throw new Error(`replay with SEED=${SEED}\n${fc.defaultReportMessage(result)}`, {
    cause: result.errorInstance,
  });
}
