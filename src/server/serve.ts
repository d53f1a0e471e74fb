/**
 * The server as a whole: cache → pool → listeners, and back. It listens before the first load is done:
 * `/livez` says yes and `/readyz` no until then, and while it stops. HTTP thread.
 */
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { openCache } from '../workers/cache.ts';
import type { Cache } from '../workers/cache-types.ts';
import { openSelectionPool, type SelectionPool } from '../workers/worker-pool.ts';
import { adminApp } from './admin-app.ts';
import { dataApp } from './app.ts';
import { type AppContext, appContext } from './app-context.ts';
import type { Config } from './config.ts';
import { drainListener, LAST_REQUEST_MS } from './drain.ts';
import { limitConnections } from './http/connection-limits.ts';
import { guardLoop } from './http/loop-guard.ts';
import { logLoader } from './loader-log.ts';
import { openLog } from './log.ts';
import { packageVersion } from './version.ts';

export interface RunningServer {
  /** What it serves from: the program around it selects from the same memory. */
  readonly cache: Cache;
  readonly context: AppContext;
  /** `http://127.0.0.1:8117` */
  readonly url: string;
  /** Absent while the admin listener is off. */
  readonly adminUrl: string | undefined;
  /** Drains and closes everything; resolves when nothing is left, at the latest at the shutdown deadline. */
  stop(): Promise<void>;
}

/**
 * Listens, and loads. Throws what the cache, the pool or a listener throws; nothing is left open then.
 * Signals are the program's: `stop` is for its own handler. `log`: as the configuration says, when absent.
 */
export async function startServer(config: Config, log: Logger = openLog(config)): Promise<RunningServer> {
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
  const { server: options } = config;
  const cache = await openCache({ ...config.cache, waitForFirstLoad: false });
  opened.closers.push(() => cache.close());
  opened.closers.push(logLoader(cache, log));
  const workerPool = await openWorkerPool(cache, config, opened);
  const context = appContext({
    cache,
    workerPool,
    options,
    log,
    version: packageVersion(),
    now: () => performance.now(),
  });
  opened.closers.push(watchLoop(context));
  const data = await dataApp(context);
  opened.closers.push(() => data.close());
  const url = await listen(data, context, options, 'port');
  let admin: FastifyInstance | undefined;
  let adminUrl: string | undefined;
  if (options.admin.token !== undefined) {
    const app = await adminApp(context, options.admin.token);
    opened.closers.push(() => app.close());
    adminUrl = await listen(app, context, options.admin, 'admin-port');
    admin = app;
  }
  log.info({ url, adminUrl: adminUrl ?? 'off: no admin token', source: cache.status().source }, 'listening');
  const listeners = admin === undefined ? [data] : [data, admin];
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= stopServer(context, listeners, opened);
    return stopping;
  };
  return { cache, context, url, adminUrl, stop };
}

async function openWorkerPool(cache: Cache, config: Config, opened: Opened): Promise<SelectionPool> {
  const { workerPool: options, http } = config.server;
  // A worker that is late for the client is late for the pool too, but a busy machine is no dead worker.
  const taskTimeoutMs = TASK_TIMEOUT_FACTOR * http.handlerTimeoutMs;
  const workerPool = await openSelectionPool(cache, { ...options, taskTimeoutMs });
  opened.closers.push(() => workerPool.close());
  return workerPool;
}

const TASK_TIMEOUT_FACTOR = 10;

function watchLoop(context: AppContext): () => void {
  const { eventLoopDelayMaxMs } = context.options.http;
  return guardLoop(eventLoopDelayMaxMs, shedding => {
    context.overloaded = shedding;
    if (shedding)
      context.log.warn({ eventLoopDelayMaxMs }, 'the event loop is too late: requests are refused');
    else context.log.info('the event loop has recovered: requests are taken again');
  });
}

async function listen(
  app: FastifyInstance,
  context: AppContext,
  { host, port }: { readonly host: string; readonly port: number },
  flag: string,
): Promise<string> {
  limitConnections(app.server, context.options.http);
  try {
    // One address: `localhost` would open a second listener that nothing here knows of.
    await app.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port, exclusive: true });
  } catch (cause) {
    throw new Error(`cannot listen on ${host}:${port}: ${listenProblem(cause, flag)}`, { cause });
  }
  const address = app.server.address() as AddressInfo;
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}

function listenProblem(error: unknown, flag: string): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `the port is in use; choose another with --${flag}`;
    case 'EACCES':
      return `the port needs privileges; choose another with --${flag}`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return 'this machine does not have that address';
    default:
      return (error as Error).message;
  }
}

async function stopServer(
  context: AppContext,
  listeners: readonly FastifyInstance[],
  opened: Opened,
): Promise<void> {
  const { drainDelayMs, deadlineMs } = context.options.shutdown;
  context.log.info({ drainDelayMs, deadlineMs }, 'stopping: not ready from now on');
  context.phase = 'draining';
  await sleep(drainDelayMs);
  context.phase = 'closing';
  const limits = { idleMs: Math.min(LAST_REQUEST_MS, drainDelayMs), deadlineMs: deadlineMs - drainDelayMs };
  await Promise.all(listeners.map(app => drainListener(app.server, limits)));
  await closeAll(opened);
  context.log.info({ uptimeMs: context.uptimeMs() }, 'stopped');
}
