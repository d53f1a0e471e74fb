/**
 * What is said of the whole server: status and metrics over all HTTP threads. Lives on the main thread; the
 * others ask for it.
 */
import type { Registry } from 'prom-client';
import type { FleetView } from '../workers/fleet-link.ts';
import type { WholeServer } from './app-context.ts';
import { metricsRegistry } from './metrics.ts';
import { unreadiness } from './readiness.ts';
import { type ServerStatus, tidied } from './server-status.ts';
import type { MetricSamples } from './statsd.ts';
import { summedReport, threadReport, waysOf } from './thread-report.ts';
import type { HttpThreads } from './threads/http-threads.ts';
import type { Totals, WholeParts } from './totals.ts';
import type { StallCounts, Watchdog } from './watchdog/watchdog.ts';

export class MainServer implements WholeServer {
  #parts: WholeParts | undefined;
  #threads: HttpThreads | undefined;
  #watchdog: Watchdog | undefined;
  #registry: Registry | undefined;
  #totals: Totals | undefined;

  /** Before the first request. */
  attach(parts: WholeParts): void {
    this.#parts = parts;
    this.#registry = metricsRegistry(() => this.#totals!);
  }

  /** There are others beside the main thread. */
  attachThreads(threads: HttpThreads): void {
    this.#threads = threads;
  }

  attachWatchdog(watchdog: Watchdog): void {
    this.#watchdog = watchdog;
  }

  async status(): Promise<ServerStatus> {
    return statusOf(await this.#ask());
  }

  async metrics(): Promise<string> {
    this.#totals = await this.#ask();
    return this.#registry!.metrics();
  }

  fleet(): Promise<FleetView | undefined> {
    return this.#parts!.cache.fleet();
  }

  /** The same metrics as data. */
  async samples(): Promise<MetricSamples> {
    this.#totals = await this.#ask();
    return this.#registry!.getMetricsAsJSON();
  }

  close(): void {
    this.#registry?.clear();
  }

  async #ask(): Promise<Totals> {
    const others = (await this.#threads?.reports()) ?? [];
    const parts = this.#parts!;
    const reports = [threadReport(parts.context), ...others];
    const httpThreadRestarts = this.#threads?.restarts ?? 0;
    const stalls = this.#watchdog?.stalls ?? NO_STALLS;
    return { ...parts, reports, total: summedReport(reports), httpThreadRestarts, stalls };
  }
}

const NO_STALLS: StallCounts = { count: 0, totalMs: 0 };

function statusOf({
  access,
  context,
  cache,
  workerPool,
  tender,
  reports,
  total,
  ...rest
}: Totals): ServerStatus {
  const { phase } = context;
  const unready = unreadiness(context);
  const generation = cache.generation();
  const ageMs = cache.ageMs();
  const loader = tidied(cache.status());
  const tended = tender?.counts();
  return {
    version: context.version,
    node: process.version,
    kernel: cache.kernel,
    uptimeMs: context.uptimeMs(),
    ready: unready === undefined,
    notReady: unready?.detail ?? null,
    draining: phase !== 'serving',
    generation,
    ageMs: Number.isFinite(ageMs) ? ageMs : null,
    nodes: loader.nodes ?? null,
    access: { ...access.status(), tls: context.tls !== undefined },
    loader,
    ways: { ...waysOf(total), poolFallbacks: total.poolFallbacks },
    prepared:
      total.prepared === undefined || tended === undefined
        ? null
        : { ...total.prepared, filled: tended.answers, failedTasks: tended.failed },
    httpThreads: reports.map(report => ({
      answers: Object.values(waysOf(report)).reduce((sum, answers) => sum + answers, 0),
      connections: report.connections,
    })),
    httpThreadRestarts: rest.httpThreadRestarts,
    stalls: rest.stalls,
    workerPool: workerPool.status(),
    picks: total.picks,
  };
}
