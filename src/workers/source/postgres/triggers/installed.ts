/** What the database has of our triggers, and why they may not do. */

import { DESCRIBE_TABLE, FIND_FUNCTION, LIST_TABLES, LIST_TRIGGERS } from '../../sql/installed-triggers.ts';
import { TRIGGER_EVENTS, type TriggerEvent, triggerName } from '../../sql/trigger-function.ts';
import type { ResolvedPostgres } from '../options.ts';
import type { Relation } from '../relation.ts';
import type { PostgresSession } from '../session.ts';
import { covers, type MadeFor, readComment, type TriggerPlan } from './trigger-plan.ts';

/** A table that statements on ours may write to: itself, a partition, one that inherits. */
export interface TriggeredTable {
  readonly oid: string;
  readonly sql: string;
  readonly kind: string;
  readonly mayTrigger: boolean;
  readonly owned: boolean;
  /** Logical replication writes to it. */
  readonly subscribed: boolean;
}

export interface InstalledTrigger {
  readonly tableOid: string;
  readonly tableSql: string;
  readonly name: string;
  /** It fires for ordinary sessions. */
  readonly enabled: boolean;
  readonly type: number;
  readonly oldRows: string;
  readonly newRows: string;
  readonly functionSql: string;
  readonly comment: string;
}

export interface TriggerState {
  readonly standby: boolean;
  /** The table that this one is a part of, or ''. */
  readonly parent: string;
  readonly mayCreateFunctions: boolean;
  /** Transactions that may be prepared for two-phase commit at once. */
  readonly preparedMax: number;
  readonly tables: readonly TriggeredTable[];
  readonly triggers: readonly InstalledTrigger[];
}

export const INSTALL = 'run `sortition install-triggers`';
const TABLE_KINDS = ['r', 'p'];

export async function findTriggers(session: PostgresSession, relation: Relation): Promise<TriggerState> {
  const [described] = (await session.query(DESCRIBE_TABLE, [relation.oid, relation.schema])).rows;
  const tables = (await session.query(LIST_TABLES, [relation.oid])).rows;
  const triggers = (await session.query(LIST_TRIGGERS, [relation.oid])).rows;
  return {
    standby: described?.[0] === 'true',
    parent: described?.[1] ?? '',
    mayCreateFunctions: described?.[2] === 'true',
    preparedMax: Number(described?.[3]),
    tables: tables.map(([oid, sql, kind, mayTrigger, owned, subscribed]) => ({
      oid: oid!,
      sql: sql!,
      kind: kind!,
      mayTrigger: mayTrigger === 'true',
      owned: owned === 'true',
      subscribed: subscribed === 'true',
    })),
    triggers: triggers.map(installedTrigger),
  };
}

function installedTrigger(row: readonly (string | null)[]): InstalledTrigger {
  const [tableOid, tableSql, name, enabled, type, oldRows, newRows, functionSql, comment] = row as string[];
  return {
    tableOid: tableOid!,
    tableSql: tableSql!,
    name: name!,
    enabled: enabled === 'O' || enabled === 'A',
    type: Number(type),
    oldRows: oldRows!,
    newRows: newRows!,
    functionSql: functionSql!,
    comment: comment!,
  };
}

/** Why no triggers can be made for what the options name, and what to do instead; undefined: they can. */
export function cannotTrigger(options: ResolvedPostgres, relation: Relation): string | undefined {
  const instead =
    'name the base table, or leave it at full loads, or at updated-at where it has such a column';
  if (options.query !== undefined) return `a replaced query has no triggers: ${instead}`;
  return relation.kind === 'table' ? undefined : `${relation.title} has no triggers of this kind: ${instead}`;
}

/** The same of what else was found out about the table. */
export function cannotTriggerTree(relation: Relation, { parent, tables }: TriggerState): string | undefined {
  if (parent !== '') {
    const how = 'statements on that one do not run the triggers of this one: name that one';
    return `${relation.title} is a part of ${parent}, and ${how}`;
  }
  const unseen = 'no trigger of ours sees that';
  const other = tables.find(({ kind }) => !TABLE_KINDS.includes(kind));
  if (other !== undefined)
    return `${other.sql}, a part of ${relation.title}, is written elsewhere: ${unseen}`;
  const copied = tables.find(({ subscribed }) => subscribed);
  return copied === undefined ? undefined : `logical replication writes to ${copied.sql}: ${unseen}`;
}

/** Why triggers do not say all that changes; undefined: they do. */
export function triggerProblem(plan: TriggerPlan, state: TriggerState): string | undefined {
  const { relation } = plan;
  if (state.standby) return 'the server is a standby, where nothing can be listened to: name the primary';
  const impossible = cannotTriggerTree(relation, state);
  if (impossible !== undefined) return impossible;
  if (state.triggers.length === 0) return `they are not installed: ${INSTALL}`;
  for (const table of state.tables) {
    for (const event of TRIGGER_EVENTS) {
      const problem = oneProblem(plan, state, table, event);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

function oneProblem(
  plan: TriggerPlan,
  state: TriggerState,
  table: TriggeredTable,
  event: TriggerEvent,
): string | undefined {
  const name = triggerName(event);
  const found = state.triggers.find(trigger => trigger.tableOid === table.oid && trigger.name === name);
  if (found === undefined) return `${table.sql} has no trigger ${name}: ${INSTALL} again`;
  if (!found.enabled) return `the trigger ${name} of ${table.sql} is disabled: enable it`;
  const made = readComment(found.comment);
  if (made === undefined || !fits(found, event)) {
    return `the trigger ${name} of ${table.sql} is of another version: ${INSTALL} again`;
  }
  if (covers(made, plan)) return undefined;
  return `they were made for other columns, thresholds or attributes than those configured: ${INSTALL} again`;
}

/** True where the trigger is what `createTrigger` makes for that event. */
export function fits(trigger: InstalledTrigger, { type, old, new: after }: TriggerEvent): boolean {
  return trigger.type === type && trigger.oldRows === old && trigger.newRows === after;
}

/** The channels of the triggers that are there: more than one while they are being replaced. */
export function channelsOf({ triggers }: TriggerState): string[] {
  const made = triggers.map(({ comment }) => readComment(comment)).filter(found => found !== undefined);
  return [...new Set(made.map(({ channel }) => channel))];
}

/** A function by its quoted and qualified name. */
export async function findFunction(
  session: PostgresSession,
  sql: string,
): Promise<{ readonly owned: boolean; readonly made: MadeFor | undefined } | undefined> {
  const [found] = (await session.query(FIND_FUNCTION, [`${sql}()`])).rows;
  return found === undefined ? undefined : { owned: found[1] === 'true', made: readComment(found[2] ?? '') };
}
