/** Statements of the read transaction. All of them are local to it: a pooled connection keeps nothing. */

/**
 * One snapshot for every statement of a load, and nothing written. The settings that follow fix how values
 * come as text where an attribute is one, whatever the server, database or role sets.
 */
export function beginRead(statementTimeoutMs: number): string {
  return [
    'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
    `SET LOCAL statement_timeout = ${statementTimeoutMs}`,
    // A limit set for web requests must not end a load.
    `SET LOCAL idle_in_transaction_session_timeout = ${statementTimeoutMs}`,
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO'",
  ].join('; ');
}

export const COMMIT_READ = 'COMMIT';

/**
 * For a statement that runs beside the build: the server may stand on the same machine, and nobody waits for
 * it (a load of a million rows on two cores took 60 ms longer without this, measured 2026-11).
 */
export const IN_ONE_PROCESS = 'SET LOCAL max_parallel_workers_per_gather = 0';
