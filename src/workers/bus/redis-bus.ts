/**
 * The bus over Redis or Valkey. The log is a stream whose ids are `epoch-seq`: the engine itself refuses an
 * id that is not above its last, which is the fence. Nothing goes over pub/sub: Redis closes a subscriber
 * whose output reaches 32 MB, and the publisher does not hear of it.
 */
import { invalidOption } from '../source/option-checks.ts';
import { type Bus, BusError } from './bus.ts';
import type { Engine } from './engine.ts';
import { EngineBus } from './engine-bus.ts';
import { commonFailure, errorText } from './failures.ts';
import type { ResolvedRedisBus } from './options.ts';
import { RedisConnection, type RedisKeys, type RedisTarget } from './redis/connection.ts';
import { parseUrl, passwordOf, tlsOptions, urlText } from './secrets.ts';

const SCHEMES = ['redis:', 'rediss:'];
const PORT_DEFAULT = 6379;
const DATABASE = /^\d{1,9}$/;
const RECORD_BYTES_MAX = 1_048_576;
const PART_BYTES = 1_048_576;

/** Replies that say that who we are, or what we may do, is not enough. */
const DENIED = /^(NOAUTH|WRONGPASS|NOPERM|DENIED)|AUTH .* without any password|invalid password/i;

export async function openRedisBus(options: ResolvedRedisBus): Promise<Bus> {
  const { url } = await redisUrl(options);
  const description = `redis at ${url.hostname}:${url.port || PORT_DEFAULT}, ${options.prefix}`;
  const failure = (error: unknown) => redisFailure(description, error);
  const engine: Engine = {
    description,
    recordBytesMax: RECORD_BYTES_MAX,
    partBytes: PART_BYTES,
    failure,
    connect: async (_use, signal) => {
      const target = await redisTarget(options);
      return await RedisConnection.open(target, keysOf(options.prefix), options.timeoutMs, signal);
    },
  };
  return new EngineBus(engine, options);
}

async function redisUrl(options: ResolvedRedisBus): Promise<{ url: URL; database: number }> {
  const url = parseUrl(await urlText(options), SCHEMES, options);
  const database = url.pathname.slice(1) || '0';
  if (!DATABASE.test(database)) {
    throw invalidOption(options.url === undefined ? 'urlFile' : 'url', 'the database of Redis is a number');
  }
  return { url, database: Number(database) };
}

async function redisTarget(options: ResolvedRedisBus): Promise<RedisTarget> {
  const { url, database } = await redisUrl(options);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const secure = url.protocol === 'rediss:' || options.tls !== undefined;
  return {
    host,
    port: Number(url.port) || PORT_DEFAULT,
    user: url.username === '' ? undefined : decodeURIComponent(url.username),
    password: await passwordOf(options, url),
    database,
    tls: secure ? await tlsOptions(options.tls ?? {}, host) : undefined,
  };
}

/** The braces keep all keys together where an engine spreads them by hash. */
function keysOf(prefix: string): RedisKeys {
  const key = (name: string) => `{${prefix}}:${name}`;
  return {
    log: key('log'),
    head: key('head'),
    pointer: key('pointer'),
    beats: key('beats'),
    beatBytes: key('beat-bytes'),
    piece: (blob, piece) => key(`blob:${blob}:${piece}`),
  };
}

function redisFailure(description: string, error: unknown): BusError {
  const common = commonFailure(description, error);
  if (common !== undefined) return common;
  const text = errorText(error);
  const code = DENIED.test(text) ? 'BUS_DENIED' : 'BUS_UNAVAILABLE';
  return new BusError(code, `${description}: ${text}`, { cause: error });
}
