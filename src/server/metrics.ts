/**
 * The Prometheus registry of one server: each metric reads a plain counter or the loader's status when it is
 * collected.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { AppContext } from './app-context.ts';

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  samples(): Iterable<Sample>;
}

const NO_LABELS: Labels = {};

export function metricsRegistry(context: AppContext): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const metric of [...gauges(context), ...snapshotGauges(context)]) addGauge(registry, metric);
  for (const metric of [...loaderCounters(context), ...requestCounters(context)])
    addCounter(registry, metric);
  return registry;
}

function addGauge(registry: Registry, { name, help, labels = [], samples }: Metric): void {
  new Gauge({
    name: `sortition_${name}`,
    help,
    labelNames: labels,
    registers: [registry],
    collect() {
      this.reset();
      for (const [values, value] of samples()) this.set(values, value);
    },
  });
}

/** Totals are kept elsewhere; the counter is set to them. */
function addCounter(registry: Registry, { name, help, labels = [], samples }: Metric): void {
  new Counter({
    name: `sortition_${name}`,
    help,
    labelNames: labels,
    registers: [registry],
    collect() {
      this.reset();
      for (const [values, value] of samples()) this.inc(values, value);
    },
  });
}

function gauges(context: AppContext): Metric[] {
  const { cache, workerPool, buffers } = context;
  const single = (name: string, help: string, value: () => number | undefined): Metric => ({
    name,
    help,
    samples: () => samplesOf(value()),
  });
  return [
    single('generation', 'Number of the current snapshot, 0 before the first.', () => cache.generation()),
    single('age_seconds', 'Time since the read of the current snapshot began.', () =>
      finite(cache.ageMs() / 1_000),
    ),
    single('snapshot_bytes', 'Bytes of the current snapshot.', () => cache.status().lastLoad?.snapshotBytes),
    single('failures_consecutive', 'Failed loads since the last good one.', () => {
      return cache.status().lastError?.consecutive ?? 0;
    }),
    single('worker_pool_threads', 'Threads of the worker pool.', () => workerPool.status().threads),
    single('worker_pool_queued', 'Tasks that wait for the worker pool.', () => workerPool.status().queued),
    single('answer_waiting_bytes', 'Answers that wait for slow readers.', () => buffers.waitingBytes),
    single('ready', '1 when /readyz says yes.', () => {
      return cache.generation() > 0 && context.phase === 'serving' ? 1 : 0;
    }),
  ];
}

/** What is in the current snapshot, and how its load went. */
function snapshotGauges({ cache }: AppContext): Metric[] {
  return [
    {
      name: 'nodes',
      help: 'Nodes of the current snapshot.',
      labels: ['pool'],
      samples: () => {
        const nodes = cache.status().lastLoad?.nodes;
        if (nodes === undefined) return [];
        return (['vetted', 'new', 'ineligible'] as const).map(name => [{ pool: name }, nodes[name]] as const);
      },
    },
    {
      name: 'networks',
      help: 'Distinct networks of the current snapshot.',
      labels: ['pool'],
      samples: () => {
        const nodes = cache.status().lastLoad?.nodes;
        if (nodes === undefined) return [];
        return [
          [{ pool: 'vetted' }, nodes.vettedNetworks],
          [{ pool: 'new' }, nodes.newNetworks],
          [{ pool: 'all' }, nodes.networks],
        ];
      },
    },
    {
      name: 'load_duration_seconds',
      help: 'Duration of the last load, by stage.',
      labels: ['stage'],
      samples: () => stageSamples(cache.status().lastLoad),
    },
    {
      name: 'load_rows_left_out',
      help: 'Rows of the last load that cannot be chosen, by what became of them and why.',
      labels: ['kind', 'reason'],
      samples: () => {
        const load = cache.status().lastLoad;
        if (load === undefined) return [];
        return (['refused', 'ineligible', 'absent'] as const).flatMap(kind =>
          Object.entries(load[kind]).map(([reason, count]) => [{ kind, reason }, count] as const),
        );
      },
    },
  ];
}

type Stages = Readonly<Record<'durationMs' | 'readMs' | 'buildMs' | 'validateMs' | 'publishMs', number>>;

function stageSamples(load: Stages | undefined): Sample[] {
  if (load === undefined) return [];
  return [
    [{ stage: 'whole' }, load.durationMs / 1_000],
    [{ stage: 'read' }, load.readMs / 1_000],
    [{ stage: 'build' }, load.buildMs / 1_000],
    [{ stage: 'validate' }, load.validateMs / 1_000],
    [{ stage: 'publish' }, load.publishMs / 1_000],
  ];
}

function loaderCounters({ cache, workerPool }: AppContext): Metric[] {
  return [
    {
      name: 'refreshes_total',
      help: 'Loads, by outcome.',
      labels: ['outcome'],
      samples: () => {
        const { succeeded, failed } = cache.status().refreshes;
        return [
          [{ outcome: 'succeeded' }, succeeded],
          [{ outcome: 'failed' }, failed],
        ];
      },
    },
    {
      name: 'loader_restarts_total',
      help: 'Times the loader thread had to be started again.',
      samples: () => [[NO_LABELS, cache.status().restarts]],
    },
    {
      name: 'worker_pool_tasks_total',
      help: 'Tasks given to the worker pool, by outcome.',
      labels: ['outcome'],
      samples: () => {
        const { tasks, lost } = workerPool.status();
        return [
          [{ outcome: 'taken' }, tasks],
          [{ outcome: 'lost' }, lost],
        ];
      },
    },
  ];
}

function requestCounters({ counters }: AppContext): Metric[] {
  return [
    {
      name: 'selections_total',
      help: 'Selections, by way, format and outcome.',
      labels: ['way', 'format', 'outcome'],
      samples: () =>
        counters.selections.map(
          ({ way, format, outcome, count }) => [{ way, format, outcome }, count] as const,
        ),
    },
    { name: 'picks_total', help: 'Nodes handed out.', samples: () => [[NO_LABELS, counters.picks]] },
    {
      name: 'shortages_total',
      help: 'Selections that found fewer nodes than asked for.',
      samples: () => [[NO_LABELS, counters.shortages()]],
    },
    {
      name: 'worker_pool_fallbacks_total',
      help: 'Requests for the pool that were answered in place.',
      samples: () => [[NO_LABELS, counters.poolFallbacks]],
    },
    {
      name: 'http_shed_total',
      help: 'Requests refused because the event loop was late.',
      samples: () => [[NO_LABELS, counters.shed]],
    },
    {
      name: 'http_requests_total',
      help: 'Answers, by route and class of status.',
      labels: ['route', 'status'],
      samples: () =>
        [...counters.requests()].map(
          ({ route, statusClass, count }) => [{ route, status: statusClass }, count] as const,
        ),
    },
  ];
}

function samplesOf(value: number | undefined): Sample[] {
  return value === undefined ? [] : [[NO_LABELS, value]];
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
