/** Statements of the read transaction. All of them are local to it: a pooled connection keeps nothing. */

/** One snapshot for every statement of a load, and nothing written. */
export function beginRead(statementTimeoutMs: number): string {
  return begin('REPEATABLE READ', statementTimeoutMs);
}

/**
 * For statements that are sent in one message: each has a snapshot of its own, so one may wait for a lock and
 * the next sees what came before it.
 */
export function beginMessage(statementTimeoutMs: number): string {
  return begin('READ COMMITTED', statementTimeoutMs);
}

/**
 * The settings fix how values come as text where an attribute is one, whatever the server, database or role
 * sets.
 */
function begin(isolation: string, statementTimeoutMs: number): string {
  return [
    `BEGIN ISOLATION LEVEL ${isolation} READ ONLY`,
    `SET LOCAL statement_timeout = ${statementTimeoutMs}`,
    // A limit set for web requests must not end a load.
    `SET LOCAL idle_in_transaction_session_timeout = ${statementTimeoutMs}`,
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO'",
  ].join('; ');
}

export const COMMIT_READ = 'COMMIT';

/** Begins another transaction after a statement failed. */
export const ROLLBACK_READ = 'ROLLBACK';

/** The start of the transaction, see `NodesSummary.clockMicros`. */
export const CLOCK_MICROS =
  "(extract(epoch FROM now() - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint";

/**
 * For a statement that runs beside the build: the server may stand on the same machine, and nobody waits for
 * it (a load of a million rows on two cores took 60 ms longer without this, measured 2026-11).
 */
export const IN_ONE_PROCESS = 'SET LOCAL max_parallel_workers_per_gather = 0';
