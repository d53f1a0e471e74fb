/**
 * Rows from Postgres: one read-only REPEATABLE READ transaction a load, a cursor, and never more than two
 * batches in memory. Runs on the loader thread; `postgresSource` makes the plain data that crosses to it.
 */
import type { NodeRow } from '../../engine/snapshot/node-row.ts';
import { checkPostgres } from './postgres/check.ts';
import { postgresTarget, targetAddress } from './postgres/failures.ts';
import { type PostgresSourceOptions, type ResolvedPostgres, resolvePostgres } from './postgres/options.ts';
import { throwProblems } from './postgres/plan.ts';
import { findRelation, planRead } from './postgres/read-plan.ts';
import { nodeRow } from './postgres/rows.ts';
import { type Cell, PostgresSession } from './postgres/session.ts';
import { BATCH_ROWS, type ReadRequest, type ReadSummary, type RowSource } from './row-source.ts';
import { countAbsent, NO_TEXT, selectNodes } from './sql/nodes.ts';
import { beginRead, COMMIT_READ, declareCursor, FETCH_BATCH } from './sql/transaction.ts';

export type { PostgresSourceOptions } from './postgres/options.ts';

/** A Postgres source as plain data. Throws CONFIG_INVALID with the key at fault in `field`. */
export function postgresSource(options: Omit<PostgresSourceOptions, 'kind'> = {}): PostgresSourceOptions {
  const source: PostgresSourceOptions = { ...options, kind: 'postgres' };
  resolvePostgres(source);
  return source;
}

export function openPostgresSource(options: PostgresSourceOptions): RowSource {
  const resolved = resolvePostgres(options);
  const target = postgresTarget(resolved);
  const what = resolved.query === undefined ? resolved.table : 'a query';
  return {
    description: `postgres: ${what} of ${target.database} at ${targetAddress(target)}, as ${target.user}`,
    read: request => readNodes(resolved, request),
    check: request => checkPostgres(resolved, request),
    close: async () => undefined,
  };
}

async function* readNodes(
  options: ResolvedPostgres,
  request: ReadRequest,
): AsyncGenerator<readonly NodeRow[], ReadSummary> {
  const session = await PostgresSession.open(options, request.signal);
  try {
    await session.query(beginRead(options.statementTimeoutMs));
    const relation = await findRelation(session, options);
    const { plan, problems } = planRead(options, relation, request.attributes);
    throwProblems(problems);
    await session.query(declareCursor(selectNodes(plan)));
    for await (const batch of fetchBatches(session)) {
      yield batch.map(cells => nodeRow(cells, request.attributes.length));
    }
    // A replaced query leaves nobody out that it could count, and is not run a second time.
    const { rows } = plan.absent === NO_TEXT ? { rows: [] } : await session.query(countAbsent(plan));
    await session.query(COMMIT_READ);
    return { absent: Object.fromEntries(rows.map(([criterion, count]) => [criterion, Number(count)])) };
  } finally {
    await session.close();
  }
}

/** The server works on the next batch while the consumer works on this one. */
async function* fetchBatches(session: PostgresSession): AsyncGenerator<Cell[][]> {
  let next = session.query(FETCH_BATCH);
  for (;;) {
    const { rows } = await next;
    if (rows.length === 0) return;
    if (rows.length === BATCH_ROWS) {
      next = session.query(FETCH_BATCH);
      // Awaited on the next turn; when the consumer leaves before, its failure is nobody's.
      next.catch(() => undefined);
    }
    yield rows;
    if (rows.length < BATCH_ROWS) return;
  }
}
