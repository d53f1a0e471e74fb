/** A program that opens a cache on the file of its argument, picks, closes, and has nothing more to do. */
import { openCache } from '../../src/workers/cache.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';

const cache = await openCache({ source: fileSource(process.argv[2]!), capacity: { nodes: 100, readers: 2 } });
const { length } = cache.select({ count: 5 });
await cache.close();
process.stdout.write(`picked ${length}, closed\n`);
