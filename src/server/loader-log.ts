/** Tells the log when the loader's state changes: loaded, failed, recovered, started again. HTTP thread. */
import type { Logger } from 'pino';
import type { Cache } from '../workers/cache-types.ts';
import type { LoaderStatus, LoadReport } from '../workers/messages.ts';

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
  if (status.restarts > before.restarts) {
    log.error({ restarts: status.restarts }, 'the loader thread had to be started again');
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
