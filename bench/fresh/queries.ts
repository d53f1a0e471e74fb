/**
 * What a fleet asks the database, counted by the database itself: its log of all statements, each with the
 * name of the session that sent it. The same churn meets one replica, then more of them.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type BenchResult, rounded } from '../harness/result.ts';
import { Fleet } from './replicas.ts';
import { OWN_NAME, type Stage } from './stage.ts';

export interface QueriesPlan {
  readonly replicaCounts: readonly number[];
  readonly windowMs: number;
  /** Between two commits of one changed row: far enough apart that no two are read together. */
  readonly changeEveryMs: number;
  /** Elections, first loads and first heartbeats are over; the log is written. */
  readonly settleMs: number;
  readonly nodes: number;
}

const MINUTE_MS = 60_000;
const DIFFERENCE_MAX = 1;
/** Of a statement, in what the bench shows. */
const SHOWN_CHARACTERS = 60;

const LOG_ON = `ALTER SYSTEM SET log_statement = 'all'`;
const LOG_OFF = 'ALTER SYSTEM RESET log_statement';
const RELOAD = 'SELECT pg_reload_conf()';
/** The bench's own sessions have names of their own. */
const SESSIONS = `SELECT count(*)::int AS n FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND application_name NOT IN ('${OWN_NAME}', 'sortition test')`;
const CHANGE_PORT = 'UPDATE relays SET port = 1 + (port + 1) % 60000 WHERE id = $1';

interface LogLine {
  readonly application_name?: string;
  readonly message?: string;
}

interface Asked {
  readonly total: number;
  readonly sessions: number;
  /** How often each statement was sent. */
  readonly statements: ReadonlyMap<string, number>;
}

export async function queryResults(stage: Stage, plan: QueriesPlan): Promise<BenchResult[]> {
  const bus = await stage.startBus('redis');
  const common = { connectionString: stage.postgres.connectionString, nodes: plan.nodes };
  const fleet = { name: stage.fleetName(), bus: bus.options };
  try {
    const replicas = await Fleet.start({ ...common, fleet }, 1);
    try {
      const asked: Asked[] = [];
      for (const count of plan.replicaCounts) {
        while (replicas.replicas.length < count) await replicas.add();
        asked.push(await countedWindow(stage, plan));
        await replicas.settled();
      }
      return resultsOf(plan, asked);
    } finally {
      await replicas.end();
    }
  } finally {
    await bus.stop();
  }
}

async function countedWindow(
  stage: Stage,
  { windowMs, changeEveryMs, settleMs }: QueriesPlan,
): Promise<Asked> {
  const { client } = stage.postgres;
  const { rows } = await client.query('SHOW data_directory');
  const path = join(String(rows[0].data_directory), 'log', 'bench.json');
  // The first delta of a leader looks at the table; later ones know it.
  const ids = [...stage.table.keys()];
  await stage.writer.query(CHANGE_PORT, [Buffer.from(ids[0]!, 'hex')]);
  await delay(settleMs);
  await client.query(LOG_ON);
  await client.query(RELOAD);
  await delay(settleMs);
  const begin = (await readFile(path)).byteLength;
  const changes = Math.floor(windowMs / changeEveryMs);
  const startedMs = performance.now();
  for (let change = 0; change < changes; change++) {
    // In the middle of its time, so that what it causes falls into the window.
    await delay(Math.max(0, startedMs + (change + 0.5) * changeEveryMs - performance.now()));
    await stage.writer.query(CHANGE_PORT, [Buffer.from(ids[change % ids.length]!, 'hex')]);
  }
  await delay(Math.max(0, startedMs + windowMs - performance.now()));
  const end = (await readFile(path)).byteLength;
  const sessions = Number((await client.query(SESSIONS)).rows[0].n);
  await client.query(LOG_OFF);
  await client.query(RELOAD);
  const text = (await readFile(path)).subarray(begin, end).toString('utf8');
  return { sessions, ...statementsOf(text) };
}

function statementsOf(log: string): Pick<Asked, 'total' | 'statements'> {
  const statements = new Map<string, number>();
  let total = 0;
  for (const line of log.split('\n')) {
    // What was being written when the file was read.
    if (!line.endsWith('}')) continue;
    const { application_name: name = '', message = '' } = JSON.parse(line) as LogLine;
    const sent = /^(?:statement|execute [^:]*): ([\s\S]*)$/.exec(message)?.[1];
    if (sent === undefined || name === OWN_NAME || name === 'sortition test') continue;
    const shown = `${name}: ${sent.trim().replaceAll(/\s+/g, ' ').slice(0, SHOWN_CHARACTERS)}`;
    statements.set(shown, (statements.get(shown) ?? 0) + 1);
    total++;
  }
  return { total, statements };
}

/** What is sent, statement by statement, then all together. */
function resultsOf({ replicaCounts, windowMs, changeEveryMs }: QueriesPlan, asked: Asked[]): BenchResult[] {
  const perMinute = (count: number) => Math.round((count * MINUTE_MS) / windowMs);
  const names = replicaCounts.map(
    count => `queries a minute, ${count} ${count === 1 ? 'replica' : 'replicas'}`,
  );
  const shown = [...new Set(asked.flatMap(({ statements }) => [...statements.keys()]))];
  const each = shown.map(statement => ({
    name: statement,
    ...Object.fromEntries(
      asked.map(({ statements }, i) => [names[i]!, perMinute(statements.get(statement) ?? 0)]),
    ),
  }));
  const first = perMinute(asked[0]!.total);
  const totals = asked.map(({ total, sessions }, i) => ({
    name: names[i]!,
    queries_per_minute: perMinute(total),
    changes_per_minute: perMinute(Math.floor(windowMs / changeEveryMs)),
    sessions,
    ...(i === 0 ? {} : comparison(names[0]!, first, perMinute(total))),
  }));
  return [...each, ...totals];
}

function comparison(floor: string, first: number, total: number) {
  const difference = total - first;
  return {
    floor,
    ratio: rounded(total / first),
    difference,
    limit_difference: DIFFERENCE_MAX,
    within_limits: Math.abs(difference) <= DIFFERENCE_MAX ? 'yes' : 'no',
  };
}
