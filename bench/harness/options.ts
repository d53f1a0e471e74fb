/** What every bench takes on its command line. */
import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** One JSON object on standard output instead of a table. */
  readonly json: boolean;
  /** Everything at toy size, in a second or two: shows that the bench works, measures nothing. */
  readonly toy: boolean;
  /** Also the sizes that take minutes. */
  readonly large: boolean;
  /** Only results whose name contains this text. */
  readonly only: string;
  /** Keep the JSON under `bench/results/`. */
  readonly save: boolean;
}

export function benchOptions(args: readonly string[] = process.argv.slice(2)): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      toy: { type: 'boolean', default: false },
      large: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      save: { type: 'boolean', default: false },
    },
  });
  return values;
}
