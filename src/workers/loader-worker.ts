/**
 * Entry of the loader thread: the one thread that writes snapshots. What it does is in `loader-thread.ts`.
 */
import { randomInt } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../engine/assert.ts';
import { DeltaEngine } from '../engine/delta/delta-engine.ts';
import { placementPlan } from '../engine/placement/placement-plan.ts';
import { Publisher, sharedControlWords } from '../engine/publication.ts';
import { slotLayout } from '../engine/shared-memory.ts';
import { BuildMemory } from '../engine/snapshot/build-memory.ts';
import { monotonicMs } from './clock.ts';
import { ContactExpiry } from './contact-expiry.ts';
import { DataGuard } from './guard/data-guard.ts';
import type { LoadContext } from './load-cycle.ts';
import { LoaderThread } from './loader-thread.ts';
import type { LoaderWorkerData, MessageToLoader } from './messages.ts';
import { Revocations } from './revocations.ts';
import { openSource } from './source/open-source.ts';
import { SourceReader } from './source-reader.ts';

/** Nodes that leave later than so many loads from now are met again by one of them. */
const EXPIRY_HORIZON_LOADS = 3;

const port = parentPort;
assert(port !== null, 'the loader runs as a worker thread');
const data = workerData as LoaderWorkerData;
const plan = placementPlan(data.reader);
const { words, seats } = sharedControlWords(data.control);
const buildMemory = new BuildMemory(data.reader.nodes, plan);
const deltaOptions = {
  plan,
  prefixBits: data.load.prefixBits,
  allowRanges: data.load.guard.allowRanges,
  seed: randomInt(2 ** 32),
};
const source = new SourceReader(openSource(data.source));
const { onlineWindowMs } = source;
const context: LoadContext = {
  source,
  publisher: new Publisher(words, seats),
  slots: data.slots,
  layout: slotLayout(data.reader.nodes, plan),
  plan,
  settings: data.load,
  buildMemory,
  revocations: new Revocations(monotonicMs),
  guard: new DataGuard(data.load.guard, monotonicMs),
  expiry:
    onlineWindowMs === undefined || !source.followsChanges
      ? undefined
      : new ContactExpiry(onlineWindowMs, EXPIRY_HORIZON_LOADS * data.load.refresh.everyMs),
  deltas: new DeltaEngine(data.reader.nodes, deltaOptions, buildMemory),
  onPublished: published => thread.published(published),
};
const thread = new LoaderThread(context, message => port.postMessage(message));
port.on('message', (message: MessageToLoader) => {
  if (message.kind === 'stop') void thread.stop().then(() => port.close());
  else thread.receive(message);
});
void thread.run(data.source, data.held);
