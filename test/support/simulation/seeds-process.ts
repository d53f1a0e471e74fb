/**
 * Program that simulates many seeds, one after the other, and says what came of them. A process, because a
 * run leaves waits behind that never end, and V8 may end a process in which threads are ended by the hundred.
 */
import { once } from 'node:events';
import { loadFleet } from './fleet-modules.ts';
import { addRun, emptySum, type SeedsOrder } from './run-seeds.ts';
import { simulate } from './simulate.ts';

const [order] = (await once(process, 'message')) as [SeedsOrder];
const { root, first, count, step, failuresMax, faults, replicaCount, settleMs } = order;
const modules = await loadFleet(root);
const sum = emptySum();
for (let i = 0; i < count && sum.failures.length < failuresMax; i++) {
  addRun(
    sum,
    await simulate({
      seed: first + i * step,
      modules,
      ...(faults === undefined ? {} : { faults }),
      ...(replicaCount === undefined ? {} : { replicaCount }),
      ...(settleMs === undefined ? {} : { settleMs }),
    }),
  );
}
process.send!(sum, () => process.exit());
