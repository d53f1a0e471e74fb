/** Options of the buses: plain data from a caller or a configuration file, and their checks. Any thread. */
import { checkInteger, checkKeys, checkObject, checkText, invalidOption } from '../source/option-checks.ts';

/** Files of TLS, in PEM; read for every connection, so that renewed ones are found. */
export interface BusTls {
  /** Who signs the engine's certificate; absent: whom Node.js trusts. */
  readonly caFile?: string;
  /** Our own certificate and its key, where the engine asks for one. */
  readonly certFile?: string;
  readonly keyFile?: string;
  /** The name that the engine's certificate must have, when it is not the host of the URL. */
  readonly serverName?: string;
}

interface AnyBusOptions {
  /**
   * Where the engine is, with user and password where needed. Absent: `urlFile`, a file with the URL on its
   * first line.
   */
  readonly url?: string;
  readonly urlFile?: string;
  /** File with the password on its first line; read for every connection, so a changed one is found. */
  readonly passwordFile?: string;
  readonly tls?: BusTls;
  /** Longest wait for an answer. */
  readonly timeoutMs?: number;
  /** An engine that was silent for so long is asked whether it still lives. */
  readonly pingEveryMs?: number;
}

export interface RedisBusOptions extends AnyBusOptions {
  /** Redis 6.2 or later, or Valkey: `redis://` or, with TLS, `rediss://user:password@host:port/database`. */
  readonly kind: 'redis';
  /** Begins every key. Fleets that share an engine have different ones. */
  readonly prefix?: string;
}

export interface NatsBusOptions extends AnyBusOptions {
  /** NATS 2.9 or later with JetStream: `nats://` or `tls://user:password@host:port`, several by commas. */
  readonly kind: 'nats';
  /** File with a token, instead of user and password. */
  readonly tokenFile?: string;
  /** Credentials file of a decentralized account (`.creds`). */
  readonly credentialsFile?: string;
  /** Begins the name of every stream and subject. Fleets that share an engine have different ones. */
  readonly prefix?: string;
  /** Servers of a cluster that hold each stream: 1, 3 or 5. Of streams that the bus creates. */
  readonly replicas?: number;
  /** Of streams that the bus creates. */
  readonly storage?: 'file' | 'memory';
}

export interface PostgresBusOptions extends AnyBusOptions {
  /** `postgres://user:password@host:port/database`; sessions of its own, not those of a pooler. */
  readonly kind: 'postgres';
  /** Holds the tables of the bus, and is created. Fleets that share a database have different ones. */
  readonly schema?: string;
}

export type BusOptions = RedisBusOptions | NatsBusOptions | PostgresBusOptions;

export const BUS_KINDS = ['redis', 'nats', 'postgres'] as const;

type Resolved<T extends AnyBusOptions, K extends keyof T = never> = T &
  Required<Pick<T, 'timeoutMs' | 'pingEveryMs' | K>>;

export type ResolvedRedisBus = Resolved<RedisBusOptions, 'prefix'>;
export type ResolvedNatsBus = Resolved<NatsBusOptions, 'prefix' | 'replicas' | 'storage'>;
export type ResolvedPostgresBus = Resolved<PostgresBusOptions, 'schema'>;

const TIMEOUT_MS_DEFAULT = 5_000;
const PING_EVERY_MS_DEFAULT = 2_000;
const TIMEOUT_MS = { min: 50, max: 300_000 };
const PING_EVERY_MS = { min: 50, max: 60_000 };
const NAME_DEFAULT = 'sortition';
/** Letters of it become keys, stream names, subjects and SQL names. */
const NAME = /^[a-z][a-z0-9_-]{0,39}$/;
const REPLICAS = [1, 3, 5];

const COMMON_KEYS = ['kind', 'url', 'urlFile', 'passwordFile', 'tls', 'timeoutMs', 'pingEveryMs'];
const TLS_KEYS: readonly string[] = [
  'caFile',
  'certFile',
  'keyFile',
  'serverName',
] satisfies (keyof BusTls)[];

/** Each throws CONFIG_INVALID with the key at fault in `field`. */
export function resolveRedisBus(options: RedisBusOptions): ResolvedRedisBus {
  checkKeys(options, [...COMMON_KEYS, 'prefix']);
  const common = resolveCommon(options);
  checkName(options.prefix, 'prefix');
  return { ...options, ...common, prefix: options.prefix ?? NAME_DEFAULT };
}

export function resolveNatsBus(options: NatsBusOptions): ResolvedNatsBus {
  checkKeys(options, [
    ...COMMON_KEYS,
    'tokenFile',
    'credentialsFile',
    'prefix',
    'replicas',
    'storage',
  ] satisfies string[]);
  const common = resolveCommon(options);
  checkName(options.prefix, 'prefix');
  const secrets = (['passwordFile', 'tokenFile', 'credentialsFile'] as const).filter(
    field => options[field] !== undefined,
  );
  for (const field of secrets) checkText(options[field], field);
  if (secrets.length > 1) throw invalidOption(secrets[1]!, `has no effect beside "${secrets[0]}"`);
  const { replicas = 1, storage = 'file' } = options;
  if (!REPLICAS.includes(replicas)) throw invalidOption('replicas', 'expected 1, 3 or 5');
  if (storage !== 'file' && storage !== 'memory') {
    throw invalidOption('storage', 'expected "file" or "memory"');
  }
  return { ...options, ...common, prefix: options.prefix ?? NAME_DEFAULT, replicas, storage };
}

export function resolvePostgresBus(options: PostgresBusOptions): ResolvedPostgresBus {
  checkKeys(options, [...COMMON_KEYS, 'schema']);
  const common = resolveCommon(options);
  checkName(options.schema, 'schema');
  return { ...options, ...common, schema: options.schema ?? NAME_DEFAULT };
}

function resolveCommon(options: AnyBusOptions): { timeoutMs: number; pingEveryMs: number } {
  const { url, urlFile, passwordFile, timeoutMs, pingEveryMs } = options;
  if (url === undefined && urlFile === undefined) throw invalidOption('url', 'say where the engine is');
  if (url !== undefined && urlFile !== undefined)
    throw invalidOption('urlFile', 'has no effect beside "url"');
  if (url !== undefined) checkText(url, 'url');
  if (urlFile !== undefined) checkText(urlFile, 'urlFile');
  if (passwordFile !== undefined) checkText(passwordFile, 'passwordFile');
  if (timeoutMs !== undefined) checkInteger(timeoutMs, 'timeoutMs', TIMEOUT_MS);
  if (pingEveryMs !== undefined) checkInteger(pingEveryMs, 'pingEveryMs', PING_EVERY_MS);
  checkTls(options.tls);
  return {
    timeoutMs: timeoutMs ?? TIMEOUT_MS_DEFAULT,
    pingEveryMs: pingEveryMs ?? PING_EVERY_MS_DEFAULT,
  };
}

function checkTls(tls: BusTls | undefined): void {
  if (tls === undefined) return;
  checkObject(tls, 'tls');
  checkKeys(tls, TLS_KEYS, 'tls.');
  for (const [key, value] of Object.entries(tls)) checkText(value, `tls.${key}`);
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    const missing = tls.certFile === undefined ? 'certFile' : 'keyFile';
    throw invalidOption(`tls.${missing}`, 'a certificate and its key go together');
  }
}

function checkName(name: unknown, field: string): void {
  if (name === undefined) return;
  checkText(name, field);
  if (!NAME.test(name)) {
    throw invalidOption(field, 'expected up to 40 small letters, digits, "_" and "-", a letter first');
  }
}
