/**
 * The Prometheus registry of one server: each metric reads the sum over the HTTP threads or the loader's
 * status when it is collected.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { PreparedCounts } from './answers/prepared-answers.ts';
import { fleetCounters, fleetGauges } from './fleet-metrics.ts';
import type { Labels, Metric, Sample } from './metric.ts';
import { unreadiness } from './readiness.ts';
import { shortagesOf } from './thread-report.ts';
import type { Totals } from './totals.ts';

const NO_LABELS: Labels = {};

/** `totals`: as of this collection. */
export function metricsRegistry(totals: () => Totals): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const metric of [
    ...gauges(totals),
    ...snapshotGauges(totals),
    ...preparedGauges(totals),
    ...fleetGauges(totals),
  ])
    addGauge(registry, metric);
  for (const metric of [
    ...loaderCounters(totals),
    ...requestCounters(totals),
    ...preparedCounters(totals),
    ...fleetCounters(totals),
  ])
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

function gauges(totals: () => Totals): Metric[] {
  const single = (name: string, help: string, value: () => number | undefined): Metric => ({
    name,
    help,
    samples: () => samplesOf(value()),
  });
  return [
    single('generation', 'Number of the current snapshot, 0 before the first.', () =>
      totals().cache.generation(),
    ),
    single('age_seconds', 'Time since the read of the current snapshot began.', () =>
      finite(totals().cache.ageMs() / 1_000),
    ),
    single(
      'snapshot_bytes',
      'Bytes of the current snapshot.',
      () => totals().cache.status().lastLoad?.snapshotBytes,
    ),
    single('snapshot_file_problem', '1 while the snapshot file cannot be written.', () => {
      const { snapshotFile } = totals().cache.status();
      return snapshotFile && Number(snapshotFile.problem !== undefined);
    }),
    single('failures_consecutive', 'Failed loads since the last good one.', () => {
      return totals().cache.status().lastError?.consecutive ?? 0;
    }),
    single('change_feed_connected', '1 while changes of the source come in by themselves.', () => {
      const { changes } = totals().cache.status();
      return changes === undefined ? undefined : Number(changes.connected && changes.mode !== 'none');
    }),
    single('delta_duration_seconds', 'Duration of the last delta.', () => {
      const { lastDelta } = totals().cache.status();
      return lastDelta === undefined ? undefined : lastDelta.durationMs / 1_000;
    }),
    single(
      'delta_lag_seconds',
      'From the write to the publish of the last delta, by two wall clocks.',
      () => {
        const lagMs = totals().cache.status().lastDelta?.lagMs;
        return lagMs === undefined ? undefined : lagMs / 1_000;
      },
    ),
    single('revoked_nodes', 'Nodes that a revocation holds out of selections.', () => {
      return totals().cache.status().revoked;
    }),
    single('worker_pool_threads', 'Threads of the worker pool.', () => totals().workerPool.status().threads),
    single(
      'worker_pool_queued',
      'Tasks that wait for the worker pool.',
      () => totals().workerPool.status().queued,
    ),
    single('answer_waiting_bytes', 'Answers that wait for slow readers.', () => totals().total.waitingBytes),
    single('ready', '1 when /readyz says yes.', () => (unreadiness(totals().context) === undefined ? 1 : 0)),
    single('http_threads', 'Threads that serve HTTP.', () => totals().reports.length),
    {
      name: 'http_connections',
      help: 'Open connections, by HTTP thread; 0 is the main one.',
      labels: ['thread'],
      samples: () =>
        totals().reports.map(({ connections }, index) => [{ thread: String(index) }, connections] as const),
    },
  ];
}

/** What is in the current snapshot, and how its load went. */
function snapshotGauges(totals: () => Totals): Metric[] {
  const status = () => totals().cache.status();
  return [
    {
      name: 'nodes',
      help: 'Nodes of the current snapshot.',
      labels: ['pool'],
      samples: () => {
        const { nodes } = status();
        if (nodes === undefined) return [];
        return (['vetted', 'new', 'ineligible'] as const).map(name => [{ pool: name }, nodes[name]] as const);
      },
    },
    {
      name: 'networks',
      help: 'Distinct networks of the current snapshot.',
      labels: ['pool'],
      samples: () => {
        const { nodes } = status();
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
      samples: () => stageSamples(status().lastLoad),
    },
    {
      name: 'load_rows_left_out',
      help: 'Rows of the last load that cannot be chosen, by what became of them and why.',
      labels: ['kind', 'reason'],
      samples: () => {
        const load = status().lastLoad;
        if (load === undefined) return [];
        return (['refused', 'ineligible', 'absent'] as const).flatMap(kind =>
          Object.entries(load[kind]).map(([reason, count]) => [{ kind, reason }, count] as const),
        );
      },
    },
  ];
}

type Stages = Readonly<
  Record<'durationMs' | 'readMs' | 'buildMs' | 'validateMs' | 'publishMs' | 'followUpMs', number>
>;

function stageSamples(load: Stages | undefined): Sample[] {
  if (load === undefined) return [];
  return [
    [{ stage: 'whole' }, load.durationMs / 1_000],
    [{ stage: 'read' }, load.readMs / 1_000],
    [{ stage: 'build' }, load.buildMs / 1_000],
    [{ stage: 'validate' }, load.validateMs / 1_000],
    [{ stage: 'publish' }, load.publishMs / 1_000],
    [{ stage: 'follow-up' }, load.followUpMs / 1_000],
  ];
}

function loaderCounters(totals: () => Totals): Metric[] {
  return [
    {
      name: 'deltas_total',
      help: 'Deltas: generations made of the one before and the nodes that have changed, by result.',
      labels: ['result'],
      samples: () => {
        const { published, failed } = totals().cache.status().deltas;
        return [
          [{ result: 'published' }, published],
          [{ result: 'failed' }, failed],
        ];
      },
    },
    {
      name: 'taken_out_total',
      help: 'Nodes that left selections at once, because the source said so, ahead of the delta.',
      samples: () => [[NO_LABELS, totals().cache.status().deltas.takenOut]],
    },
    {
      name: 'change_feed_failures_total',
      help: 'Times that the connection on which the source tells of changes was lost or not to be had.',
      samples: () => samplesOf(totals().cache.status().changes?.failureCount),
    },
    {
      name: 'loads_refused_total',
      help: 'Loads that the data guard refused, by validator.',
      labels: ['validator'],
      samples: () =>
        Object.entries(totals().cache.status().guard?.refusals ?? {}).map(
          ([validator, count]) => [{ validator }, count] as const,
        ),
    },
    {
      name: 'refreshes_total',
      help: 'Loads, by outcome.',
      labels: ['outcome'],
      samples: () => {
        const { succeeded, failed } = totals().cache.status().refreshes;
        return [
          [{ outcome: 'succeeded' }, succeeded],
          [{ outcome: 'failed' }, failed],
        ];
      },
    },
    {
      name: 'loader_restarts_total',
      help: 'Times the loader thread had to be started again.',
      samples: () => [[NO_LABELS, totals().cache.status().restarts]],
    },
    {
      name: 'worker_pool_tasks_total',
      help: 'Tasks given to the worker pool, by outcome.',
      labels: ['outcome'],
      samples: () => {
        const { tasks, lost } = totals().workerPool.status();
        return [
          [{ outcome: 'taken' }, tasks],
          [{ outcome: 'lost' }, lost],
        ];
      },
    },
  ];
}

function requestCounters(totals: () => Totals): Metric[] {
  return [
    {
      name: 'selections_total',
      help: 'Selections, by way, format and outcome.',
      labels: ['way', 'format', 'outcome'],
      samples: () =>
        totals().total.selections.map(
          ({ way, format, outcome, count }) => [{ way, format, outcome }, count] as const,
        ),
    },
    { name: 'picks_total', help: 'Nodes handed out.', samples: () => [[NO_LABELS, totals().total.picks]] },
    {
      name: 'shortages_total',
      help: 'Selections that found fewer nodes than asked for.',
      samples: () => [[NO_LABELS, shortagesOf(totals().total)]],
    },
    {
      name: 'worker_pool_fallbacks_total',
      help: 'Requests for the pool that were answered in place.',
      samples: () => [[NO_LABELS, totals().total.poolFallbacks]],
    },
    {
      name: 'http_shed_total',
      help: 'Requests refused because the event loop was late.',
      samples: () => [[NO_LABELS, totals().total.shed]],
    },
    {
      name: 'http_denied_total',
      help: 'Requests of the data routes that were refused to whoever asked, by code.',
      labels: ['code'],
      samples: () => Object.entries(totals().total.denied).map(([code, count]) => [{ code }, count] as const),
    },
    {
      name: 'http_requests_total',
      help: 'Answers, by route and class of status.',
      labels: ['route', 'status'],
      samples: () =>
        totals().total.requests.map(
          ({ route, statusClass, count }) => [{ route, status: statusClass }, count] as const,
        ),
    },
  ];
}

/** Empty while nothing is prepared. */
function preparedGauges(totals: () => Totals): Metric[] {
  const samples = (pick: (prepared: PreparedCounts) => number) => () =>
    samplesOf(totals().total.prepared && pick(totals().total.prepared!));
  return [
    {
      name: 'prepared_rings_used',
      help: 'Rings of prepared answers that a hot request has.',
      samples: samples(({ ringsUsed }) => ringsUsed),
    },
    {
      name: 'prepared_ready',
      help: 'Prepared answers that wait to be sent.',
      samples: samples(({ ready }) => ready),
    },
    {
      name: 'prepared_slots',
      help: 'Answers that the rings in use can hold.',
      samples: samples(({ slots }) => slots),
    },
  ];
}

function preparedCounters(totals: () => Totals): Metric[] {
  return [
    {
      name: 'prepared_filled_total',
      help: 'Answers that the workers have prepared.',
      samples: () => samplesOf(totals().tender?.counts().answers),
    },
    {
      name: 'prepared_dropped_total',
      help: 'Prepared answers thrown away unused, by reason.',
      labels: ['reason'],
      samples: () => {
        const drops = totals().total.prepared?.drops;
        return drops === undefined
          ? []
          : Object.entries(drops).map(([reason, count]) => [{ reason }, count] as const);
      },
    },
    {
      name: 'prepared_tasks_failed_total',
      help: 'Tasks of preparing that the worker pool refused or lost.',
      samples: () => samplesOf(totals().tender?.counts().failed),
    },
    {
      name: 'http_thread_restarts_total',
      help: 'Times that an HTTP thread had to be started again.',
      samples: () => [[NO_LABELS, totals().httpThreadRestarts]],
    },
    {
      name: 'stalls_total',
      help: 'Times that the event loop of the main thread stood still (watchdog.stallMs).',
      samples: () => [[NO_LABELS, totals().stalls.count]],
    },
    {
      name: 'stalled_seconds_total',
      help: 'Time that it stood still then.',
      samples: () => [[NO_LABELS, totals().stalls.totalMs / 1_000]],
    },
  ];
}

function samplesOf(value: number | undefined): Sample[] {
  return value === undefined ? [] : [[NO_LABELS, value]];
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
