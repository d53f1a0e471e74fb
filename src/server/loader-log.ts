/** Tells the log when the loader's state changes: loaded, failed, recovered, started again. HTTP thread. */
import type { Logger } from 'pino';
import type { Cache } from '../workers/cache-types.ts';
import type { LoadReport, RestoreReport } from '../workers/load-report.ts';
import type { LoaderStatus } from '../workers/messages.ts';

/** Returns how to stop. */
export function logLoader(cache: Cache, log: Logger): () => void {
  let before = cache.status();
  return cache.onStatus(status => {
    logChange(log, before, status);
    before = status;
  });
}

function logChange(log: Logger, before: LoaderStatus, status: LoaderStatus): void {
  const { lastLoad, lastError } = status;
  if (lastLoad !== undefined && lastLoad.generation !== before.lastLoad?.generation) {
    if (before.lastError !== undefined) {
      log.info({ failures: before.lastError.consecutive, source: status.source }, 'the source has recovered');
    }
    log.info(loadFields(lastLoad), 'loaded');
  }
  if (lastError !== undefined && lastError.consecutive !== before.lastError?.consecutive) {
    const { code, message, field, consecutive } = lastError;
    const generation = lastLoad?.generation ?? 0;
    log.warn(
      { code, detail: message, ...(field === undefined ? {} : { field }), failures: consecutive, generation },
      generation === 0
        ? 'a load failed; there is nothing to serve yet'
        : 'a load failed; the last good one stays',
    );
  }
  if (status.restored !== undefined && before.restored === undefined) logRestored(log, status.restored);
  logFeed(log, before, status);
  logFleet(log, before, status);
  logAdvice(log, before, status);
  logFile(log, before, status);
  if (status.restarts > before.restarts) {
    log.error({ restarts: status.restarts }, 'the loader thread had to be started again');
  }
}

function logRestored(log: Logger, { generation, path, readAt, problem }: RestoreReport): void {
  if (problem !== undefined) log.warn({ ...problem }, 'the snapshot file could not be used');
  if (generation !== undefined) log.info({ generation, path, readAt }, 'serving from the snapshot file');
}

/** News of these kinds are what an operator has to see; the others are how it goes. */
const FLEET_WARNINGS: readonly string[] = [
  'lost',
  'refused',
  'bus-failed',
  'election-failed',
  'source-failed',
];

/** What is wrong with how the bus is set up: each thing once. */
function logAdvice(log: Logger, { fleet: before }: LoaderStatus, { fleet }: LoaderStatus): void {
  const [was = [], is = []] = [before, fleet].map(status =>
    status?.problems.filter(({ about }) => about === 'bus setup').map(({ detail }) => detail),
  );
  for (const detail of is) if (!was.includes(detail)) log.warn({ detail }, 'the bus is not set up well');
}

/** That the snapshot file cannot be written, once for each reason, and that it can again. */
function logFile(log: Logger, before: LoaderStatus, { snapshotFile }: LoaderStatus): void {
  const [was, is] = [before.snapshotFile?.problem, snapshotFile?.problem];
  const revocations = snapshotFile?.revocationsProblem;
  if (revocations !== undefined && revocations !== before.snapshotFile?.revocationsProblem) {
    log.warn({ detail: revocations }, 'the file of revocations is not right');
  }
  if (is !== undefined && is !== was) log.warn({ detail: is }, 'the snapshot file could not be written');
  if (is === undefined && was !== undefined) log.info('the snapshot file is written again');
}

/** Each thing that is said anew, once: a failure that goes on saying the same is said the first time. */
function logFleet(log: Logger, before: LoaderStatus, { fleetNews = {} }: LoaderStatus): void {
  for (const [kind, { detail }] of Object.entries(fleetNews)) {
    if (detail === before.fleetNews?.[kind]?.detail) continue;
    log[FLEET_WARNINGS.includes(kind) ? 'warn' : 'info']({ kind, detail }, 'fleet');
  }
}

/** How changes become known, when that becomes another way. */
function logFeed(log: Logger, { changes: before }: LoaderStatus, { changes, source }: LoaderStatus): void {
  if (changes === undefined) return;
  const { mode, connected, declined, lastError } = changes;
  if (mode !== undefined && (mode !== before?.mode || connected !== before.connected)) {
    const better = declined.map(({ mode: name, reason }) => `${name}: ${reason}`);
    if (connected)
      log.info({ mode, source, ...(better.length > 0 ? { better } : {}) }, 'changes become known');
  }
  if (lastError !== undefined && lastError.atUnixMs !== before?.lastError?.atUnixMs) {
    const { code, message } = lastError;
    log.warn({ code, detail: message, failures: changes.failureCount }, 'the change feed was lost');
  }
}

function loadFields(load: LoadReport): object {
  const { vetted, new: fresh, ineligible, networks } = load.nodes;
  return {
    generation: load.generation,
    vetted,
    new: fresh,
    ineligible,
    networks,
    refused: sum(load.refused),
    absent: sum(load.absent),
    durationMs: Math.round(load.durationMs),
    snapshotBytes: load.snapshotBytes,
  };
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
