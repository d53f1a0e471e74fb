/** Statements of the read transaction. All of them are local to it: a pooled connection keeps nothing. */
import { BATCH_ROWS } from '../row-source.ts';

/**
 * One snapshot for every statement of a load, and nothing written. The settings that follow fix how values
 * come as text, whatever the server, database or role sets.
 */
export function beginRead(statementTimeoutMs: number): string {
  return [
    'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
    `SET LOCAL statement_timeout = ${statementTimeoutMs}`,
    // Between two FETCHes the builder works; a limit set for web requests must not end a load.
    `SET LOCAL idle_in_transaction_session_timeout = ${statementTimeoutMs}`,
    // Every row will be fetched: plan for the whole, not for the first tenth.
    'SET LOCAL cursor_tuple_fraction = 1',
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO'",
  ].join('; ');
}

export const COMMIT_READ = 'COMMIT';

export function declareCursor(select: string): string {
  return `DECLARE node_rows NO SCROLL CURSOR FOR ${select}`;
}

export const FETCH_BATCH = `FETCH FORWARD ${BATCH_ROWS} FROM node_rows`;
