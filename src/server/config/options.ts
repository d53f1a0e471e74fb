/** From configuration values to what the cache and the server take. Every option is written out. */

import { parseBusText } from '../../workers/bus/open-bus.ts';
import type { BusOptions } from '../../workers/bus/options.ts';
import type { CacheOptions } from '../../workers/cache-options.ts';
import type { FleetOptions } from '../../workers/fleet-options.ts';
import { parseSourceText, type SourceOptions } from '../../workers/source/open-source.ts';
import type { PostgresSourceOptions, PostgresThresholds } from '../../workers/source/postgres/options.ts';
import type { AccessMode } from '../access/identity.ts';
import type { PublicGroup } from '../access/route-rights.ts';
import { AUTO_HTTP_THREADS, AUTO_SERVE_FROM } from './machine.ts';
import type { ConfigValues } from './table.ts';

export interface HttpOptions {
  readonly requestTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly connectionsCheckingIntervalMs: number;
  readonly connectionTimeoutMs: number;
  readonly sendTimeoutMs: number;
  readonly handlerTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly requestsPerSocketMax: number;
  readonly headerBytesMax: number;
  readonly headersMax: number;
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

export interface StatsdOptions {
  readonly host: string;
  readonly port: number;
  readonly prefix: string;
  readonly everyMs: number;
  readonly tags: boolean;
}

export interface WatchdogOptions {
  /** Absent: probes are answered by the data listener alone. */
  readonly probes: { readonly host: string; readonly port: number } | undefined;
  /** 0: nobody looks. */
  readonly stallMs: number;
  /** 0: never. */
  readonly hungMs: number;
}

export interface RequestLimits {
  readonly countMax: number;
  readonly idsMax: number;
  readonly lookupIdsMax: number;
  readonly batchRequestsMax: number;
  readonly batchPicksMax: number;
}

export interface TlsOptions {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly clientCaFile: string | undefined;
}

export interface AccessOptions {
  readonly mode: AccessMode;
  readonly file: string | undefined;
  readonly publicGroups: readonly PublicGroup[];
}

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  /** Without a token and a file of them the admin listener is off. */
  readonly token: string | undefined;
  readonly tokensFile: string | undefined;
  readonly auditFile: string | undefined;
  readonly tls: TlsOptions | undefined;
  /** Wrong tokens that one address may send in a minute. */
  readonly failedLoginsMax: number;
  /** A refresh is answered when it is done, so the admin listener waits for a whole load. */
  readonly refreshTimeoutMs: number;
}

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly admin: AdminOptions;
  readonly access: AccessOptions;
  /** Absent: the data listener speaks plain HTTP. */
  readonly tls: TlsOptions | undefined;
  /** Threads that serve, the main one among them; `auto` has been settled by the machine. */
  readonly httpThreads: number;
  /** True when the number was asked for, false when the machine suggested it. */
  readonly httpThreadsGiven: boolean;
  /** `auto` has been settled by the machine. */
  readonly serveFrom: 'prepared' | 'in-place' | 'pool';
  /** 0: never. */
  readonly readyAgeMaxMs: number;
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
  /** Absent: metrics are asked for, and not sent. */
  readonly statsd: StatsdOptions | undefined;
  readonly watchdog: WatchdogOptions;
}

export function serverOptions(values: ConfigValues): ServerOptions {
  return {
    host: values.host,
    port: values.port,
    admin: {
      host: values['admin.host'],
      port: values['admin.port'],
      token: values['admin.token'],
      tokensFile: values['admin.tokensFile'],
      auditFile: values['admin.auditFile'],
      tls: tlsOptions(values, 'admin.tls'),
      failedLoginsMax: values['admin.failedLoginsMax'],
      refreshTimeoutMs: values['refresh.timeoutMs'],
    },
    access: {
      mode: values['access.mode'],
      file: values['access.file'],
      publicGroups: values['access.public'] as readonly PublicGroup[],
    },
    tls: tlsOptions(values, 'tls'),
    httpThreads: values.httpThreads === 'auto' ? AUTO_HTTP_THREADS : values.httpThreads,
    httpThreadsGiven: values.httpThreads !== 'auto',
    serveFrom: values.serveFrom === 'auto' ? AUTO_SERVE_FROM : values.serveFrom,
    readyAgeMaxMs: values.readyAgeMaxMs,
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
    statsd: statsdOptions(values),
    watchdog: {
      probes: hostAndPort(values['probes.address']),
      stallMs: values['watchdog.stallMs'],
      hungMs: values['watchdog.hungMs'],
    },
  };
}

/** Undefined where the listener speaks plain HTTP. */
export function tlsOptions(values: ConfigValues, prefix: 'tls' | 'admin.tls'): TlsOptions | undefined {
  const certificateFile = values[`${prefix}.certificateFile`];
  const keyFile = values[`${prefix}.keyFile`];
  if (certificateFile === undefined || keyFile === undefined) return undefined;
  return { certificateFile, keyFile, clientCaFile: values[`${prefix}.clientCaFile`] };
}

function statsdOptions(values: ConfigValues): StatsdOptions | undefined {
  const address = hostAndPort(values['statsd.address']);
  if (address === undefined) return undefined;
  return {
    ...address,
    prefix: values['statsd.prefix'],
    everyMs: values['statsd.everyMs'],
    tags: values['statsd.tags'],
  };
}

/** `[::1]:8125` → `::1` and 8125. */
function hostAndPort(address: string | undefined): { host: string; port: number } | undefined {
  if (address === undefined) return undefined;
  const colon = address.lastIndexOf(':');
  return {
    host: address.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(address.slice(colon + 1)),
  };
}

function httpOptions(values: ConfigValues): HttpOptions {
  return {
    requestTimeoutMs: values['http.requestTimeoutMs'],
    headersTimeoutMs: values['http.headersTimeoutMs'],
    connectionsCheckingIntervalMs: values['http.connectionsCheckingIntervalMs'],
    connectionTimeoutMs: values['http.connectionTimeoutMs'],
    sendTimeoutMs: values['http.sendTimeoutMs'],
    handlerTimeoutMs: values['http.handlerTimeoutMs'],
    keepAliveTimeoutMs: values['http.keepAliveTimeoutMs'],
    requestsPerSocketMax: values['http.requestsPerSocketMax'],
    headerBytesMax: values['http.headerBytesMax'],
    headersMax: values['http.headersMax'],
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
      duplicateRatioMax: values['guard.duplicateRatioMax'],
      dropRatioMax: values['guard.dropRatioMax'],
      dropPerHourRatioMax: values['guard.dropPerHourRatioMax'],
      growthFactorMax: values['guard.growthFactorMax'],
      networkShareMax: values['guard.networkShareMax'],
      nodesMin: values['guard.nodesMin'],
      vettedMin: values['guard.vettedMin'],
      confirmations: values['guard.confirmations'],
      allowRanges: values['guard.allowRanges'],
    },
    placements: values.placements,
    distinctAttributes: values.distinctAttributes,
    networkPrefixBits: { ipv4: values['networkPrefixBits.ipv4'], ipv6: values['networkPrefixBits.ipv6'] },
    limits: { countMax: values['limits.countMax'], idsMax: values['limits.idsMax'] },
    snapshotSigning: {
      publicKeyFiles: values['snapshotSigning.publicKeyFiles'],
      ...present({ keyFile: values['snapshotSigning.keyFile'] }),
    },
    ...present({ snapshotFile: values.snapshotFile, fleet: fleetOptions(values) }),
  };
}

/** Undefined where no bus is named. */
function fleetOptions(values: ConfigValues): FleetOptions | undefined {
  const bus = values['fleet.bus'];
  if (bus === undefined) return undefined;
  return {
    bus: { ...parseBusText(bus), ...values['fleet.busOptions'] } as BusOptions,
    name: values['fleet.name'],
    election: present({ url: values['fleet.electionUrl'] }),
    leaseMs: values['fleet.leaseMs'],
    mayLead: values['fleet.mayLead'],
    loadsAtOnce: values['fleet.loadsAtOnce'],
    ...present({
      keyFile: values['fleet.keyFile'],
      address: values['fleet.address'] ?? ownAddress(values),
      loadAfterMs: values['fleet.loadAfterMs'],
    }),
  };
}

/** Unknown before it listens where the system chooses the port. */
function ownAddress({ host, port }: ConfigValues): string | undefined {
  if (port === 0) return undefined;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
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
      changes: values['source.changes'] === 'auto' ? undefined : values['source.changes'],
      pollMs: values['source.pollMs'],
      pollOverlapMs: values['source.pollOverlapMs'],
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
