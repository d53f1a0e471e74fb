/**
 * Makes the triggers, or takes them back: first the exact statements, for whoever runs the command to see,
 * then all of them in one transaction. Runs on the main thread of the command, not in the loader.
 */
import { CacheError } from '../../../../engine/errors.ts';
import { beginRead, COMMIT_READ } from '../../sql/transaction.ts';
import {
  commentFunction,
  createFunction,
  createTrigger,
  dropFunction,
  dropTrigger,
  TRIGGER_EVENTS,
  triggerName,
} from '../../sql/trigger-function.ts';
import { failureCode } from '../failures.ts';
import { type PostgresSourceOptions, resolvePostgres } from '../options.ts';
import { throwProblems } from '../plan.ts';
import { findRelation } from '../read-plan.ts';
import { PostgresSession } from '../session.ts';
import {
  cannotTrigger,
  cannotTriggerTree,
  findFunction,
  findTriggers,
  fits,
  type TriggerState,
} from './installed.ts';
import { covers, isOurs, planTriggers, type TriggerPlan } from './trigger-plan.ts';

/**
 * Making a trigger waits until no transaction writes to the table, and whoever writes then waits behind it:
 * not for longer than this.
 */
const LOCK_TIMEOUT_MS = 3_000;
const LOCK_NOT_AVAILABLE = '55P03';

export interface TriggerRequest {
  /** Attributes that placements use: changes of others are not notified. */
  readonly attributes: readonly string[];
  /** Takes everything back. */
  readonly remove: boolean;
  readonly signal: AbortSignal;
}

export interface TriggerScript {
  /** `table public.nodes` */
  readonly title: string;
  readonly channel: string;
  /** In their order, without `;`. None: everything is as it should be. */
  readonly statements: readonly string[];
  /** What whoever is connected would be refused, as the rights to grant; none: nothing. */
  readonly missingRights: readonly string[];
  /** What whoever decides about this has to know. */
  readonly warnings: readonly string[];
  /** Who is connected. */
  readonly user: string;
}

/** The statements that are still needed. Changes nothing. Throws `CacheError`. */
export async function triggerScript(
  options: PostgresSourceOptions,
  request: TriggerRequest,
): Promise<TriggerScript> {
  return withSession(options, request.signal, async session => {
    await session.query(beginRead(resolvePostgres(options).statementTimeoutMs));
    const script = await makeScript(session, options, request);
    await session.query(COMMIT_READ);
    return script;
  });
}

/** Runs `script`, all or nothing. Throws `CacheError`, also when it is no longer what is needed. */
export async function runTriggerScript(
  options: PostgresSourceOptions,
  request: TriggerRequest,
  script: TriggerScript,
): Promise<void> {
  await withSession(options, request.signal, async session => {
    const { statementTimeoutMs } = resolvePostgres(options);
    await session.query(beginScript(statementTimeoutMs).join('; '));
    const now = await makeScript(session, options, request);
    if (JSON.stringify(now.statements) !== JSON.stringify(script.statements)) {
      const detail = `${script.title} has changed since the statements were shown`;
      throw new CacheError('SOURCE_SCHEMA', `${detail}: nothing was done; try again`);
    }
    for (const statement of script.statements) await runStatement(session, statement, script);
    await session.query('COMMIT');
  });
}

/** The script as a text that psql runs as it is. */
export function scriptText({ statements }: TriggerScript, options: PostgresSourceOptions): string {
  const begin = beginScript(resolvePostgres(options).statementTimeoutMs);
  return [...begin, ...statements, 'COMMIT'].map(statement => `${statement};\n`).join('\n');
}

function beginScript(statementTimeoutMs: number): string[] {
  return [
    'BEGIN',
    `SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`,
    `SET LOCAL statement_timeout = ${statementTimeoutMs}`,
  ];
}

async function withSession<T>(
  options: PostgresSourceOptions,
  signal: AbortSignal,
  work: (session: PostgresSession) => Promise<T>,
): Promise<T> {
  const session = await PostgresSession.open(resolvePostgres(options), signal);
  try {
    return await work(session);
  } finally {
    // A transaction that was not committed has done nothing.
    await session.close();
  }
}

async function makeScript(
  session: PostgresSession,
  options: PostgresSourceOptions,
  request: TriggerRequest,
): Promise<TriggerScript> {
  const resolved = resolvePostgres(options);
  const relation = await findRelation(session, resolved);
  const impossible = cannotTrigger(resolved, relation);
  if (impossible !== undefined) throw new CacheError('SOURCE_SCHEMA', impossible);
  const state = await findTriggers(session, relation);
  const { plan, problems } = planTriggers(resolved, relation, request.attributes);
  const { user } = session.target;
  const common = { title: relation.title, channel: plan.made.channel, user };
  if (request.remove) {
    const statements = removal(state, plan, (await findFunction(session, plan.function.sql)) !== undefined);
    const foreign = state.tables.filter(
      ({ oid, owned }) => !owned && state.triggers.some(({ tableOid }) => tableOid === oid),
    );
    const missingRights = foreign.map(({ sql }) => `to own ${sql}`);
    return { ...common, statements, missingRights, warnings: [] };
  }
  throwProblems(problems);
  const unfit = cannotTriggerTree(relation, state);
  if (unfit !== undefined) throw new CacheError('SOURCE_SCHEMA', unfit);
  return { ...common, ...(await installation(session, plan, state)), warnings: warningsOf(state) };
}

/** PostgreSQL prepares no transaction that has notified: the one way in which a trigger can fail a writer. */
function warningsOf({ preparedMax }: TriggerState): string[] {
  if (preparedMax === 0) return [];
  const what = 'a transaction that changes nodes can no longer be prepared for two-phase commit';
  return [`max_prepared_transactions is ${preparedMax}: ${what} (PREPARE TRANSACTION)`];
}

/** Replaces what there is of an earlier version, and leaves alone what is as it should be. */
async function installation(
  session: PostgresSession,
  plan: TriggerPlan,
  state: TriggerState,
): Promise<Pick<TriggerScript, 'statements' | 'missingRights'>> {
  const { sql } = plan.function;
  const there = await findFunction(session, sql);
  const statements: string[] = [];
  const missing = new Set<string>();
  const { user } = session.target;
  // One that watches more than is needed here was made for somebody who needs it.
  if (there?.made === undefined || !covers(there.made, plan)) {
    statements.push(createFunction(plan.function), commentFunction(sql, plan.comment));
    if (there === undefined && !state.mayCreateFunctions) {
      missing.add(`GRANT CREATE ON SCHEMA ${plan.relation.schema} TO ${user}`);
    }
    if (there?.owned === false) missing.add(`to own the function ${sql}()`);
  }
  for (const table of state.tables) {
    for (const event of TRIGGER_EVENTS) {
      const name = triggerName(event);
      const found = state.triggers.find(trigger => trigger.tableOid === table.oid && trigger.name === name);
      if (found?.enabled && found.functionSql === sql && fits(found, event)) continue;
      if (found !== undefined) statements.push(dropTrigger(name, table.sql));
      statements.push(createTrigger(sql, table.sql, event));
      if (found !== undefined && !table.owned) missing.add(`to own ${table.sql}`);
      if (!table.mayTrigger) missing.add(`GRANT TRIGGER ON ${table.sql} TO ${user}`);
    }
  }
  for (const stale of staleFunctions(state, sql)) statements.push(dropFunction(stale));
  return { statements, missingRights: [...missing] };
}

function removal(state: TriggerState, plan: TriggerPlan, functionExists: boolean): string[] {
  const triggers = state.triggers.map(({ name, tableSql }) => dropTrigger(name, tableSql));
  const own = functionExists ? [plan.function.sql] : [];
  const functions = [...own, ...staleFunctions(state, plan.function.sql)];
  return [...triggers, ...functions.map(dropFunction)];
}

/** Functions of our triggers under other names: the table was called otherwise when they were made. */
function staleFunctions({ triggers }: TriggerState, current: string): string[] {
  const ours = triggers.filter(({ comment, functionSql }) => isOurs(comment) && functionSql !== current);
  return [...new Set(ours.map(({ functionSql }) => functionSql))];
}

async function runStatement(
  session: PostgresSession,
  statement: string,
  script: TriggerScript,
): Promise<void> {
  try {
    await session.query(statement);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    const state = failureCode(error.cause);
    const what = statement.split('\n', 1)[0]!;
    if (state === LOCK_NOT_AVAILABLE) {
      const who = `another session holds ${script.title} for longer than ${LOCK_TIMEOUT_MS} ms`;
      const detail = `${what}: ${who}; nothing was done: try again when no long transaction writes to it`;
      throw new CacheError('SOURCE_TIMEOUT', detail, { cause: error });
    }
    throw new CacheError(error.code, `${what}: ${error.message}; nothing was done`, { cause: error });
  }
}
