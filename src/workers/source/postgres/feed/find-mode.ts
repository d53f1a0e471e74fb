/**
 * Which way of knowing changes works on this server and this table, and why the better ones do not. The feed
 * asks when it connects and now and then; `sortition check` says it to whoever sets things up.
 */
import { CacheError } from '../../../../engine/errors.ts';
import { CHANGE_MODES, type ChangeMode, type DeclinedMode } from '../../node-changes.ts';
import { lookAtTable } from '../../sql/installed-triggers.ts';
import { beginRead, COMMIT_READ } from '../../sql/transaction.ts';
import { QUEUE_USAGE_MAX } from '../../sql/trigger-function.ts';
import { explainPoll, idColumn, SHOW_ZONE, type UpdatedAtColumn } from '../../sql/updated-nodes.ts';
import type { ResolvedPostgres } from '../options.ts';
import { type PlanResult, sqlColumn, throwProblems } from '../plan.ts';
import { findRelation, planRead } from '../read-plan.ts';
import type { Relation } from '../relation.ts';
import type { PostgresSession } from '../session.ts';
import { cannotTrigger, channelsOf, findTriggers, triggerProblem } from '../triggers/installed.ts';
import { planTriggers } from '../triggers/trigger-plan.ts';

export interface FoundMode {
  readonly mode: ChangeMode;
  readonly declined: readonly DeclinedMode[];
  readonly relation: Relation;
  readonly read: PlanResult;
  readonly triggers?: FoundTriggers;
  readonly updatedAt?: UpdatedAtColumn;
}

export interface FoundTriggers {
  readonly channels: readonly string[];
  /** A statement, and what it says while everything is as it was found. */
  readonly look: string;
  readonly seen: string;
}

export interface Look {
  readonly clockMicros: number;
  readonly seen: string;
  /** The server's queue of notifications is so full that the triggers add nothing to it. */
  readonly queueFull: boolean;
}

export interface FindOptions {
  readonly attributes: readonly string[];
  /** Modes that were tried and did not work. */
  readonly refused: ReadonlyMap<ChangeMode, string>;
}

/** Throws `CacheError` when the table cannot be read, or when the one mode that is wanted cannot be had. */
export async function findMode(
  session: PostgresSession,
  options: ResolvedPostgres,
  { attributes, refused }: FindOptions,
): Promise<FoundMode> {
  const zone = (await session.query(SHOW_ZONE)).rows[0]?.[0] ?? 'UTC';
  await session.query(beginRead(options.statementTimeoutMs));
  const relation = await findRelation(session, options);
  const read = planRead(options, relation, attributes);
  throwProblems(read.problems);
  const declined: DeclinedMode[] = [];
  const found = { relation, read, declined };
  for (const mode of options.changes === 'auto' ? CHANGE_MODES : [options.changes]) {
    const trial: Trial = { session, options, relation, read, attributes, zone };
    const tried = refused.get(mode) ?? (await tryMode(mode, trial));
    if (typeof tried !== 'string') {
      await session.query(COMMIT_READ);
      return { ...found, mode, ...tried };
    }
    declined.push({ mode, reason: tried });
  }
  const why = declined.map(({ mode, reason }) => `changes: "${mode}" is not possible: ${reason}`).join('; ');
  throw new CacheError('SOURCE_SCHEMA', why, { field: 'changes' });
}

export function readLook(row: readonly (string | null)[] | undefined): Look {
  const [clock, usage, seen] = row ?? [];
  return {
    clockMicros: Number(clock),
    seen: seen ?? '',
    queueFull: Number(usage) >= QUEUE_USAGE_MAX,
  };
}

interface Trial {
  readonly session: PostgresSession;
  readonly options: ResolvedPostgres;
  readonly relation: Relation;
  readonly read: PlanResult;
  readonly attributes: readonly string[];
  readonly zone: string;
}

/**
 * What a poll may cost for `auto` to choose polling, in the planner's units: reading some 100,000 rows
 * without an index. Once a second, more is too much for something that nobody asked for.
 */
const POLL_COST_MAX = 5_000;

/** What the mode needs, or why it cannot be had. */
async function tryMode(
  mode: ChangeMode,
  trial: Trial,
): Promise<Pick<FoundMode, 'triggers' | 'updatedAt'> | string> {
  if (mode === 'triggers') return tryTriggers(trial);
  if (mode === 'none') return {};
  const column = updatedAtColumn(trial.options, trial.relation, trial.zone);
  if (typeof column === 'string') return column;
  if (trial.options.changes === 'auto' && (await pollCost(trial, column)) > POLL_COST_MAX) {
    const { title } = trial.relation;
    return `each poll would read the whole of ${title}: make an index on ${columnName(column)}`;
  }
  return { updatedAt: column };
}

/** The column without the alias. */
export function columnName({ sql }: UpdatedAtColumn): string {
  return sql.slice(sql.indexOf('.') + 1);
}

async function pollCost({ session, read, options }: Trial, column: UpdatedAtColumn): Promise<number> {
  const bound = { fromMicros: (Date.now() - options.pollOverlapMs) * 1_000, exclusive: false };
  const { rows } = await session.query(explainPoll(read.plan, idColumn(read.plan), column, bound));
  const [{ Plan: plan }] = JSON.parse(rows[0]?.[0] ?? '') as [{ Plan: { 'Total Cost': number } }];
  return plan['Total Cost'];
}

async function tryTriggers(trial: Trial): Promise<{ triggers: FoundTriggers } | string> {
  const { session, options, relation, attributes } = trial;
  const impossible = cannotTrigger(options, relation);
  if (impossible !== undefined) return impossible;
  const state = await findTriggers(session, relation);
  const problem = triggerProblem(planTriggers(options, relation, attributes).plan, state);
  if (problem !== undefined) return problem;
  const look = lookAtTable(relation.sql);
  const { seen, queueFull } = readLook((await session.query(look)).rows[0]);
  if (queueFull) return QUEUE_FULL;
  return { triggers: { channels: channelsOf(state), look, seen } };
}

export const QUEUE_FULL =
  "the server's queue of notifications is half full: a session that listens does not take its own; " +
  'end it (pg_stat_activity: the oldest one in a transaction)';

/** Why the column cannot be polled, or the column. */
function updatedAtColumn(
  options: ResolvedPostgres,
  relation: Relation,
  zone: string,
): UpdatedAtColumn | string {
  const name = options.columns.updatedAt;
  if (options.query !== undefined) return 'a query is only read as a whole';
  if (name === null) return 'columns.updatedAt is switched off';
  const found = relation.columns.get(name);
  const map = 'map another column with columns.updatedAt';
  if (found === undefined) return `${relation.title} has no column "${name}": ${map}`;
  if (found.type !== 'timestamptz' && found.type !== 'timestamp') {
    return `column "${name}" of ${relation.title} has type ${found.typeShown}, not that of a time: ${map}`;
  }
  if (!found.readable) return `column "${name}" of ${relation.title} may not be read: grant SELECT on it`;
  return { ...sqlColumn(found), type: found.type, zone };
}
