/** One load by itself: what stands when a step behind the publish fails. */
import { describe, expect, test } from 'vitest';
import { DeltaEngine } from '../../src/engine/delta/delta-engine.ts';
import { BuildMemory } from '../../src/engine/snapshot/build-memory.ts';
import { monotonicMs } from '../../src/workers/clock.ts';
import { DataGuard } from '../../src/workers/guard/data-guard.ts';
import { runLoadCycle } from '../../src/workers/load-cycle.ts';
import { Revocations } from '../../src/workers/revocations.ts';
import { loadSettings } from '../../src/workers/settings.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import type { AbsentCounts, RowBatch, RowSource } from '../../src/workers/source/row-source.ts';
import { SourceReader } from '../../src/workers/source-reader.ts';
import { LocalCache } from '../support/local-cache.ts';
import { manyRows } from './source/row-source.case.ts';

const CAPACITY = 10;

function source(batch: RowBatch, absent: () => Promise<AbsentCounts>): RowSource {
  return {
    description: 'rows of a test',
    async *read() {
      yield batch;
      return { absent: absent() };
    },
    async *check() {},
    close: async () => undefined,
  };
}

async function load(cache: LocalCache, rows: RowSource) {
  const buildMemory = new BuildMemory(CAPACITY, cache.plan);
  const settings = loadSettings({ source: fileSource('none.csv') });
  const context = {
    source: new SourceReader(rows),
    publisher: cache.publisher,
    slots: cache.slots as readonly SharedArrayBuffer[],
    layout: cache.layout,
    plan: cache.plan,
    settings,
    buildMemory,
    expiry: undefined,
    revocations: new Revocations(monotonicMs),
    guard: new DataGuard(settings.guard, monotonicMs),
    deltas: new DeltaEngine(
      CAPACITY,
      { plan: cache.plan, ...settings, allowRanges: [], seed: 1 },
      buildMemory,
    ),
  };
  const request = { acceptDrop: false, signal: new AbortController().signal };
  return (await runLoadCycle(context, request)).counted;
}

describe('the count of absent nodes', () => {
  test('is reported when it comes, which may be after the publish', async () => {
    const cache = new LocalCache({ capacity: CAPACITY });
    const reader = cache.reader();
    const gate = Promise.withResolvers<AbsentCounts>();
    const loaded = load(
      cache,
      source(manyRows(3), () => gate.promise),
    );
    await expect.poll(() => reader.generation()).toBe(1);
    gate.resolve({ gone: 7 });
    expect(await loaded).toMatchObject({ generation: 1, nodes: { total: 3 }, absent: { gone: 7 } });
  });

  test('that fails leaves the generation standing, and says why', async () => {
    const cache = new LocalCache({ capacity: CAPACITY });
    const report = await load(
      cache,
      source(manyRows(3), () => Promise.reject(new Error('cut off'))),
    );
    expect(report).toMatchObject({ generation: 1, absent: {}, absentError: 'cut off' });
    expect(cache.reader().generation()).toBe(1);
  });
});

test('more rows than the capacity end a load, and nothing is published', async () => {
  const cache = new LocalCache({ capacity: CAPACITY });
  const failure = load(
    cache,
    source(manyRows(CAPACITY + 1), async () => ({})),
  );
  await expect(failure).rejects.toMatchObject({ code: 'CAPACITY_EXCEEDED', field: 'capacity.nodes' });
  expect(cache.reader().generation()).toBe(0);
});
