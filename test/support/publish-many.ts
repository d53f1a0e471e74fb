/**
 * A program that publishes 10,000 nodes a thousand times, reads each generation, and says how much memory
 * was resident after the tenth, and at the most in the first and in the second half of the rest.
 */
import { LocalCache } from './local-cache.ts';
import { testNode, testRow } from './population.ts';

const NODES = 10_000;
const PUBLISHES = 1_000;
const SETTLED_AFTER = 10;

const cache = new LocalCache({ capacity: 1_000_000, readers: 4 });
const readers = [cache.reader(1), cache.reader(2)];
const rows = Array.from({ length: NODES }, (_, number) =>
  testRow(testNode(number, number % 4000, number % 9 === 0 ? 'new' : 'vetted')),
);
let settled = 0;
const largest = { first: 0, second: 0 };
for (let publish = 1; publish <= PUBLISHES; publish++) {
  cache.publish(rows);
  // One reader follows at once, the other every third time, so that more than two slots are in use.
  readers[0]!.select({ count: 110 });
  if (publish % 3 === 0) readers[1]!.select({ count: 110 });
  const resident = process.memoryUsage().rss;
  if (publish === SETTLED_AFTER) settled = resident;
  const half = publish <= PUBLISHES / 2 ? 'first' : 'second';
  if (publish > SETTLED_AFTER) largest[half] = Math.max(largest[half], resident);
}
process.stdout.write(JSON.stringify({ settled, ...largest, generation: readers[0]!.generation() }));
