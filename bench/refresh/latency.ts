/**
 * Latency of single selections, idle and while the loader thread publishes one generation after the other,
 * each beside an empty loop of about the same length that runs at the same time: what the loop's tail shows
 * is the machine.
 */
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { RECORD_BYTES } from '../../native-layout/node-record.ts';
import { type Cache, fileSource, openCache } from '../../src/index.ts';
import { emptyLoop, Latencies } from '../harness/hiccups.ts';
import { writeRelayFile } from '../harness/population.ts';
import type { BenchResult } from '../harness/result.ts';

export interface LatencyOptions {
  readonly rows: number;
  /** Samples of each kind in each phase. */
  readonly samples: number;
  /** Phases of each kind, idle and busy in turn. */
  readonly rounds: number;
}

const COUNT = 110;
const REQUEST = { count: COUNT, newFraction: 5 / COUNT };
const NEVER_MS = 2 ** 31 - 1;
/**
 * Samples of one kind in a row. Short against the machine's changes of mood, long against the change of code.
 */
const RUN_SAMPLES = 500;
const LOOP_US = 5;
const WARMUP_CALLS = 30_000;

type Kinds = Readonly<Record<'select' | 'records' | 'loop', Latencies>>;

export async function latencyResults(folder: string, options: LatencyOptions): Promise<BenchResult[]> {
  const path = join(folder, `latency-${options.rows}.csv`);
  await writeRelayFile(path, options.rows);
  const total = options.samples * options.rounds;
  const kinds = (): Kinds => ({
    select: new Latencies(total),
    records: new Latencies(total),
    loop: new Latencies(total),
  });
  const idle = kinds();
  const busy = kinds();
  let publishes = 0;
  let busyMs = 0;
  for (let round = 0; round < options.rounds; round++) {
    await withCache(path, NEVER_MS, cache => sample(cache, idle, options.samples));
    // One millisecond after a load the next one begins, without this thread having a part in it.
    await withCache(path, 1, async cache => {
      const before = cache.generation();
      const started = performance.now();
      await sample(cache, busy, options.samples);
      busyMs += performance.now() - started;
      publishes += cache.generation() - before;
    });
  }
  return report(idle, busy, { publishes, publishes_per_second: Math.round((1000 * publishes) / busyMs) });
}

async function withCache(path: string, everyMs: number, use: (cache: Cache) => Promise<void>): Promise<void> {
  const cache = await openCache({ source: fileSource(path), refresh: { everyMs, timeoutMs: NEVER_MS } });
  try {
    await use(cache);
  } finally {
    await cache.close();
  }
}

async function sample(cache: Cache, kinds: Kinds, samples: number): Promise<void> {
  const target = new Uint8Array(COUNT * RECORD_BYTES);
  const select = () => cache.select(REQUEST).length;
  const records = () => cache.selectRecords(REQUEST, target).bytes;
  const loop = emptyLoop(LOOP_US);
  for (let i = 0; i < Math.min(samples, WARMUP_CALLS); i++) select() + records() + loop();
  for (let done = 0; done < samples; done += RUN_SAMPLES) {
    const calls = Math.min(RUN_SAMPLES, samples - done);
    kinds.select.record(select, calls);
    kinds.records.record(records, calls);
    kinds.loop.record(loop, calls);
    // The loader's messages are taken in between, as an event loop would.
    await turn();
  }
}

function report(
  idle: Kinds,
  busy: Kinds,
  load: { publishes: number; publishes_per_second: number },
): BenchResult[] {
  const results: BenchResult[] = [];
  const machine = busy.loop.summary();
  for (const [kind, name] of [
    ['select', 'select'],
    ['records', 'records'],
    ['loop', `empty loop of ${LOOP_US} µs`],
  ] as const) {
    const before = idle[kind].summary();
    const during = busy[kind].summary();
    const floor = `${name}, idle`;
    results.push({ name: floor, ...before });
    results.push({
      name: `${name}, generations back to back`,
      ...during,
      floor,
      p999_ratio: Math.round((100 * during.p999_us) / before.p999_us) / 100,
      // What the loop that touches no memory shows at the same time.
      machine_p999_us: machine.p999_us,
      machine_max_us: machine.max_us,
      ...load,
    });
  }
  return results;
}
