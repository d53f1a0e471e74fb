/**
 * The bus over Postgres alone, for up to about 50 replicas: no other engine to run. Records are rows, an
 * announcement wakes who follows, blobs are rows of chunks. Each replica keeps two sessions.
 */
import { CacheError, type ErrorCode } from '../../engine/errors.ts';
import { postgresFailure, postgresTarget, targetAddress } from '../source/postgres/failures.ts';
import { type Bus, BusError } from './bus.ts';
import type { Engine } from './engine.ts';
import { EngineBus } from './engine-bus.ts';
import { commonFailure } from './failures.ts';
import type { ResolvedPostgresBus } from './options.ts';
import { type PostgresBusTarget, PostgresConnection } from './postgres/connection.ts';
import { parseUrl, passwordOf, tlsOptions, urlText } from './secrets.ts';

const SCHEMES = ['postgres:', 'postgresql:'];
const RECORD_BYTES_MAX = 1_048_576;
const PART_BYTES = 1_048_576;
const DENIED: readonly ErrorCode[] = ['SOURCE_DENIED', 'CONFIG_INVALID'];

export async function openPostgresBus(options: ResolvedPostgresBus): Promise<Bus> {
  const url = parseUrl(await urlText(options), SCHEMES, options);
  const target = postgresTarget({ connectionString: url.href });
  const description = `postgres: ${target.database} at ${targetAddress(target)}, schema ${options.schema}`;
  const engine: Engine = {
    description,
    recordBytesMax: RECORD_BYTES_MAX,
    partBytes: PART_BYTES,
    connect: async (use, signal) =>
      await PostgresConnection.open(await connectionTarget(options), use, signal),
    failure: error => {
      if (!(error instanceof CacheError)) {
        const common = commonFailure(description, error);
        if (common !== undefined) return common;
      }
      const { timeoutMs } = options;
      const context = { target, connectTimeoutMs: timeoutMs, statementTimeoutMs: timeoutMs };
      const failure = postgresFailure(error, context);
      const code = DENIED.includes(failure.code) ? 'BUS_DENIED' : 'BUS_UNAVAILABLE';
      return new BusError(code, failure.message, { cause: error });
    },
  };
  return new EngineBus(engine, options);
}

async function connectionTarget(options: ResolvedPostgresBus): Promise<PostgresBusTarget> {
  const url = parseUrl(await urlText(options), SCHEMES, options);
  const { tls, timeoutMs, schema } = options;
  return {
    config: {
      connectionString: url.href,
      connectionTimeoutMillis: timeoutMs,
      application_name: 'sortition bus',
      keepAlive: true,
      ...(tls === undefined ? {} : { ssl: await tlsOptions(tls, url.hostname) }),
    },
    password: await passwordOf(options, url),
    schema,
    timeoutMs,
  };
}
