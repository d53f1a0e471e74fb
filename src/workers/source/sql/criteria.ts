/** The eligibility criteria as SQL conditions. A condition is never NULL: an unknown value fails the node. */

import type { ColumnRole, TypeKind } from '../postgres/columns.ts';
import type { ResolvedThresholds } from '../postgres/options.ts';
import { NO_TEXT, quoteText } from './introspect.ts';

/** A column that the relation has, ready to stand in an expression. */
export interface SqlColumn {
  readonly sql: string;
  readonly kind: TypeKind;
}

export type SqlColumns = ReadonlyMap<ColumnRole, SqlColumn>;

/** The start of the transaction, on the database's own clock: the same for every row of a read. */
export const READ_CLOCK = 'now()';

/** True where a mark is set: a boolean that is true, or a time that is not null. */
export function isSet(column: SqlColumn): string {
  return column.kind === 'boolean' ? `${column.sql} IS TRUE` : `${column.sql} IS NOT NULL`;
}

/**
 * Criterion → condition under which a node fails it, as of `clock`; criteria whose columns are switched off
 * are left out.
 */
export function failConditions(
  columns: SqlColumns,
  thresholds: ResolvedThresholds,
  clock: string,
): Map<string, string> {
  const before = (column: SqlColumn, agoMs: number) => timeBefore(column, agoMs, clock);
  const conditions = new Map<string, string>();
  const add = (name: string, role: ColumnRole, condition: (column: SqlColumn) => string): void => {
    const column = columns.get(role);
    if (column === undefined) return;
    const earlier = conditions.get(name);
    conditions.set(name, earlier === undefined ? condition(column) : `(${earlier} OR ${condition(column)})`);
  };
  add('disqualified', 'disqualified', isSet);
  add('exited', 'exitFinished', isSet);
  // A node without any recorded contact is not known to be long gone: it is offline, and can be looked up.
  add('gone', 'lastContact', column => `COALESCE(${before(column, thresholds.goneAfterMs)}, false)`);
  add('suspended', 'auditSuspended', isSet);
  add('suspended', 'offlineSuspended', isSet);
  add('exiting', 'exitInitiated', isSet);
  add('full', 'freeDisk', column => below(column, thresholds.minFreeDiskBytes));
  add('offline', 'lastContact', column => `COALESCE(${before(column, thresholds.onlineWindowMs)}, true)`);
  add('wrong-type', 'type', column => `${column.sql} IS DISTINCT FROM ${thresholds.nodeType}`);
  add('few-audits', 'auditCount', column => below(column, thresholds.minAuditCount ?? 0));
  add('low-uptime', 'uptimeCount', column => below(column, thresholds.minUptimeCount ?? 0));
  const oldVersion = versionBelow(columns, thresholds.minimumVersion);
  if (oldVersion !== undefined) conditions.set('old-version', oldVersion);
  add('not-release', 'release', column => `${column.sql} IS NOT TRUE`);
  return conditions;
}

/** Name of the first criterion that a node fails, in the order of `names`, or NULL. */
export function firstFailed(conditions: ReadonlyMap<string, string>, names: readonly string[]): string {
  const cases = names.flatMap(name => {
    const condition = conditions.get(name);
    return condition === undefined ? [] : [`WHEN ${condition} THEN ${quoteText(name)}`];
  });
  return cases.length === 0 ? NO_TEXT : `CASE ${cases.join(' ')} END`;
}

function below(column: SqlColumn, minimum: number): string {
  return `COALESCE(${column.sql} < ${minimum}, true)`;
}

/** As a query of its own the time is worked out once and not for every row (60 ns each, measured 2026-11). */
function timeBefore(column: SqlColumn, agoMs: number, clock: string): string {
  return `${column.sql} < (SELECT ${clock} - interval '${agoMs} milliseconds')`;
}

function versionBelow(columns: SqlColumns, minimum: string | undefined): string | undefined {
  if (minimum === undefined) return undefined;
  const wanted = minimum.split('.').map(Number);
  const version = columns.get('version');
  if (version !== undefined) {
    // `1.95` is padded to `1.95.0`; a text that starts with no number counts as 0.0.0.
    const digits = `COALESCE(substring(${version.sql} from '^v?([0-9]{1,9}([.][0-9]{1,9}){0,2})'), '0')`;
    return `string_to_array(${digits}, '.')::bigint[] || '{0,0,0}'::bigint[] < ARRAY[${wanted}]::bigint[]`;
  }
  const parts = (['versionMajor', 'versionMinor', 'versionPatch'] as const).map(role => {
    const column = columns.get(role);
    return column === undefined ? '0' : `COALESCE(${column.sql}, 0)`;
  });
  return `(${parts.join(', ')}) < (${wanted.join(', ')})`;
}
