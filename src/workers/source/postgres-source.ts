/**
 * Rows from Postgres: one read-only REPEATABLE READ transaction a load, the rows by binary COPY, and never
 * more than a few chunks of the connection in memory. Between loads, what changes and the rows of the nodes
 * that did. Runs on the loader thread; `postgresSource` makes the plain data that crosses to it.
 */
import type { FieldRows } from '../../engine/snapshot/field-rows.ts';
import { checkPostgres } from './postgres/check.ts';
import { CopyRows } from './postgres/copy-rows.ts';
import { postgresTarget, targetAddress } from './postgres/failures.ts';
import { followChanges } from './postgres/feed/change-feed.ts';
import { NodeReader } from './postgres/node-reader.ts';
import { type PostgresSourceOptions, type ResolvedPostgres, resolvePostgres } from './postgres/options.ts';
import { throwProblems } from './postgres/plan.ts';
import { findRelation, planRead } from './postgres/read-plan.ts';
import { PostgresSession } from './postgres/session.ts';
import type { AbsentCounts, ReadRequest, ReadSummary, RowSource } from './row-source.ts';
import { NO_TEXT } from './sql/introspect.ts';
import { countAbsent, type ReadPlan, selectNodes } from './sql/nodes.ts';
import { beginRead, CLOCK_MICROS, IN_ONE_PROCESS } from './sql/transaction.ts';

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
  const nodes = new NodeReader(resolved);
  const what = resolved.query === undefined ? resolved.table : 'a query';
  return {
    description: `postgres: ${what} of ${target.database} at ${targetAddress(target)}, as ${target.user}`,
    ...(watchesContact(resolved) ? { onlineWindowMs: resolved.thresholds.onlineWindowMs } : {}),
    read: request => readAll(resolved, request),
    check: request => checkPostgres(resolved, request),
    readNodes: (ids, request) => nodes.read(ids, request),
    changes: request => followChanges(resolved, request),
    close: () => nodes.close(),
  };
}

/** A replaced query says who is eligible by itself, and not until when. */
function watchesContact({ query, columns }: ResolvedPostgres): boolean {
  return query === undefined && columns.lastContact !== null;
}

async function* readAll(
  options: ResolvedPostgres,
  request: ReadRequest,
): AsyncGenerator<FieldRows, ReadSummary> {
  const session = await PostgresSession.open(options, request.signal);
  let absent: Promise<AbsentCounts> | undefined;
  try {
    const begin = `${beginRead(options.statementTimeoutMs)}; SELECT ${CLOCK_MICROS}`;
    const clockMicros = Number((await session.query(begin)).rows[0]?.[0]);
    const relation = await findRelation(session, options);
    const { plan, problems } = planRead(options, relation, request.attributes);
    throwProblems(problems);
    const rows = new CopyRows(plan.format, plan.columns, request.attributes.length);
    yield* session.copy(selectNodes(plan), rows);
    absent = absentCounts(session, plan);
    // Nobody waits for it when the load fails meanwhile.
    absent.catch(() => undefined);
    return { absent, clockMicros };
  } finally {
    if (absent === undefined) await session.close();
  }
}

/** The transaction ends with the session: it has written nothing. */
async function absentCounts(session: PostgresSession, plan: ReadPlan): Promise<AbsentCounts> {
  try {
    // A replaced query leaves nobody out that it could count, and is not run a second time.
    if (plan.absent === NO_TEXT) return {};
    await session.query(IN_ONE_PROCESS);
    const counted = (await session.query(countAbsent(plan))).rows;
    return Object.fromEntries(counted.map(([criterion, count]) => [criterion, Number(count)]));
  } finally {
    await session.close();
  }
}
