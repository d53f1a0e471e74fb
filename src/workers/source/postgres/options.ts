/** Options of the Postgres source: plain data, their defaults, and their checks. Any thread. */

import { CHANGE_MODES, type ChangeMode } from '../node-changes.ts';
import {
  checkBoolean,
  checkInteger,
  checkKeys,
  checkObject,
  checkText,
  invalidOption,
} from '../option-checks.ts';
import { COLUMN_ROLE_NAMES, COLUMN_ROLES, type ColumnRole } from './columns.ts';

export interface PostgresThresholds {
  /** Less free space than this: `full`. */
  readonly minFreeDiskBytes?: number;
  /** Last successful contact longer ago than this: `offline`. */
  readonly onlineWindowMs?: number;
  /**
   * Longer ago than this: `gone`, left out altogether. 30 days, after which storj disqualifies a silent node.
   */
  readonly goneAfterMs?: number;
  /** The value of the `type` column that means storage node: 2, `STORAGE` in storj's `NodeType`. */
  readonly nodeType?: number;
  /** Needs `columns.auditCount`. */
  readonly minAuditCount?: number;
  /** Needs `columns.uptimeCount`. */
  readonly minUptimeCount?: number;
  /** `1.2.3`; a pre-release suffix in the table is not looked at. */
  readonly minimumVersion?: string;
  readonly releaseOnly?: boolean;
}

export interface PostgresSourceOptions {
  readonly kind: 'postgres';
  /** `postgres://user@host:port/database`; absent: the environment variables PGHOST, PGPORT, PGUSER … */
  readonly connectionString?: string;
  /** File with the password on its first line; read for every connection, so a changed one is found. */
  readonly passwordFile?: string;
  /** Table, view or materialized view, as SQL names it: `nodes`, `public.nodes`, `"My Nodes"`. */
  readonly table?: string;
  /** Role → column; `null` switches a criterion or an optional column off. */
  readonly columns?: Readonly<Partial<Record<ColumnRole, string | null>>>;
  readonly thresholds?: PostgresThresholds;
  /**
   * Replaces table, columns and thresholds. Yields `id`, `ip`, `port`; may yield `network`, `vetted`,
   * `ineligible` (a criterion's name or null) or `eligible` (boolean), and attributes by name.
   */
  readonly query?: string;
  /** Attribute name → column. An attribute without an entry is read from the column of its own name. */
  readonly attributes?: Readonly<Record<string, string>>;
  /**
   * How changes become known between two loads: `auto` takes triggers where `sortition install-triggers` has
   * made them, else the column `columns.updatedAt` where the table has it, else none.
   */
  readonly changes?: ChangeMode | 'auto';
  /** Time between two polls of that column. */
  readonly pollMs?: number;
  /** How much longer ago than the newest time seen a poll looks: for transactions that commit late. */
  readonly pollOverlapMs?: number;
  readonly connectTimeoutMs?: number;
  /** Limit of one statement; a whole load has its own deadline (`ReadRequest.signal`). */
  readonly statementTimeoutMs?: number;
  readonly applicationName?: string;
}

type Defaulted =
  | 'table'
  | 'attributes'
  | 'changes'
  | 'pollMs'
  | 'pollOverlapMs'
  | 'connectTimeoutMs'
  | 'statementTimeoutMs'
  | 'applicationName';
type DefaultedThreshold = 'minFreeDiskBytes' | 'onlineWindowMs' | 'goneAfterMs' | 'nodeType' | 'releaseOnly';

export type ResolvedThresholds = PostgresThresholds & Required<Pick<PostgresThresholds, DefaultedThreshold>>;

/** The options with every default filled in. */
export type ResolvedPostgres = Omit<PostgresSourceOptions, 'thresholds' | 'columns'> &
  Required<Pick<PostgresSourceOptions, Defaulted>> & {
    readonly thresholds: ResolvedThresholds;
    readonly columns: Readonly<Record<ColumnRole, string | null>>;
    /** Roles that the caller named: an optional column is missed only then. */
    readonly mappedRoles: readonly ColumnRole[];
  };

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const DURATION_MS = { min: 1, max: 3_650 * DAY_MS };
/** What a Postgres timeout setting can hold is 2^31 - 1 ms; a day is more than any load should take. */
const TIMEOUT_MS = { min: 1, max: DAY_MS };
/** Faster would be a load of its own; slower is what full loads are for. */
const POLL_MS = { min: 50, max: HOUR_MS };
const POLL_OVERLAP_MS = { min: 0, max: HOUR_MS };
const COUNT = { min: 0, max: Number.MAX_SAFE_INTEGER };
const INT4 = { min: -2_147_483_648, max: 2_147_483_647 };
const VERSION = /^\d{1,9}\.\d{1,9}\.\d{1,9}$/;

const OPTION_KEYS: readonly string[] = [
  'kind',
  'connectionString',
  'passwordFile',
  'table',
  'columns',
  'thresholds',
  'query',
  'attributes',
  'changes',
  'pollMs',
  'pollOverlapMs',
  'connectTimeoutMs',
  'statementTimeoutMs',
  'applicationName',
] satisfies (keyof PostgresSourceOptions)[];

const THRESHOLD_KEYS: readonly string[] = [
  'minFreeDiskBytes',
  'onlineWindowMs',
  'goneAfterMs',
  'nodeType',
  'minAuditCount',
  'minUptimeCount',
  'minimumVersion',
  'releaseOnly',
] satisfies (keyof PostgresThresholds)[];

/** Checks the options and fills in the defaults. Throws CONFIG_INVALID with the key at fault in `field`. */
export function resolvePostgres(options: PostgresSourceOptions): ResolvedPostgres {
  checkObject(options, 'source');
  checkKeys(options, OPTION_KEYS);
  if (options.kind !== 'postgres') throw invalidOption('kind', 'expected "postgres"');
  checkConnection(options);
  checkTimes(options);
  checkChanges(options);
  checkQuery(options);
  const thresholds = resolveThresholds(options.thresholds ?? {});
  const columns = resolveColumns(options.columns ?? {}, thresholds);
  return {
    ...options,
    table: options.table ?? 'nodes',
    attributes: resolveAttributes(options.attributes ?? {}),
    changes: options.changes ?? 'auto',
    pollMs: options.pollMs ?? 1_000,
    pollOverlapMs: options.pollOverlapMs ?? 10_000,
    connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
    statementTimeoutMs: options.statementTimeoutMs ?? 60_000,
    applicationName: options.applicationName ?? 'sortition',
    thresholds,
    columns,
    mappedRoles: Object.keys(options.columns ?? {}) as ColumnRole[],
  };
}

function checkConnection(options: PostgresSourceOptions): void {
  if (options.passwordFile !== undefined) checkText(options.passwordFile, 'passwordFile');
  if (options.applicationName !== undefined) checkText(options.applicationName, 'applicationName');
  if (options.connectionString === undefined) return;
  checkText(options.connectionString, 'connectionString');
  // The text itself is not shown: it may hold the password.
  if (!/^postgres(ql)?:\/\//.test(options.connectionString) || !URL.canParse(options.connectionString)) {
    throw invalidOption('connectionString', 'expected postgres://user@host:port/database');
  }
}

function checkTimes(options: PostgresSourceOptions): void {
  for (const field of ['connectTimeoutMs', 'statementTimeoutMs'] as const) {
    if (options[field] !== undefined) checkInteger(options[field], field, TIMEOUT_MS);
  }
}

function checkChanges({ changes, pollMs, pollOverlapMs }: PostgresSourceOptions): void {
  const names = ['auto', ...CHANGE_MODES];
  if (changes !== undefined && !names.includes(changes)) {
    throw invalidOption('changes', `expected ${names.map(name => `"${name}"`).join(', ')}`);
  }
  if (pollMs !== undefined) checkInteger(pollMs, 'pollMs', POLL_MS);
  if (pollOverlapMs !== undefined) checkInteger(pollOverlapMs, 'pollOverlapMs', POLL_OVERLAP_MS);
}

/** A replaced query replaces these too: setting both would leave one of them silently without effect. */
function checkQuery(options: PostgresSourceOptions): void {
  if (options.table !== undefined) checkText(options.table, 'table');
  if (options.query === undefined) return;
  checkText(options.query, 'query');
  if (options.changes === 'triggers' || options.changes === 'updated-at') {
    throw invalidOption('changes', `"${options.changes}" needs a table; a query is only read as a whole`);
  }
  for (const field of ['table', 'columns', 'thresholds', 'attributes'] as const) {
    if (options[field] !== undefined)
      throw invalidOption(field, 'has no effect beside "query": leave one out');
  }
}

function resolveThresholds(given: PostgresThresholds): ResolvedThresholds {
  checkObject(given, 'thresholds');
  checkKeys(given, THRESHOLD_KEYS, 'thresholds.');
  const check = (key: keyof PostgresThresholds, range: { min: number; max: number }): void => {
    if (given[key] !== undefined) checkInteger(given[key], `thresholds.${key}`, range);
  };
  for (const key of ['minFreeDiskBytes', 'minAuditCount', 'minUptimeCount'] as const) check(key, COUNT);
  for (const key of ['onlineWindowMs', 'goneAfterMs'] as const) check(key, DURATION_MS);
  check('nodeType', INT4);
  if (given.releaseOnly !== undefined) checkBoolean(given.releaseOnly, 'thresholds.releaseOnly');
  if (given.minimumVersion !== undefined && !VERSION.test(String(given.minimumVersion))) {
    throw invalidOption('thresholds.minimumVersion', 'expected three numbers, such as 1.95.0');
  }
  const resolved = {
    minFreeDiskBytes: 5_000_000_000,
    onlineWindowMs: 4 * HOUR_MS,
    goneAfterMs: 30 * DAY_MS,
    nodeType: 2,
    releaseOnly: false,
    ...given,
  };
  if (resolved.goneAfterMs < resolved.onlineWindowMs) {
    throw invalidOption('thresholds.goneAfterMs', 'is shorter than thresholds.onlineWindowMs');
  }
  return resolved;
}

function resolveColumns(
  given: NonNullable<PostgresSourceOptions['columns']>,
  thresholds: PostgresThresholds,
): Record<ColumnRole, string | null> {
  checkObject(given, 'columns');
  checkKeys(given, COLUMN_ROLE_NAMES, 'columns.');
  for (const [role, column] of Object.entries(given)) {
    if (column !== null) checkText(column, `columns.${role}`);
  }
  const columns = Object.fromEntries(
    COLUMN_ROLE_NAMES.map(role => [
      role,
      given[role] === undefined ? COLUMN_ROLES[role].column : given[role],
    ]),
  ) as Record<ColumnRole, string | null>;
  if (columns.id === null) throw invalidOption('columns.id', 'cannot be switched off');
  checkAddress(given, columns);
  checkPaired(columns.auditCount, thresholds.minAuditCount, 'auditCount', 'minAuditCount');
  checkPaired(columns.uptimeCount, thresholds.minUptimeCount, 'uptimeCount', 'minUptimeCount');
  if (thresholds.releaseOnly === true && columns.release === null) {
    throw invalidOption('columns.release', 'is switched off while thresholds.releaseOnly needs it');
  }
  return columns;
}

function checkAddress(
  given: NonNullable<PostgresSourceOptions['columns']>,
  columns: Record<ColumnRole, string | null>,
): void {
  if ((columns.ip === null) !== (columns.port === null)) {
    throw invalidOption(
      columns.ip === null ? 'columns.ip' : 'columns.port',
      'map both "ip" and "port", or none',
    );
  }
  if (columns.ip === null && columns.address === null) {
    throw invalidOption('columns.address', 'cannot be switched off unless "ip" and "port" are mapped');
  }
  if (columns.ip === null) return;
  if (typeof given.address === 'string') {
    throw invalidOption('columns.address', 'has no effect beside "ip" and "port": leave one out');
  }
  columns.address = null;
}

/** A minimum without its column, or a column without its minimum, would be a criterion that never applies. */
function checkPaired(column: string | null, minimum: number | undefined, role: string, key: string): void {
  if (minimum !== undefined && column === null) {
    throw invalidOption(`columns.${role}`, `thresholds.${key} needs the column that holds it`);
  }
  if (minimum === undefined && column !== null) {
    throw invalidOption(`thresholds.${key}`, `columns.${role} is mapped: say the minimum`);
  }
}

function resolveAttributes(given: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  checkObject(given, 'attributes');
  for (const [name, column] of Object.entries(given)) checkText(column, `attributes.${name}`);
  return given;
}
