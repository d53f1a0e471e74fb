/**
 * Entry of a race test's publisher thread: publishes self-describing generations in a tight loop until told
 * to stop.
 */
import { workerData } from 'node:worker_threads';
import { snapshotViews } from '../../native-layout/snapshot-views.ts';
import { DEFAULT_PREFIX_BITS } from '../../src/engine/address/network-keys.ts';
import { placementPlan } from '../../src/engine/placement/placement-plan.ts';
import { Publisher, sharedControlWords } from '../../src/engine/publication.ts';
import { slotBuffer, slotLayout } from '../../src/engine/shared-memory.ts';
import { BuildMemory } from '../../src/engine/snapshot/build-memory.ts';
import { SnapshotBuilder } from '../../src/engine/snapshot/snapshot-builder.ts';
import { validateSnapshot } from '../../src/engine/snapshot/snapshot-validator.ts';
import { pausingWords } from './pausing-words.ts';
import { RACE_NODES, RaceBoard, type RaceThreadData } from './race-board.ts';
import { selfDescribingRows } from './self-describing.ts';

const { memory, board: shared, line, seed } = workerData as RaceThreadData;
const board = new RaceBoard(shared);
const plan = placementPlan({ placements: {}, distinctAttributes: [] });
const layout = slotLayout(RACE_NODES, plan);
const buildMemory = new BuildMemory(RACE_NODES, plan);
const views = memory.slots.map(slot => snapshotViews(slotBuffer(slot), layout));
const { words, seats } = sharedControlWords(memory.control);
const publisher = new Publisher(pausingWords(words, { seed, loads: 64, stores: 64, longestMs: 0.2 }), seats);

while (!board.stopped) {
  const slot = publisher.claimSlot();
  const generation = publisher.nextGeneration();
  const options = { plan, prefixBits: DEFAULT_PREFIX_BITS, allowRanges: [], indexSeed: generation };
  const builder = new SnapshotBuilder(views[slot]!, options, buildMemory);
  const rows = selfDescribingRows(generation);
  for (const row of rows) builder.append(row);
  builder.finish({ generation, readAtMonotonic: generation, readAtUnix: 0 });
  if (validateSnapshot(views[slot]!, buildMemory).rowCount !== rows.length)
    throw new Error('a row was refused');
  publisher.publish(slot, generation);
  board.report(line, { reads: 0, rows: rows.length, moves: 1, generation });
}
