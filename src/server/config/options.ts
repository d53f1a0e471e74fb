/** From configuration values to what the cache and the server take. Every option is written out. */
import type { CacheOptions } from '../../workers/cache-options.ts';
import { parseSourceText, type SourceOptions } from '../../workers/source/open-source.ts';
import type { PostgresSourceOptions, PostgresThresholds } from '../../workers/source/postgres/options.ts';
import { AUTO_HTTP_THREADS, AUTO_SERVE_FROM } from './machine.ts';
import type { ConfigValues } from './table.ts';

export interface HttpOptions {
  readonly requestTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly connectionsCheckingIntervalMs: number;
  readonly connectionTimeoutMs: number;
  readonly handlerTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly requestsPerSocketMax: number;
  readonly headerBytesMax: number;
  readonly urlBytesMax: number;
  readonly paramLengthMax: number;
  readonly bodyBytesMax: number;
  readonly batchBodyBytesMax: number;
  readonly lookupBodyBytesMax: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  readonly answerBytesMax: number;
  readonly eventLoopDelayMaxMs: number;
}

export interface RequestLimits {
  readonly countMax: number;
  readonly idsMax: number;
  readonly lookupIdsMax: number;
  readonly batchRequestsMax: number;
  readonly batchPicksMax: number;
}

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  /** Absent: the admin listener is off. */
  readonly token: string | undefined;
  /** Wrong tokens that one address may send in a minute. */
  readonly failedLoginsMax: number;
  /** A refresh is answered when it is done, so the admin listener waits for a whole load. */
  readonly refreshTimeoutMs: number;
}

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly admin: AdminOptions;
  /** Threads that serve, the main one among them; `auto` has been settled by the machine. */
  readonly httpThreads: number;
  /** True when the number was asked for, false when the machine suggested it. */
  readonly httpThreadsGiven: boolean;
  /** `auto` has been settled by the machine. */
  readonly serveFrom: 'prepared' | 'in-place' | 'pool';
  readonly preparedBytesMax: number;
  readonly inPlaceLimitMicros: number;
  readonly workerPool: {
    readonly threads: number;
    /** Tasks. */
    readonly queueMax: number;
    /** Requests that gather for the next task. */
    readonly waitingMax: number;
  };
  readonly limits: RequestLimits;
  readonly http: HttpOptions;
  readonly shutdown: { readonly drainDelayMs: number; readonly deadlineMs: number };
}

export function serverOptions(values: ConfigValues): ServerOptions {
  return {
    host: values.host,
    port: values.port,
    admin: {
      host: values['admin.host'],
      port: values['admin.port'],
      token: values['admin.token'],
      failedLoginsMax: values['admin.failedLoginsMax'],
      refreshTimeoutMs: values['refresh.timeoutMs'],
    },
    httpThreads: values.httpThreads === 'auto' ? AUTO_HTTP_THREADS : values.httpThreads,
    httpThreadsGiven: values.httpThreads !== 'auto',
    serveFrom: values.serveFrom === 'auto' ? AUTO_SERVE_FROM : values.serveFrom,
    preparedBytesMax: values['prepared.bytesMax'],
    inPlaceLimitMicros: values.inPlaceLimitMicros,
    workerPool: {
      threads: values['workerPool.threads'],
      queueMax: values['workerPool.queueMax'],
      waitingMax: values['workerPool.waitingMax'],
    },
    limits: {
      countMax: values['limits.countMax'],
      idsMax: values['limits.idsMax'],
      lookupIdsMax: values['limits.lookupIdsMax'],
      batchRequestsMax: values['limits.batchRequestsMax'],
      batchPicksMax: values['limits.batchPicksMax'],
    },
    http: httpOptions(values),
    shutdown: {
      drainDelayMs: values['shutdown.drainDelayMs'],
      deadlineMs: values['shutdown.deadlineMs'],
    },
  };
}

function httpOptions(values: ConfigValues): HttpOptions {
  return {
    requestTimeoutMs: values['http.requestTimeoutMs'],
    headersTimeoutMs: values['http.headersTimeoutMs'],
    connectionsCheckingIntervalMs: values['http.connectionsCheckingIntervalMs'],
    connectionTimeoutMs: values['http.connectionTimeoutMs'],
    handlerTimeoutMs: values['http.handlerTimeoutMs'],
    keepAliveTimeoutMs: values['http.keepAliveTimeoutMs'],
    requestsPerSocketMax: values['http.requestsPerSocketMax'],
    headerBytesMax: values['http.headerBytesMax'],
    urlBytesMax: values['http.urlBytesMax'],
    paramLengthMax: values['http.paramLengthMax'],
    bodyBytesMax: values['http.bodyBytesMax'],
    batchBodyBytesMax: values['http.batchBodyBytesMax'],
    lookupBodyBytesMax: values['http.lookupBodyBytesMax'],
    connectionsMax: values['http.connectionsMax'],
    connectionsPerAddressMax: values['http.connectionsPerAddressMax'],
    answerBytesMax: values['http.answerBytesMax'],
    eventLoopDelayMaxMs: values['http.eventLoopDelayMaxMs'],
  };
}

/** Seats of the server's own threads, and one to spare for each kind while one of them is being replaced. */
export function readersNeeded(values: ConfigValues): number {
  const httpThreads = values.httpThreads === 'auto' ? AUTO_HTTP_THREADS : values.httpThreads;
  return httpThreads + values['workerPool.threads'] + SPARE_READERS;
}

const SPARE_READERS = 2;

/**
 * The limits that one of `threads` HTTP threads keeps: its share of those of the whole server. That of one
 * address is not divided: the kernel chooses a thread by a hash, and may give all connections of an address
 * with few to the same one.
 */
export function sharedOptions(options: ServerOptions, threads: number): ServerOptions {
  const { http, workerPool } = options;
  const share = (limit: number) => Math.max(1, Math.ceil(limit / threads));
  return {
    ...options,
    workerPool: { ...workerPool, waitingMax: share(workerPool.waitingMax) },
    http: {
      ...http,
      connectionsMax: share(http.connectionsMax),
      answerBytesMax: share(http.answerBytesMax),
    },
  };
}

/** `location` has been settled: it is never absent here. */
export function cacheOptions(values: ConfigValues, location: string): CacheOptions {
  return {
    source: sourceOptions(values, location),
    refresh: {
      everyMs: values['refresh.everyMs'],
      jitterRatio: values['refresh.jitterRatio'],
      timeoutMs: values['refresh.timeoutMs'],
      backoffFirstMs: values['refresh.backoffFirstMs'],
      backoffLongestMs: values['refresh.backoffLongestMs'],
    },
    capacity: {
      nodes: values['capacity.nodes'],
      readers: Math.max(values['capacity.readers'], readersNeeded(values)),
    },
    guard: {
      rejectRatioMax: values['guard.rejectRatioMax'],
      dropRatioMax: values['guard.dropRatioMax'],
      nodesMin: values['guard.nodesMin'],
      allowRanges: values['guard.allowRanges'],
    },
    placements: values.placements,
    distinctAttributes: values.distinctAttributes,
    networkPrefixBits: { ipv4: values['networkPrefixBits.ipv4'], ipv6: values['networkPrefixBits.ipv6'] },
    limits: { countMax: values['limits.countMax'], idsMax: values['limits.idsMax'] },
    ...present({ snapshotFile: values.snapshotFile }),
  };
}

function sourceOptions(values: ConfigValues, location: string): SourceOptions {
  const source = parseSourceText(location);
  if (source.kind !== 'postgres') return source;
  const options: PostgresSourceOptions = {
    ...source,
    ...present({
      passwordFile: values['source.passwordFile'],
      table: values['source.table'],
      query: values['source.query'],
      connectTimeoutMs: values['source.connectTimeoutMs'],
      statementTimeoutMs: values['source.statementTimeoutMs'],
    }),
    ...filled({
      columns: values['source.columns'] as NonNullable<PostgresSourceOptions['columns']>,
      attributes: values['source.attributes'],
      thresholds: thresholds(values),
    }),
  };
  return options;
}

function thresholds(values: ConfigValues): PostgresThresholds {
  return present({
    minFreeDiskBytes: values['source.thresholds.minFreeDiskBytes'],
    onlineWindowMs: values['source.thresholds.onlineWindowMs'],
    goneAfterMs: values['source.thresholds.goneAfterMs'],
    nodeType: values['source.thresholds.nodeType'],
    minAuditCount: values['source.thresholds.minAuditCount'],
    minUptimeCount: values['source.thresholds.minUptimeCount'],
    minimumVersion: values['source.thresholds.minimumVersion'],
    releaseOnly: values['source.thresholds.releaseOnly'],
  });
}

/** The entries that are set: absent and `undefined` differ under `exactOptionalPropertyTypes`. */
function present<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(object).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** The entries that hold something: an empty object means that the key was not used. */
function filled<T extends Record<string, object>>(object: T): Partial<T> {
  const entries = Object.entries(object).filter(([, value]) => Object.keys(value).length > 0);
  return Object.fromEntries(entries) as Partial<T>;
}
