/** Which nodes were written lately, by the column that says when: one message, one poll. */
import { assert } from '../../../engine/assert.ts';
import { FIELD } from '../../../engine/snapshot/field-rows.ts';
import type { SqlColumn } from './criteria.ts';
import { quoteText } from './introspect.ts';
import { outOfSelections, type ReadPlan } from './nodes.ts';
import { beginMessage, CLOCK_MICROS, COMMIT_READ } from './transaction.ts';

/** Rows of one poll, most of which the one before has seen too. */
export const POLL_ROWS_MAX = 30_000;

export interface UpdatedAtColumn extends SqlColumn {
  /** `timestamptz`, or `timestamp`: then the times are those of the server's zone. */
  readonly type: string;
  /** The zone that a session has when it begins. */
  readonly zone: string;
}

/** Where a poll begins, in microseconds since 1970. */
export interface PollBound {
  readonly fromMicros: number;
  /** Times that are `fromMicros` itself do not count. */
  readonly exclusive: boolean;
}

/** The id as a plan reads it. */
export function idColumn(plan: ReadPlan): SqlColumn {
  const column = plan.columns.find(({ field }) => field === FIELD.id);
  assert(column !== undefined, 'a plan without problems has an id');
  return { sql: column.sql, kind: plan.format.id === 'bytes' ? 'bytea' : 'text' };
}

/** Which of the results of a message is which, counted from the last. */
export const POLL_RESULTS = { clock: 3, rows: 2 } as const;

/** The zone of the session. Sent before anything has set another. */
export const SHOW_ZONE = 'SHOW timezone';

/**
 * Cells of the clock: now by the same clock as the column, and `NodesSummary.clockMicros`. Cells of the rows:
 * id in hexadecimal digits or as it stands, time, out of selections.
 */
export function pollUpdated(
  plan: ReadPlan,
  id: SqlColumn,
  column: UpdatedAtColumn,
  options: { readonly bound: PollBound; readonly statementTimeoutMs: number },
): string {
  return [
    beginMessage(options.statementTimeoutMs),
    `SELECT ${micros(now(column))}, ${CLOCK_MICROS}`,
    selectUpdated(plan, id, column, options.bound),
    COMMIT_READ,
  ].join('; ');
}

function selectUpdated(plan: ReadPlan, id: SqlColumn, column: UpdatedAtColumn, bound: PollBound): string {
  const digits = id.kind === 'bytea' ? `encode(${id.sql}, 'hex')` : `${id.sql}::text`;
  const after = `${column.sql} ${bound.exclusive ? '>' : '>='} ${timeOf(bound.fromMicros, column)}`;
  return `SELECT ${digits}, ${micros(column.sql)}, ${outOfSelections(plan)}
    FROM ${plan.relation} WHERE ${after} AND isfinite(${column.sql}) LIMIT ${POLL_ROWS_MAX + 1}`;
}

/** One cell: what the server thinks of a poll for the last moments, as JSON. */
export function explainPoll(
  plan: ReadPlan,
  id: SqlColumn,
  column: UpdatedAtColumn,
  bound: PollBound,
): string {
  return `EXPLAIN (FORMAT JSON) ${selectUpdated(plan, id, column, bound)}`;
}

/** Cell of the rows: the newest time that is not in the future, or NULL. */
export function newestUpdated(
  plan: ReadPlan,
  column: UpdatedAtColumn,
  options: { readonly statementTimeoutMs: number },
): string {
  return [
    beginMessage(options.statementTimeoutMs),
    `SELECT ${micros(now(column))}, ${CLOCK_MICROS}`,
    `SELECT ${micros(`max(${column.sql})`)} FROM ${plan.relation}
      WHERE ${column.sql} <= ${now(column)} AND isfinite(${column.sql})`,
    COMMIT_READ,
  ].join('; ');
}

/** `$1`: oid of the relation, `$2`: name of the column. A row: an index begins with it. */
export const FIND_INDEX = `
  SELECT i.indexrelid::regclass::text
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
   WHERE i.indrelid = $1::oid AND a.attname = $2 AND i.indisvalid AND i.indpred IS NULL
   LIMIT 1`;

function now({ type, zone }: UpdatedAtColumn): string {
  return type === 'timestamptz' ? 'now()' : `(now() AT TIME ZONE ${quoteText(zone)})`;
}

function timeOf(fromMicros: number, { type }: UpdatedAtColumn): string {
  const time = `to_timestamp(${fromMicros / 1e6})`;
  return type === 'timestamptz' ? time : `(${time} AT TIME ZONE 'UTC')`;
}

function micros(time: string): string {
  return `(extract(epoch FROM ${time}) * 1000000)::bigint`;
}
