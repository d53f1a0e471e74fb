/** What a loader works with, on the thread of the test: over a file, without a thread around it. */
import { DeltaEngine } from '../../src/engine/delta/delta-engine.ts';
import { placementPlan } from '../../src/engine/placement/placement-plan.ts';
import { Publisher, sharedControlWords } from '../../src/engine/publication.ts';
import { reserveMemory, slotBuffer, slotLayout } from '../../src/engine/shared-memory.ts';
import { BuildMemory } from '../../src/engine/snapshot/build-memory.ts';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import { monotonicMs } from '../../src/workers/clock.ts';
import { DataGuard } from '../../src/workers/guard/data-guard.ts';
import type { LoadContext } from '../../src/workers/load-cycle.ts';
import { Revocations } from '../../src/workers/revocations.ts';
import { loadSettings, readerSettings } from '../../src/workers/settings.ts';
import { openSource } from '../../src/workers/source/open-source.ts';
import { SourceReader } from '../../src/workers/source-reader.ts';

export function openLoadContext(options: CacheOptions): LoadContext {
  const reader = readerSettings(options);
  const settings = loadSettings(options);
  const plan = placementPlan(reader);
  const layout = slotLayout(reader.nodes, plan);
  const memory = reserveMemory(layout, reader.readers, false);
  const { words, seats } = sharedControlWords(memory.control);
  const buildMemory = new BuildMemory(reader.nodes, plan);
  const { prefixBits, guard } = settings;
  return {
    source: new SourceReader(openSource(options.source)),
    publisher: new Publisher(words, seats),
    slots: memory.slots.map(slotBuffer),
    layout,
    plan,
    settings,
    buildMemory,
    revocations: new Revocations(monotonicMs),
    guard: new DataGuard(guard, monotonicMs),
    expiry: undefined,
    deltas: new DeltaEngine(
      reader.nodes,
      { plan, prefixBits, allowRanges: guard.allowRanges, seed: 0x5eed },
      buildMemory,
    ),
  };
}
