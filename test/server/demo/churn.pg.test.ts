import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ChurnKind, startChurn } from '../../../src/server/demo/churn.ts';
import { seedNodes } from '../../../src/server/demo/nodes-table.ts';
import { POPULATION_COUNT, population } from '../../../src/server/demo/population.ts';
import { openPostgresSource, postgresSource } from '../../../src/workers/source/postgres-source.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { checkAll } from '../../support/row-source.ts';

let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startTestPostgres();
});

afterAll(() => postgres.stop());

beforeEach(async () => {
  await postgres.client.query('DROP TABLE IF EXISTS nodes');
});

/** Churn that goes on until `enough`, and the counts it then had. */
async function churnUntil(
  enough: (counts: Readonly<Record<ChurnKind, number>>) => boolean,
  options: { pace?: number; checkInMs?: number } = {},
): Promise<Readonly<Record<ChurnKind, number>>> {
  const { connectionString } = postgres;
  let reached: (counts: Readonly<Record<ChurnKind, number>>) => void = () => undefined;
  const done = new Promise<Readonly<Record<ChurnKind, number>>>((resolve, reject) => {
    reached = resolve;
    void startChurn({
      ...{ connectionString, seed: 1, everyMs: 1, ...options },
      onCounts: counts => enough(counts) && reached(counts),
      onError: reject,
    }).then(churn => done.finally(() => churn.stop()));
  });
  return done;
}

describe('seeding', () => {
  test('puts 10,830 nodes into the table within seconds', async () => {
    const nodes = [...population({ seed: 1, nowMs: Date.now() })];
    const startedAt = performance.now();
    expect(await seedNodes(postgres.client, nodes)).toBe(POPULATION_COUNT);
    // Under 400 ms here when the machine is quiet.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    const { rows } = await postgres.client.query('SELECT count(*)::int AS count FROM nodes');
    expect(rows).toEqual([{ count: POPULATION_COUNT }]);
  });
});

describe('churn', () => {
  test('does every kind of change, and leaves most nodes eligible', async () => {
    await seedNodes(postgres.client, population({ seed: 1, nowMs: Date.now(), count: 2_000 }));
    const counts = await churnUntil(now => Object.values(now).every(count => count > 0), {
      pace: 3,
      checkInMs: 20,
    });
    const last = (
      await checkAll(openPostgresSource(postgresSource({ connectionString: postgres.connectionString })))
    ).at(-1);
    expect(last).toMatchObject({ ok: true });
    const { rows } = await postgres.client.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM nodes',
    );
    expect(rows[0]?.count).toBeGreaterThanOrEqual(2_000 + counts.joined);
  });

  test('checks every online node in once in checkInMs', async () => {
    await seedNodes(postgres.client, population({ seed: 2, nowMs: Date.now() - 3_600_000, count: 1_000 }));
    const online = `disqualified IS NULL AND exit_finished_at IS NULL
      AND last_contact_success > now() - interval '4 hours'`;
    const { rows } = await postgres.client.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM nodes WHERE ${online}`,
    );
    const onlineCount = rows[0]!.count;
    await churnUntil(({ checkedIn }) => checkedIn >= onlineCount, { pace: 0, checkInMs: 20 });
    const late = await postgres.client.query(
      `SELECT id FROM nodes WHERE ${online} AND last_contact_success < now() - interval '1 minute'`,
    );
    expect(late.rows).toEqual([]);
  });

  test('closes its connection when it is stopped, also in the middle of a pause', async () => {
    await seedNodes(postgres.client, population({ seed: 3, nowMs: Date.now(), count: 100 }));
    const { connectionString } = postgres;
    const churn = await startChurn({ connectionString, seed: 1, everyMs: 3_600_000 });
    await churn.stop();
    await churn.stop();
    const left = () =>
      postgres.client.query(`SELECT pid FROM pg_stat_activity WHERE application_name = 'sortition churn'`);
    await expect.poll(async () => (await left()).rows, { timeout: 20_000 }).toEqual([]);
  });

  test('reports an error of the database and ends', async () => {
    const error = await new Promise(resolve => {
      void startChurn({ connectionString: postgres.connectionString, seed: 1, everyMs: 1, onError: resolve });
    });
    expect(error).toMatchObject({ code: '42P01' });
  });
});
