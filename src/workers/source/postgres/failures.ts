/** Turns whatever `pg` and the socket throw into a `CacheError` that names host, user, relation or limit. */
import { userInfo } from 'node:os';
import { CacheError, type ErrorCode } from '../../../engine/errors.ts';
import { UNREACHABLE } from '../../unreachable.ts';
import type { PostgresSourceOptions } from './options.ts';

/** Who is asked, as far as it may be shown: never a password. */
export interface PostgresTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

const PORT_DEFAULT = 5432;
/** Where `pg` looks for the user that nobody named. */
const USER_VARIABLE = process.platform === 'win32' ? 'USERNAME' : 'USER';

/** The target by the same rules as `pg`: the connection string, then PG* variables, then defaults. */
export function postgresTarget(options: Pick<PostgresSourceOptions, 'connectionString'>): PostgresTarget {
  const url = new URL(options.connectionString ?? 'postgres:///');
  const env = process.env;
  const user = decodeURIComponent(url.username) || env.PGUSER || env[USER_VARIABLE] || userName();
  return {
    host: decodeURIComponent(url.searchParams.get('host') ?? url.hostname) || env.PGHOST || 'localhost',
    port: Number(url.searchParams.get('port') ?? url.port) || Number(env.PGPORT) || PORT_DEFAULT,
    user,
    database: decodeURI(url.pathname.slice(1)) || env.PGDATABASE || user,
  };
}

export function targetAddress(target: PostgresTarget): string {
  if (target.host.startsWith('/')) return `${target.host}/.s.PGSQL.${target.port}`;
  return target.host.includes(':')
    ? `[${target.host.replace(/^\[|\]$/g, '')}]:${target.port}`
    : `${target.host}:${target.port}`;
}

/** A container may run under a uid that has no entry in its user database. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'postgres';
  }
}

const NOT_REACHED: Readonly<Record<string, string>> = {
  ...UNREACHABLE,
  ENOENT: 'has no socket at that path',
};

/** SQLSTATE, or its first two characters (its class) → code. */
const SQLSTATE_CODES: Readonly<Record<string, ErrorCode>> = {
  '28': 'SOURCE_DENIED',
  '3D000': 'SOURCE_DENIED',
  '42501': 'SOURCE_DENIED',
  '42': 'SOURCE_SCHEMA',
  '22': 'SOURCE_SCHEMA',
  '57014': 'SOURCE_TIMEOUT',
  '57P': 'SOURCE_UNAVAILABLE',
  '08': 'SOURCE_UNAVAILABLE',
  '53300': 'SOURCE_UNAVAILABLE',
};

/** The SQLSTATE of a server error, or the code of a socket error. */
export function failureCode(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

export interface FailureContext {
  readonly target: PostgresTarget;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

export function postgresFailure(error: unknown, context: FailureContext): CacheError {
  if (error instanceof CacheError) return error;
  const code = failureCode(error);
  const message = error instanceof Error ? error.message : String(error);
  const at = `PostgreSQL at ${targetAddress(context.target)}`;
  const failure = (errorCode: ErrorCode, detail: string) =>
    new CacheError(errorCode, detail, { cause: error });
  if (code in NOT_REACHED) return failure('SOURCE_UNAVAILABLE', `${at} ${NOT_REACHED[code]} (${code})`);
  if (/^[0-9A-Z]{5}$/.test(code)) return serverFailure(error, code, message, context);
  if (message === 'timeout expired') {
    return failure('SOURCE_UNAVAILABLE', `${at} did not answer within ${context.connectTimeoutMs} ms`);
  }
  if (message.startsWith('SASL')) {
    const { user } = context.target;
    return failure('SOURCE_DENIED', `${at} asks user "${user}" for a password: ${message}`);
  }
  if (message.startsWith('Connection terminated')) {
    return failure('SOURCE_UNAVAILABLE', `${at} closed the connection`);
  }
  return failure('SOURCE_FAILED', `${at}: ${message}`);
}

function serverFailure(error: unknown, state: string, message: string, context: FailureContext): CacheError {
  const { target, statementTimeoutMs } = context;
  const code =
    SQLSTATE_CODES[state] ??
    SQLSTATE_CODES[state.slice(0, 3)] ??
    SQLSTATE_CODES[state.slice(0, 2)] ??
    'SOURCE_FAILED';
  const limit = /statement timeout/.test(message) ? ` (statementTimeoutMs: ${statementTimeoutMs})` : '';
  const who = `user "${target.user}", database "${target.database}"`;
  const detail = `PostgreSQL at ${targetAddress(target)}, ${who}: ${message}${limit} (SQLSTATE ${state})`;
  return new CacheError(code, detail, { cause: error });
}
