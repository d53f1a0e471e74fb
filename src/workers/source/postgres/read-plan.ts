/** The plan of a read, made in the same transaction as the rows: no column can change between the two. */
import type { ResolvedPostgres } from './options.ts';
import { type PlanResult, planTable } from './plan.ts';
import { planQuery } from './query-plan.ts';
import { findQuery, findTable, type Relation } from './relation.ts';
import type { PostgresSession } from './session.ts';

export function findRelation(session: PostgresSession, options: ResolvedPostgres): Promise<Relation> {
  return options.query === undefined ? findTable(session, options.table) : findQuery(session, options.query);
}

export function planRead(
  options: ResolvedPostgres,
  relation: Relation,
  attributes: readonly string[],
): PlanResult {
  return options.query === undefined
    ? planTable(options, relation, attributes)
    : planQuery(relation, attributes);
}
