/**
 * Entry of an HTTP thread beside the main one: the same application on the same port, over the same memory.
 * What there is only once (the pool, the loader, the sum over all threads) it asks the main thread for.
 */
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { pino } from 'pino';
import { attachCache } from '../../workers/cache.ts';
import type { CacheReader } from '../../workers/cache-types.ts';
import { packageVersion } from '../../workers/package-version.ts';
import { PreparedAnswers } from '../answers/prepared-answers.ts';
import { dataApp } from '../app.ts';
import { type AppContext, appContext, type ServedCache } from '../app-context.ts';
import { drainLimits, ListenerDrain } from '../drain.ts';
import { guardLoop } from '../http/loop-guard.ts';
import { listenOn } from '../listen.ts';
import { threadReport } from '../thread-report.ts';
import { MainThread } from './main-thread.ts';
import type { HttpThreadData, MessageToThread } from './thread-messages.ts';

/** What is counted is known to the main thread so late at the most, should this one die. */
const REPORT_MS = 1_000;

const data = workerData as HttpThreadData;
const port = parentPort!;
const main = new MainThread(port);

function servedCache(reader: CacheReader): ServedCache {
  return {
    selectEncoded: (format, request, target) => reader.selectEncoded(format, request, target),
    lookup: ids => reader.lookup(ids),
    generation: () => reader.generation(),
    ageMs: () => reader.ageMs(),
    status: () => main.loader ?? data.loader,
  };
}

function preparedAnswers(cache: ServedCache): PreparedAnswers | undefined {
  if (data.rings === undefined) return undefined;
  return new PreparedAnswers({
    ...data.rings,
    threadId,
    cache,
    tend: (ring, tenant) => main.post({ kind: 'tend', ring, tenant }),
    now: () => performance.now(),
  });
}

function newContext(cache: ServedCache): AppContext {
  return appContext({
    cache,
    workerPool: main,
    options: data.options,
    log: pino({ level: data.logLevel }, { write: line => main.post({ kind: 'log', line }) }),
    version: packageVersion(),
    prepared: preparedAnswers(cache),
    access: data.access,
    tls: data.tls,
    whole: {
      status: () => main.ask('status', undefined),
      metrics: () => main.ask('metrics', undefined),
      fleet: () => main.ask('fleet', undefined),
    },
    now: () => performance.now(),
  });
}

async function serve(): Promise<void> {
  const reader = attachCache(data.cache);
  const context = newContext(servedCache(reader));
  context.phase = data.phase;
  const app = await dataApp(context);
  const { host, http } = data.options;
  const stopGuarding = guardLoop(http.eventLoopDelayMaxMs, shedding => {
    context.overloaded = shedding;
    context.log.warn({ shedding }, 'requests are refused while the event loop of an HTTP thread is too late');
  });
  const report = () => main.post({ kind: 'report', report: threadReport(context) });
  const reporting = setInterval(report, REPORT_MS);
  const drain = new ListenerDrain(app.server);
  const stop = async () => {
    await drain.finish(drainLimits(data.options.shutdown));
    await app.close();
    report();
    clearInterval(reporting);
    stopGuarding();
    reader.close();
    // Nothing is left that keeps the thread.
    port.close();
  };
  main.listen((message: MessageToThread) => {
    if (message.kind === 'report') report();
    if (message.kind === 'identities') context.gate?.replace(message.identities);
    if (message.kind === 'unfit') context.prepared?.unfit(message.unfit);
    if (message.kind !== 'phase') return;
    context.phase = message.phase;
    if (message.phase === 'refusing') {
      drain.refuse();
      main.post({ kind: 'refusing' });
    }
    if (message.phase === 'closing') void stop();
  });
  await listenOn(app, { host, port: data.port, reusePort: true }, http, context.connections);
  main.post({ kind: 'listening', url: undefined });
}

try {
  await serve();
} catch (error) {
  main.post({ kind: 'failed', detail: (error as Error).message });
  port.close();
}
