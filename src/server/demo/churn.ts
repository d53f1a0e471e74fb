/**
 * Keeps the demo's table alive as many services do: nodes check in, fill up, free space, move, are vetted,
 * suspended, disqualified, leave and join. One transaction a tick, a bounded number of rows each. Main
 * thread.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { connectClient, type PostgresClient } from '../../workers/source/postgres/client.ts';
import { networkMaker } from './addresses.ts';
import { addressText, insertNodes, nodesRow } from './nodes-table.ts';
import { population } from './population.ts';
import { type DemoRandom, demoRandom } from './random.ts';

export interface ChurnOptions {
  readonly connectionString: string;
  readonly seed: number;
  /** Between the end of one tick and the start of the next. */
  readonly everyMs: number;
  /** Time in which every node that is online checks in once. */
  readonly checkInMs?: number;
  /** Multiplies everything but check-ins; 1 is some four changes a tick. */
  readonly pace?: number;
  /** Called after each tick with the rows changed since the start, by kind. */
  readonly onCounts?: (counts: Readonly<Record<ChurnKind, number>>) => void;
  /** Called once, when the database fails; churn has then ended by itself. */
  readonly onError?: (error: unknown) => void;
}

export interface Churn {
  /** Ends after the tick under way and closes the connection. */
  stop(): Promise<void>;
}

const ONLINE =
  "disqualified IS NULL AND exit_finished_at IS NULL AND last_contact_success > now() - interval '4 hours'";

/** What happens to nodes: how many a tick are expected, whom it can meet, and what it changes. */
const CHANGES = {
  filled: { rate: 1, where: `${ONLINE} AND free_disk >= 5e9`, set: 'free_disk = 1e9' },
  freed: { rate: 1, where: `${ONLINE} AND free_disk < 5e9`, set: 'free_disk = 2e12' },
  vetted: { rate: 0.5, where: `${ONLINE} AND vetted_at IS NULL AND type = 2`, set: 'vetted_at = now()' },
  suspended: {
    rate: 0.3,
    where: `${ONLINE} AND offline_suspended IS NULL`,
    set: 'offline_suspended = now()',
  },
  reinstated: {
    rate: 0.3,
    where: `${ONLINE} AND offline_suspended IS NOT NULL`,
    set: 'offline_suspended = NULL',
  },
  disqualified: { rate: 0.2, where: ONLINE, set: 'disqualified = now()' },
  exiting: { rate: 0.1, where: `${ONLINE} AND exit_initiated_at IS NULL`, set: 'exit_initiated_at = now()' },
  exited: {
    rate: 0.1,
    where: `${ONLINE} AND exit_initiated_at IS NOT NULL`,
    set: 'exit_finished_at = now()',
  },
  offline: { rate: 0.2, where: ONLINE, set: "last_contact_success = now() - interval '5 hours'" },
} as const;

/** Joining balances those that are disqualified, exit or stay away; moving is a new address. */
const JOINED_RATE = 0.5;
const MOVED_RATE = 0.4;
/** However fast the pace, a tick changes no more rows of one kind. */
const ROWS_PER_KIND_MAX = 1_000;
const CHECK_IN_ROWS_MAX = 50_000;
const CHECK_IN_MS = 3_600_000;

export type ChurnKind = keyof typeof CHANGES | 'joined' | 'moved' | 'checkedIn';

interface ChurnState {
  readonly client: PostgresClient;
  readonly options: ChurnOptions;
  readonly random: DemoRandom;
  readonly counts: Record<ChurnKind, number>;
  /** Check-ins go through the table in the order of ids; this is the last one served. */
  checkInFrom: Buffer;
}

export async function startChurn(options: ChurnOptions): Promise<Churn> {
  const client = await connectClient(options.connectionString, 'sortition churn');
  const kinds = [...Object.keys(CHANGES), 'joined', 'moved', 'checkedIn'] as ChurnKind[];
  const state: ChurnState = {
    client,
    options,
    random: demoRandom(options.seed),
    counts: Object.fromEntries(kinds.map(kind => [kind, 0])) as Record<ChurnKind, number>,
    checkInFrom: Buffer.alloc(0),
  };
  const stopping = new AbortController();
  const ended = runTicks(state, stopping.signal);
  return {
    stop: async () => {
      stopping.abort();
      await ended;
    },
  };
}

async function runTicks(state: ChurnState, stopping: AbortSignal): Promise<void> {
  try {
    while (!stopping.aborted) {
      await tick(state);
      state.options.onCounts?.({ ...state.counts });
      // The abort ends the pause: it is no error.
      await delay(state.options.everyMs, undefined, { signal: stopping }).catch(() => undefined);
    }
  } catch (error) {
    state.options.onError?.(error);
  } finally {
    await state.client.end().catch(() => undefined);
  }
}

async function tick(state: ChurnState): Promise<void> {
  const { client, random, counts } = state;
  const pace = state.options.pace ?? 1;
  await client.query('BEGIN');
  counts.checkedIn += await checkIn(state);
  for (const [kind, { rate, where, set }] of Object.entries(CHANGES)) {
    const wanted = rowCount(random, rate * pace);
    if (wanted === 0) continue;
    const text = `UPDATE nodes SET ${set}, updated_at = now() WHERE id IN (${somewhere(where)})`;
    const { rowCount: changed } = await client.query(text, [randomId(random), wanted]);
    counts[kind as ChurnKind] += changed ?? 0;
  }
  counts.moved += await move(state, rowCount(random, MOVED_RATE * pace));
  counts.joined += await join(state, rowCount(random, JOINED_RATE * pace));
  await client.query('COMMIT');
}

/** The next nodes in the order of ids, so that each comes once in `checkInMs`, whatever happens between. */
async function checkIn(state: ChurnState): Promise<number> {
  const { client, options } = state;
  const share = options.everyMs / (options.checkInMs ?? CHECK_IN_MS);
  const { rows } = await client.query<{ ids: Buffer[] | null }>(
    `SELECT array_agg(id ORDER BY id) AS ids FROM (
       SELECT id FROM nodes WHERE id > $1 AND ${ONLINE} ORDER BY id
        LIMIT (SELECT least($3, greatest(1, ceil($2::float8 * reltuples)))
                 FROM pg_class WHERE oid = 'nodes'::regclass)) AS next`,
    [state.checkInFrom, share, CHECK_IN_ROWS_MAX],
  );
  const ids = rows[0]?.ids ?? [];
  // The end of the table: the next tick begins anew.
  state.checkInFrom = ids.at(-1) ?? Buffer.alloc(0);
  const text = 'UPDATE nodes SET last_contact_success = now(), updated_at = now() WHERE id = ANY ($1)';
  return (await client.query(text, [ids])).rowCount ?? 0;
}

async function move(state: ChurnState, count: number): Promise<number> {
  if (count === 0) return 0;
  const { client, random } = state;
  const { rows } = await client.query<{ id: Buffer }>(somewhere(ONLINE), [randomId(random), count]);
  const nextNetwork = networkMaker(random);
  for (const { id } of rows) {
    const { network, host } = nextNetwork();
    const ipPort = addressText(host(random.below(250)), random.between(1_025, 65_535));
    await client.query(
      'UPDATE nodes SET last_net = $2, last_ip_port = $3, address = $3, updated_at = now() WHERE id = $1',
      [id, network, ipPort],
    );
  }
  return rows.length;
}

async function join(state: ChurnState, count: number): Promise<number> {
  if (count === 0) return 0;
  const seed = state.random.below(2 ** 32);
  const newcomers = [...population({ seed, nowMs: Date.now(), count })].map(node => ({
    ...node,
    state: 'eligible' as const,
    type: 2,
    vettedAtMs: undefined,
    lastContactMs: Date.now(),
    createdAtMs: Date.now(),
  }));
  await insertNodes(state.client, newcomers.map(nodesRow));
  return newcomers.length;
}

/** `$2` ids after the place `$1` whose rows meet `where`: near a random place without sorting the table. */
function somewhere(where: string): string {
  return `SELECT id FROM nodes WHERE id >= $1 AND ${where} ORDER BY id LIMIT $2`;
}

function randomId(random: DemoRandom): Buffer {
  return Buffer.from(random.hex(64), 'hex');
}

/** A whole number whose expected value is `expected`. */
function rowCount(random: DemoRandom, expected: number): number {
  const whole = Math.floor(expected);
  return Math.min(ROWS_PER_KIND_MAX, whole + (random.chance(expected - whole) ? 1 : 0));
}
