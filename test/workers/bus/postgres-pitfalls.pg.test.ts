/** What Postgres does that a bus must not stumble over, on a real one, and what the bus makes of it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Bus, LOG_START } from '../../../src/workers/bus/bus.ts';
import { type BusOptions, openBus } from '../../../src/workers/bus/open-bus.ts';
import { postgresAdvice } from '../../../src/workers/bus/postgres/advice.ts';
import { connectClient } from '../../../src/workers/source/postgres/client.ts';
import { codeOf, Follower, untilAvailable } from '../../support/bus-subject.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { TcpFaultProxy, type Transform } from '../../support/tcp-fault-proxy.ts';
import { until } from '../../support/until.ts';
import { at, newFleet, record } from './bus-log.case.ts';

const KEEP_MS = 600_000;
const NOTIFICATION = 'A'.charCodeAt(0);

let postgres: TestPostgres;
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
});

afterAll(() => postgres.stop());

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function busTo(options: Partial<BusOptions & { kind: 'postgres' }> = {}): Promise<Bus> {
  const schema = newFleet();
  const bus = await openBus({ kind: 'postgres', url: postgres.connectionString, schema, ...options });
  ends.push(() => bus.close());
  return bus;
}

function follow(bus: Bus): Follower {
  const follower = new Follower(bus, LOG_START);
  ends.push(() => follower.stop());
  return follower;
}

describe('announcements', () => {
  test('hold less than 8,000 bytes, so they carry none of the record', async () => {
    const notify = (bytes: number) =>
      postgres.client.query('select pg_notify($1, $2)', ['x', 'x'.repeat(bytes)]);
    await notify(7_999);
    await expect(notify(8_000)).rejects.toThrow(/payload string too long/);
    const bus = await busTo();
    const follower = follow(bus);
    await bus.append({ position: at(1, 0), bytes: new Uint8Array(bus.recordBytesMax) });
    await until('the record', () => follower.records.length === 1);
    expect(follower.records[0]!.bytes.byteLength).toBe(bus.recordBytesMax);
  });

  test('do not come through a pooler that shares its sessions: followers look for themselves', async () => {
    const pooler = await TcpFaultProxy.open({ host: '127.0.0.1', port: postgres.port });
    ends.push(() => pooler.close());
    pooler.transform('toClient', withoutNotifications);
    const schema = newFleet();
    const url = postgres.url({ port: pooler.port });
    const pooled = await busTo({ url, schema, pingEveryMs: 150 });
    const follower = follow(pooled);
    for (let seq = 0; seq < 3; seq++) {
      await pooled.append(record(1, seq));
      await until('the record', () => follower.records.length === seq + 1);
    }
    expect(follower.brokenCount).toBe(0);
    expect(await pooled.advice()).toEqual([expect.stringMatching(/LISTEN brings nothing.*session mode/)]);
    expect(await (await busTo({ schema })).advice()).toEqual([]);
  });

  test('wake at once who is connected directly', async () => {
    const bus = await busTo({ pingEveryMs: 60_000 });
    const follower = follow(bus);
    await bus.append(record(1, 0));
    await until('the first record', () => follower.records.length === 1);
    for (let seq = 1; seq < 20; seq++) {
      await bus.append(record(1, seq));
      await until('the record, long before the next look', () => follower.records.length === seq + 1, 5_000);
    }
  });
});

describe('a lock that somebody else holds', () => {
  test('makes an append late, not wrong', async () => {
    const schema = newFleet();
    const patient = await busTo({ schema });
    await patient.append(record(1, 0));
    const bus = await busTo({ schema, timeoutMs: 400 });
    const client = await connectClient(postgres.connectionString, 'sortition test');
    ends.push(() => client.end());
    await client.query(`begin; select * from "${schema}".bus_head for update`);
    expect(await codeOf(bus.append(record(1, 1)))).toBe('BUS_UNAVAILABLE');
    await client.query('commit');
    // The late one may still be done; then it is this very record.
    const code = await untilAvailable(() => bus.append(record(1, 1))).then(
      () => '',
      error => error.code,
    );
    expect(['', 'BUS_FENCED']).toContain(code);
    expect(await patient.last()).toEqual(at(1, 1));
  });
});

describe('a Postgres that is not as it should be', () => {
  test('gives no rights: says who lacks them', async () => {
    await postgres.client.query(`create role visitor login password 'open sesame'`);
    const url = postgres.url({ user: 'visitor', password: 'open sesame' });
    const failure = await (await busTo({ url })).last().catch(error => error);
    expect(failure.code).toBe('BUS_DENIED');
    expect(failure.message).toMatch(/visitor.*permission denied/);
    // Rights on tables that are there are enough.
    const schema = newFleet();
    await (await busTo({ schema })).last();
    const grants = `grant usage on schema "${schema}" to visitor;
      grant select, insert, update, delete on all tables in schema "${schema}" to visitor`;
    await postgres.client.query(grants);
    const bus = await busTo({ url, schema });
    await bus.append(record(1, 0));
    expect(await bus.last()).toEqual(at(1, 0));
  });

  test('asks for a password: wrong ones are refused, a changed file is found', async () => {
    await postgres.client.query(`create role guarded login superuser password 'open sesame'`);
    const directory = await mkdtemp(join(tmpdir(), 'sortition-password-'));
    ends.push(() => rm(directory, { recursive: true }));
    const passwordFile = join(directory, 'password');
    const wrong = await busTo({ url: postgres.url({ user: 'guarded', password: 'guess' }) });
    const failure = await wrong.last().catch(error => error);
    expect(failure.code).toBe('BUS_DENIED');
    expect(`${failure.message} ${wrong.description}`).not.toMatch(/guess/);
    const bus = await busTo({ url: postgres.url({ user: 'guarded', password: 'guess' }), passwordFile });
    await writeFile(passwordFile, 'stale\n');
    expect(await codeOf(bus.last())).toBe('BUS_DENIED');
    await writeFile(passwordFile, 'open sesame\n');
    expect(await bus.last()).toBeUndefined();
  });

  test('serves more replicas than it is meant for', async () => {
    const bus = await busTo();
    const beats = (count: number) =>
      Promise.all(
        Array.from({ length: count }, (_, i) =>
          bus.beat({ replica: `replica-${i}`, bytes: new Uint8Array(1) }, KEEP_MS),
        ),
      );
    await beats(50);
    expect(await bus.advice()).toEqual([]);
    await beats(51);
    expect(await bus.advice()).toEqual([expect.stringMatching(/51 replicas.*meant for up to 50/)]);
  });

  test('is a standby: the advice says so, and nothing else', () => {
    const facts = { isStandby: true, isHeard: false, replicaCount: 500 };
    expect(postgresAdvice(facts)).toEqual([expect.stringMatching(/standby.*name the primary/)]);
  });

  test('has lost the head of its log: the next record makes it anew, and no older one does', async () => {
    const schema = newFleet();
    const bus = await busTo({ schema });
    for (const seq of [0, 1]) await bus.append(record(1, seq));
    await postgres.client.query(`DELETE FROM "${schema}".bus_head`);
    expect(await codeOf(bus.append(record(1, 1)))).toBe('BUS_FENCED');
    await bus.append(record(2, 0));
    expect(await bus.last()).toEqual(at(2, 0));
    expect(await codeOf(bus.append(record(1, 2)))).toBe('BUS_FENCED');
    await bus.append(record(2, 1));
    expect(await bus.last()).toEqual(at(2, 1));
  });

  test('keeps no more records than it is told to, also when nobody trims', async () => {
    const schema = newFleet();
    const bus = await busTo({ schema });
    await bus.append(record(1, 0));
    const many = `insert into "${schema}".bus_log
      select 1, n, 1, n - 1, '' from generate_series(1, 100200) as n`;
    await postgres.client.query(many);
    await postgres.client.query(`update "${schema}".bus_head set seq = 100200`);
    await bus.append(record(1, 4_096 * 25));
    const { rows } = await postgres.client.query(`select count(*)::int as count from "${schema}".bus_log`);
    expect(rows[0].count).toBe(100_000);
  });
});

/** Leaves out what LISTEN brings, as a pooler does with a session that nobody has just then. */
function withoutNotifications(): Transform {
  let held = Buffer.alloc(0);
  return chunk => {
    held = Buffer.concat([held, chunk]);
    const passed: Buffer[] = [];
    // A message is a letter, then its length without the letter.
    while (held.byteLength >= 5 && held.byteLength > held.readInt32BE(1)) {
      const end = held.readInt32BE(1) + 1;
      if (held[0] !== NOTIFICATION) passed.push(held.subarray(0, end));
      held = held.subarray(end);
    }
    return Buffer.concat(passed);
  };
}
