/**
 * The server as a whole: cache → pool → listeners, and back. It listens before the first load is done:
 * `/livez` says yes and `/readyz` no until then, and while it stops. HTTP thread.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { type RingMemory, reserveRings } from '../engine/prepared/ring.ts';
import { openCache } from '../workers/cache.ts';
import type { Cache } from '../workers/cache-types.ts';
import { compiledKernel } from '../workers/kernel-module.ts';
import { packageVersion } from '../workers/package-version.ts';
import { RingTender } from '../workers/ring-tender.ts';
import { reapSlotsOfWorkers } from '../workers/slot-reaper.ts';
import { openSelectionPool, type SelectionPool } from '../workers/worker-pool.ts';
import { AccessKeeper } from './access/access-keeper.ts';
import { readTlsMaterial } from './access/tls-material.ts';
import { type AdminParts, adminApp } from './admin-app.ts';
import { PreparedAnswers } from './answers/prepared-answers.ts';
import { ringShape, ringsPerThread, tendingTasks } from './answers/ring-plan.ts';
import { dataApp } from './app.ts';
import { type AppContext, appContext } from './app-context.ts';
import { accessWarnings } from './config/access-warnings.ts';
import { type ServerOptions, sharedOptions } from './config/options.ts';
import type { Config } from './config.ts';
import { drainLimits, ListenerDrain } from './drain.ts';
import { guardLoop } from './http/loop-guard.ts';
import { type ListenAddress, listenError, listenOn, portsCanBeShared, refuseSharedPort } from './listen.ts';
import { logLoader } from './loader-log.ts';
import { logOptions, openLog } from './log.ts';
import { unreadiness } from './readiness.ts';
import { StatsdReporter } from './statsd.ts';
import { HttpThreads } from './threads/http-threads.ts';
import type { RingShare } from './threads/thread-messages.ts';
import { Watchdog } from './watchdog/watchdog.ts';
import { MainServer } from './whole-server.ts';

export interface RunningServer {
  /** What it serves from: the program around it selects from the same memory. */
  readonly cache: Cache;
  readonly context: AppContext;
  /** `http://127.0.0.1:8117` */
  readonly url: string;
  /** Absent while the admin listener is off. */
  readonly adminUrl: string | undefined;
  /** Absent while probes have no listener of their own. */
  readonly probesUrl: string | undefined;
  /** Drains and closes everything; resolves when nothing is left, at the latest at the shutdown deadline. */
  stop(): Promise<void>;
}

/**
 * Listens, and loads. Throws what the cache, the pool or a listener throws; nothing is left open then.
 * Signals are the program's: `stop` is for its own handler. `log`: as the configuration says, when absent.
 */
export async function startServer(
  config: Config,
  log: Logger = openLog(logOptions(config)),
): Promise<RunningServer> {
  const opened: Opened = { closers: [] };
  try {
    return await open(config, log, opened);
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

/** What is open, to be closed in reverse. */
interface Opened {
  readonly closers: (() => unknown)[];
}

async function closeAll({ closers }: Opened): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

async function open(config: Config, log: Logger, opened: Opened): Promise<RunningServer> {
  const threads = await settledThreads(config.server, log);
  const options = sharedOptions(config.server, threads);
  const cache = await openCache({ ...config.cache, waitForFirstLoad: false });
  opened.closers.push(() => cache.close());
  opened.closers.push(logLoader(cache, log));
  const rings = openRings(config.server, threads, opened);
  const workerPool = await openWorkerPool(cache, config, rings, opened);
  const access = openAccess(config.server, log, opened);
  const parts: Parts = { access, cache, config, threads, workerPool, rings };
  const whole = new MainServer();
  opened.closers.push(() => whole.close());
  const tending = openTending(parts, opened);
  const context = appContext({
    cache,
    workerPool,
    options,
    log,
    version: packageVersion(),
    prepared: tending?.prepared,
    whole,
    access: access.data(),
    tls: options.tls && readTlsMaterial(options.tls),
    now: () => performance.now(),
  });
  access.onChange(identities => context.gate?.replace(identities));
  whole.attach({ access, context, cache, workerPool, tender: tending?.tender });
  opened.closers.push(watchLoop(context));
  const data = await dataApp(context);
  opened.closers.push(() => data.close());
  const listenMain = () => listen(data, context, { ...options, reusePort: threads > 1 }, 'port');
  const { url, others } = await openListeners({ ...parts, context, tending }, listenMain, opened);
  if (others !== undefined) whole.attachThreads(others);
  if (options.statsd !== undefined) {
    const reporter = new StatsdReporter(options.statsd, () => whole.samples(), log);
    opened.closers.push(() => reporter.stop());
  }
  const { admin, adminUrl } = await openAdmin({ access, cache, context }, opened);
  const watchdog = openWatchdog({ cache, config, context }, opened);
  if (watchdog !== undefined) whole.attachWatchdog(watchdog);
  const probesUrl = await watchdog?.start();
  const { source } = cache.status();
  const { kernel } = cache;
  const urls = { url, adminUrl: adminUrl ?? 'off: no admin token', probesUrl };
  log.info({ ...urls, source, httpThreads: threads, kernel }, 'listening');
  if (kernel !== 'wasm') {
    const problem = compiledKernel().problem ?? 'a slot is beyond 4 GiB: lower capacity.nodes';
    log.warn(
      { problem },
      'selections come from the plain TypeScript twin, several times slower than the kernel',
    );
  }
  const listeners = admin === undefined ? [data] : [data, admin];
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= stopServer({ context, listeners, others, watchdog, opened });
    return stopping;
  };
  return { cache, context, url, adminUrl, probesUrl, stop };
}

interface WatchedParts extends Pick<Parts, 'cache' | 'config'> {
  readonly context: AppContext;
}

/** Undefined where nobody needs it. */
function openWatchdog({ cache, config, context }: WatchedParts, opened: Opened): Watchdog | undefined {
  const { http, watchdog: options } = config.server;
  if (options.stallMs === 0 && options.probes === undefined) return undefined;
  const watchdog = new Watchdog({
    options,
    http,
    log: context.log,
    logOptions: logOptions(config),
    readiness: () => ({ unready: unreadiness(context), generation: context.cache.generation() }),
    metrics: () => context.whole.metrics(),
    now: () => performance.now(),
  });
  opened.closers.push(() => watchdog.stop());
  // It hears of the first generation at once.
  opened.closers.push(cache.onStatus(() => watchdog.beat()));
  return watchdog;
}

function openAccess(options: ServerOptions, log: Logger, opened: Opened): AccessKeeper {
  const access = new AccessKeeper(options.access, log);
  opened.closers.push(() => access.stop());
  for (const warning of accessWarnings(options)) log.warn(warning);
  return access;
}

/** One thread where the system does not let several share a port. */
async function settledThreads(
  { host, port, httpThreads, httpThreadsGiven }: ServerOptions,
  log: Logger,
): Promise<number> {
  if (httpThreads === 1) return 1;
  if (!(await portsCanBeShared(host))) {
    const level = httpThreadsGiven ? 'warn' : 'info';
    log[level]({ httpThreads }, 'this system does not let threads share a port: one thread serves');
    return 1;
  }
  await explained(() => refuseSharedPort(host, port), { host, port }, 'port');
  return httpThreads;
}

/**
 * Memory for prepared answers, before any thread that uses it is started; undefined when nothing is prepared.
 */
function openRings(options: ServerOptions, threads: number, opened: Opened): RingMemory | undefined {
  if (options.serveFrom !== 'prepared') return undefined;
  const rings = reserveRings(ringShape(options.preparedBytesMax, threads));
  opened.closers.push(reapSlotsOfWorkers(rings));
  return rings;
}

interface Parts {
  readonly access: AccessKeeper;
  readonly cache: Cache;
  readonly config: Config;
  readonly threads: number;
  readonly workerPool: SelectionPool;
  readonly rings: RingMemory | undefined;
}

/** The workers keep rings full, and this thread takes from its own. */
interface OpenTending {
  readonly tender: RingTender;
  readonly prepared: PreparedAnswers;
  /** Called for rings of other threads. */
  onUnfit: (unfit: { readonly ring: number; readonly tenancy: number }) => void;
}

/** Undefined when nothing is prepared. */
function openTending(
  { cache, config, rings, threads, workerPool }: Parts,
  opened: Opened,
): OpenTending | undefined {
  if (rings === undefined) return undefined;
  cache.addRings(rings);
  const tender = new RingTender({
    tend: task => workerPool.tend(task),
    tasks: tendingTasks(config.server.workerPool.threads, threads),
    onUnfit: unfit => {
      tending.prepared.unfit(unfit);
      tending.onUnfit(unfit);
    },
  });
  opened.closers.push(() => tender.stop());
  const prepared = new PreparedAnswers({
    ...ringShare(rings, config.server, threads, 0),
    threadId,
    cache,
    tend: (ring, tenant) => tender.set(ring, tenant),
    now: () => performance.now(),
  });
  const tending: OpenTending = { tender, prepared, onUnfit: () => {} };
  return tending;
}

function ringShare(memory: RingMemory, options: ServerOptions, threads: number, index: number): RingShare {
  const rings = ringsPerThread(options.preparedBytesMax, threads);
  return { memory, firstRing: index * rings, rings };
}

interface ThreadParts extends Parts {
  readonly context: AppContext;
  readonly tending: OpenTending | undefined;
}

/**
 * The main thread listens last, so that the first connections find all threads; but first when the system is
 * to choose the port.
 */
async function openListeners(
  parts: ThreadParts,
  listenMain: () => Promise<string>,
  opened: Opened,
): Promise<{ readonly url: string; readonly others: HttpThreads | undefined }> {
  const { port } = parts.config.server;
  if (parts.threads === 1) return { url: await listenMain(), others: undefined };
  if (port === 0) {
    const url = await listenMain();
    return { url, others: await openThreads(parts, Number(new URL(url).port), opened) };
  }
  const others = await openThreads(parts, port, opened);
  return { url: await listenMain(), others };
}

async function openThreads(parts: ThreadParts, port: number, opened: Opened): Promise<HttpThreads> {
  const { access, cache, config, context, rings, tending, threads, workerPool } = parts;
  const others = new HttpThreads({
    access,
    context,
    cache,
    workerPool,
    count: threads - 1,
    port,
    ringsOf: index => (rings === undefined ? undefined : ringShare(rings, config.server, threads, index)),
    tender: tending?.tender,
    logLevel: context.log.level,
    now: () => performance.now(),
  });
  opened.closers.push(() => others.stop());
  if (tending !== undefined) tending.onUnfit = unfit => others.unfit(unfit);
  await others.start();
  return others;
}

async function openAdmin(
  parts: AdminParts,
  opened: Opened,
): Promise<{ admin?: FastifyInstance; adminUrl: string | undefined }> {
  const { context } = parts;
  const admin = adminApp(parts);
  if (admin === undefined) return { adminUrl: undefined };
  opened.closers.push(() => admin.close());
  const adminUrl = await listen(admin, context, { ...context.options.admin, reusePort: false }, 'admin-port');
  return { admin, adminUrl };
}

async function openWorkerPool(
  cache: Cache,
  config: Config,
  rings: RingMemory | undefined,
  opened: Opened,
): Promise<SelectionPool> {
  const { workerPool: options, http } = config.server;
  // A worker that is late for the client is late for the pool too, but a busy machine is no dead worker.
  const taskTimeoutMs = TASK_TIMEOUT_FACTOR * http.handlerTimeoutMs;
  const workerPool = await openSelectionPool(cache, { ...options, taskTimeoutMs, rings });
  opened.closers.push(() => workerPool.close());
  return workerPool;
}

const TASK_TIMEOUT_FACTOR = 10;

function watchLoop(context: AppContext): () => void {
  const { eventLoopDelayMaxMs } = context.options.http;
  return guardLoop(eventLoopDelayMaxMs, shedding => {
    context.overloaded = shedding;
    if (shedding)
      context.log.warn(
        { eventLoopDelayMaxMs },
        'the event loop is too late: what is too much for a turn is refused',
      );
    else context.log.info('the event loop has recovered: requests are taken again');
  });
}

async function listen(
  app: FastifyInstance,
  context: AppContext,
  address: ListenAddress,
  flag: string,
): Promise<string> {
  const counted = flag === 'port' ? context.connections : undefined;
  return explained(() => listenOn(app, address, context.options.http, counted), address, flag);
}

async function explained<T>(
  work: () => Promise<T>,
  address: Pick<ListenAddress, 'host' | 'port'>,
  flag: string,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw listenError(cause, address, flag);
  }
}

interface Stopping {
  readonly context: AppContext;
  readonly listeners: readonly FastifyInstance[];
  readonly others: HttpThreads | undefined;
  readonly watchdog: Watchdog | undefined;
  readonly opened: Opened;
}

/** An HTTP thread that closes its listener later may lose those who connect to it in its last moments. */
const REFUSE_LIMIT_MS = 1_000;

async function stopServer({ context, listeners, others, watchdog, opened }: Stopping): Promise<void> {
  const { drainDelayMs, deadlineMs } = context.options.shutdown;
  context.log.info({ drainDelayMs, deadlineMs }, 'stopping: not ready from now on');
  context.phase = 'draining';
  others?.beginDraining();
  watchdog?.beat();
  await sleep(drainDelayMs);
  const refusedAtMs = performance.now();
  context.phase = 'refusing';
  const drains = listeners.map(app => new ListenerDrain(app.server));
  for (const drain of drains) drain.refuse();
  // Whoever is told to connect anew must not come to a thread that is about to close its listener.
  const { idleMs, deadlineMs: leftMs } = drainLimits(context.options.shutdown);
  await others?.refuse(Math.min(REFUSE_LIMIT_MS, leftMs / 2));
  context.phase = 'closing';
  const limits = { idleMs, deadlineMs: leftMs - (performance.now() - refusedAtMs) };
  await Promise.all([...drains.map(drain => drain.finish(limits)), others?.drain(limits.deadlineMs)]);
  await closeAll(opened);
  context.log.info({ uptimeMs: context.uptimeMs() }, 'stopped');
}
