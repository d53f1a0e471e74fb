/** Entry of a reader thread of a replica: watches the probes as its process tells it. */
import { parentPort, workerData } from 'node:worker_threads';
import { attachCache, type CacheHandle } from '../../src/index.ts';
import { ProbeWatch, type WatchOrder, type WatchReport } from './probe-watch.ts';

export type ThreadOrder =
  | { readonly kind: 'watch'; readonly order: WatchOrder }
  | { readonly kind: 'gone'; readonly number: number }
  | { readonly kind: 'stop' };

/** In the order of the orders. */
export type ThreadAnswer = WatchReport | 'done';

const watch = new ProbeWatch(attachCache(workerData as CacheHandle));

async function answer(order: ThreadOrder): Promise<ThreadAnswer> {
  if (order.kind === 'stop') return watch.stop();
  if (order.kind === 'watch') await watch.watch(order.order);
  else await watch.gone(order.number);
  return 'done';
}

parentPort?.on('message', (order: ThreadOrder) => {
  void answer(order).then(said => parentPort?.postMessage(said));
});
