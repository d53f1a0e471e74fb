/**
 * `sortition check` of a Postgres source: connect, authenticate, database, relation, columns, types, changes,
 * rows.
 */
import { CacheError } from '../../../engine/errors.ts';
import { countRows, rowsStep } from '../row-counts.ts';
import type { CheckStep, ReadRequest } from '../row-source.ts';
import { countCriteria } from '../sql/nodes.ts';
import { beginRead, COMMIT_READ } from '../sql/transaction.ts';
import { failureCode, postgresTarget, targetAddress } from './failures.ts';
import { changesStep } from './feed/changes-step.ts';
import type { ResolvedPostgres } from './options.ts';
import type { ColumnProblem, PlanResult } from './plan.ts';
import { findRelation, planRead } from './read-plan.ts';
import { PostgresSession } from './session.ts';

export async function* checkPostgres(
  options: ResolvedPostgres,
  request: ReadRequest,
): AsyncGenerator<CheckStep> {
  const opened = await attempt(() => PostgresSession.open(options, request.signal));
  yield* connectSteps(options, opened.error);
  if (opened.error !== undefined) return;
  const session = opened.value;
  try {
    yield* checkRows(session, options, request);
  } finally {
    await session.close();
  }
}

type Attempt<T> = { readonly value: T; readonly error?: undefined } | { readonly error: CacheError };

/** An operating error as a value; anything else is a programmer's and goes on. */
async function attempt<T>(work: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    if (error instanceof CacheError) return { error };
    throw error;
  }
}

/** The server says in this order what is wrong; the steps before the failed one have passed. */
function* connectSteps(options: ResolvedPostgres, error: CacheError | undefined): Generator<CheckStep> {
  const target = postgresTarget(options);
  const steps = [
    { name: 'connect', detail: `PostgreSQL answers at ${targetAddress(target)}` },
    { name: 'authenticate', detail: `user "${target.user}" is let in` },
    { name: 'database', detail: `database "${target.database}" is open` },
  ];
  const failed = error === undefined ? undefined : failedStep(error);
  for (const step of steps) {
    if (step.name !== failed) {
      yield { ...step, ok: true };
      continue;
    }
    yield { name: step.name, ok: false, detail: error!.message, hint: connectHint(error!, options) };
    return;
  }
}

function failedStep(error: CacheError): 'connect' | 'authenticate' | 'database' {
  const state = failureCode(error.cause);
  if (state === '3D000' || state === '42501') return 'database';
  return error.code === 'SOURCE_DENIED' ? 'authenticate' : 'connect';
}

const CONNECT_HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED:
    'start the server, or correct host and port; does it listen on this address (listen_addresses)?',
  ENOTFOUND: 'correct the host name',
  EAI_AGAIN: 'look at the name server of this machine',
  ENOENT: 'correct the directory of the socket, or use a host name',
  '28P01': 'correct the user or the password (passwordFile, PGPASSWORD, or in connectionString)',
  '28000': 'create the role, or let it in from this address in pg_hba.conf',
  '3D000': 'correct the name of the database, or create it',
  '42501': 'GRANT CONNECT ON DATABASE to the user',
  '53300': 'raise max_connections, or close other connections',
};

function connectHint(error: CacheError, options: ResolvedPostgres): string {
  const hint = CONNECT_HINTS[failureCode(error.cause)];
  if (hint !== undefined) return hint;
  if (/certificate|SSL|TLS/.test(error.message)) return 'correct sslmode or sslrootcert in connectionString';
  if (error.code === 'SOURCE_DENIED')
    return 'give a password: passwordFile, PGPASSWORD, or in connectionString';
  return `is the host right, and is a firewall between? connectTimeoutMs is ${options.connectTimeoutMs}`;
}

async function* checkRows(
  session: PostgresSession,
  options: ResolvedPostgres,
  request: ReadRequest,
): AsyncGenerator<CheckStep> {
  const begun = await attempt(() => session.query(beginRead(options.statementTimeoutMs)));
  const found = begun.error === undefined ? await attempt(() => findRelation(session, options)) : begun;
  if (found.error !== undefined) {
    yield {
      name: 'relation',
      ok: false,
      detail: found.error.message,
      hint: relationHint(found.error, options),
    };
    return;
  }
  yield { name: 'relation', ok: true, detail: `${found.value.title} exists and may be read` };
  const result = planRead(options, found.value, request.attributes);
  yield* columnSteps(result.problems, found.value.columns.size);
  if (result.problems.length > 0) return;
  yield await changesStep(options, request);
  yield await countStep(session, result, options);
}

function relationHint(error: CacheError, options: ResolvedPostgres): string {
  if (error.code === 'SOURCE_DENIED') return `GRANT SELECT to the user`;
  if (error.code === 'SOURCE_TIMEOUT') return `raise statementTimeoutMs (now ${options.statementTimeoutMs})`;
  return options.query === undefined ? 'correct "table", or the database or search_path' : 'correct "query"';
}

function* columnSteps(problems: readonly ColumnProblem[], columnCount: number): Generator<CheckStep> {
  const groups = [
    {
      name: 'columns',
      kinds: ['missing', 'denied'],
      detail: `every column needed is there (of ${columnCount})`,
    },
    { name: 'types', kinds: ['type'], detail: 'every column has a type that is accepted' },
    { name: 'attributes', kinds: ['attribute'], detail: undefined },
  ];
  for (const { name, kinds, detail } of groups) {
    const failed = problems.filter(problem => kinds.includes(problem.kind));
    if (failed.length === 0 && detail !== undefined) yield { name, ok: true, detail };
    for (const problem of failed) yield { name, ok: false, detail: problem.detail, hint: problem.hint };
  }
}

async function countStep(
  session: PostgresSession,
  { plan }: PlanResult,
  options: ResolvedPostgres,
): Promise<CheckStep> {
  const counted = await attempt(async () => {
    const { rows } = await session.query(countCriteria(plan));
    await session.query(COMMIT_READ);
    return rows;
  });
  if (counted.error !== undefined) {
    const hint = relationHint(counted.error, options);
    return { name: 'rows', ok: false, detail: counted.error.message, hint };
  }
  const counts = countRows();
  for (const [absent, ineligible, vetted, count] of counted.value) {
    counts.add({ absent, ineligible, vetted: vetted === 't' }, Number(count));
  }
  return rowsStep(counts);
}
