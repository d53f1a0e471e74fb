/**
 * The demo: a real Postgres, a seeded population that keeps changing, the cache, the server, and what to try.
 * Everything ends with the process, and at Ctrl-C in order. Main thread.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { styleText } from 'node:util';
import { connectClient } from '../../workers/source/postgres/client.ts';
import { runTriggerScript, triggerScript } from '../../workers/source/postgres/triggers/install.ts';
import { postgresSource } from '../../workers/source/postgres-source.ts';
import type { ConfigKeyName } from '../config/table.ts';
import { loadConfig } from '../config.ts';
import { type RunningServer, startServer } from '../serve.ts';
import { startChurn } from './churn.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';
import { seedNodes } from './nodes-table.ts';
import { POPULATION_COUNT, population } from './population.ts';

const SEED = 1;
const CHURN_EVERY_MS = 500;
/** Changes are pushed; this is the net under them. */
const REFRESH_EVERY_MS = 30_000;
const PORT = 8117;
const ADMIN_PORT = 8118;
const READY_TIMEOUT_MS = 30_000;
/** A terminal gets a line that ticks; a file or a pipe gets a line now and then. */
const TICK_MS = 1_000;
const LINE_EVERY_MS = 10_000;

/** What has been started, to be ended in reverse. */
type Closers = (() => unknown)[];

export interface DemoOptions {
  /** Ends the demo as Ctrl-C does. */
  readonly signal?: AbortSignal;
}

/** Resolves when the demo has been ended and nothing of it is left. */
export async function runDemo(options: DemoOptions = {}): Promise<void> {
  const ended = endOfDemo(options.signal);
  const closers: Closers = [];
  try {
    const server = await start(closers, ended.signal).catch((error: unknown) => {
      // Ctrl-C in a terminal reaches initdb too: that it was interrupted is no failure.
      if (!ended.signal.aborted) throw error;
    });
    if (server !== undefined) {
      explain(server);
      closers.push(tick(server));
      await ended.promise;
    }
  } finally {
    print('\nending: server, churn, Postgres');
    for (const close of closers.reverse()) await close();
    ended.forget();
    print('nothing is left behind');
  }
}

/** The first signal ends the demo in order, wherever it is; the second one at once. */
function endOfDemo(outer: AbortSignal | undefined) {
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<void>();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(1);
    controller.abort();
    resolve();
  };
  outer?.addEventListener('abort', onSignal, { once: true });
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const forget = () => {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  };
  return { promise, signal: controller.signal, forget };
}

/** Starts one thing after the other; `undefined` when the end came first. */
async function start(closers: Closers, signal: AbortSignal): Promise<RunningServer | undefined> {
  const startedAt = performance.now();
  const step = (text: string) => {
    print(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(5)} s  ${text}`);
  };
  const postgres = await startEmbeddedPostgres({ onProgress: step });
  closers.push(() => postgres.stop());
  if (signal.aborted) return undefined;
  step(`creating ${POPULATION_COUNT.toLocaleString('en-US')} nodes`);
  await seed(postgres);
  if (signal.aborted) return undefined;
  step('installing triggers: changes are pushed');
  await installTriggers(postgres, signal);
  if (signal.aborted) return undefined;
  step('starting churn: nodes check in, fill up, move, join and leave');
  const churn = await startChurn({
    connectionString: postgres.connectionString,
    seed: SEED,
    everyMs: CHURN_EVERY_MS,
    onError: error => print(`churn has ended: ${(error as Error).message}`),
  });
  closers.push(() => churn.stop());
  step('starting the cache and the server');
  const server = await serveDemo(postgres);
  closers.push(() => server.stop());
  await server.cache.ready({ timeoutMs: READY_TIMEOUT_MS });
  const response = await fetch(`${server.url}/v1/selection?count=110`);
  const { nodes } = (await response.json()) as { readonly nodes: readonly unknown[] };
  step(`first answer: ${nodes.length} nodes`);
  return signal.aborted ? undefined : server;
}

async function seed(postgres: EmbeddedPostgres): Promise<void> {
  const client = await connectClient(postgres.connectionString, 'sortition demo');
  try {
    await seedNodes(client, population({ seed: SEED, nowMs: Date.now() }));
  } finally {
    await client.end();
  }
}

/** As `sortition install-triggers` does. */
async function installTriggers(postgres: EmbeddedPostgres, signal: AbortSignal): Promise<void> {
  const source = postgresSource({ connectionString: postgres.connectionString });
  const request = { attributes: [], remove: false, signal };
  await runTriggerScript(source, request, await triggerScript(source, request));
}

async function serveDemo(postgres: EmbeddedPostgres): Promise<RunningServer> {
  const flags = new Map<ConfigKeyName, string>([
    ['source.location', postgres.connectionString],
    ['port', String(await portOrFree(PORT))],
    ['admin.port', String(await portOrFree(ADMIN_PORT))],
    ['admin.token', randomBytes(16).toString('hex')],
    ['refresh.everyMs', String(REFRESH_EVERY_MS)],
    ['shutdown.drainDelayMs', '0'],
    ['log.level', 'warn'],
  ]);
  // Only flags: what this user has configured elsewhere is not for the demo.
  const config = loadConfig({ environment: {}, flags });
  return startServer(config);
}

/** `port` when nobody listens there, else 0: any free one. */
function portOrFree(port: number): Promise<number> {
  return new Promise(resolve => {
    const probe = createServer();
    probe.once('error', () => resolve(0));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(port)));
  });
}

function explain({ url, adminUrl, context }: RunningServer): void {
  const token = context.options.admin.token ?? '';
  print(`
Try, in another terminal:

  curl '${url}/v1/selection?count=3'
  curl '${url}/v1/selection?count=110' -H 'accept: application/msgpack' --output answer.msgpack
  curl ${url}/v1/selections -H 'content-type: application/json' -d '{"requests":[{"count":2},{"count":3}]}'
  curl ${url}/v1/status
  curl ${url}/metrics
  curl -X POST ${adminUrl}/v1/admin/refresh -H 'authorization: Bearer ${token}'

How it is doing: ${styleText('bold', `${url}/`)}
Documentation:   ${styleText('bold', `${url}/docs`)}
Ctrl-C ends everything and leaves nothing behind.
`);
}

/** Shows generation and age until it is stopped. */
function tick({ context }: RunningServer): () => void {
  const { cache } = context;
  const text = async () => {
    const { nodes: counts, deltas, lastError } = cache.status();
    const nodes = counts === undefined ? '' : `, ${counts.vetted} vetted + ${counts.new} new nodes`;
    const pushed = deltas.published === 0 ? '' : `, ${deltas.published} changes pushed`;
    const error = lastError === undefined ? '' : `, last load failed: ${lastError.message}`;
    const { prepared, inPlace, pool } = (await context.whole.status()).ways;
    const age = (cache.ageMs() / 1_000).toFixed(1);
    const answers = prepared + inPlace + pool;
    return `generation ${cache.generation()}, ${age} s old${nodes}${pushed}, ${answers} answers${error}`;
  };
  const terminal = process.stdout.isTTY;
  const show = async () => {
    const line = await text();
    process.stdout.write(terminal ? `\r\u001b[K${line}` : `${line}\n`);
  };
  const timer = setInterval(() => void show(), terminal ? TICK_MS : LINE_EVERY_MS);
  return () => clearInterval(timer);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
