/**
 * The election and the permits over a real Postgres: processes that are killed and stopped, networks that
 * swallow, poolers that stand between. What a leader writes after another one was elected would be stopped by
 * the bus; here it must not even try.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { monotonicMs } from '../../../src/workers/clock.ts';
import { systemClock } from '../../../src/workers/fleet/clock.ts';
import type { Term } from '../../../src/workers/fleet/election/election.ts';
import { PostgresElection } from '../../../src/workers/fleet/election/postgres-election.ts';
import { PostgresPermits } from '../../../src/workers/fleet/election/postgres-permits.ts';
import type { CandidateLine } from '../../support/election-candidate.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';
import { TcpFaultProxy, type Transform } from '../../support/tcp-fault-proxy.ts';
import { until } from '../../support/until.ts';

const CANDIDATE = fileURLToPath(new URL('../../support/election-candidate.ts', import.meta.url));
const LEASE_MS = 2_000;
/** The limit that the fleet promises. */
const TAKEOVER_MS = 3_000;
/** For what has no limit of its own. */
const PATIENCE_MS = 20_000;

let postgres: TestPostgres;
const ends: (() => unknown)[] = [];
let fleetCount = 0;

beforeAll(async () => {
  postgres = await startTestPostgres();
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

afterAll(() => postgres.stop());

class Candidate {
  readonly lines: CandidateLine[] = [];
  readonly #process: ChildProcess;

  constructor(fleet: string) {
    this.#process = spawn(process.execPath, [CANDIDATE, postgres.connectionString, fleet, String(LEASE_MS)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface({ input: this.#process.stdout! }).on('line', line => this.lines.push(JSON.parse(line)));
    ends.push(() => this.signal('SIGKILL'));
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  of(kind: CandidateLine['kind']): CandidateLine[] {
    return this.lines.filter(line => line.kind === kind);
  }

  get isLeader(): boolean {
    return this.of('elected').length > this.of('lost').length;
  }
}

/** Candidates of a fleet, one of which leads. */
async function ledFleet(): Promise<{ leader: Candidate; others: Candidate[] }> {
  const fleet = newFleet();
  const candidates = Array.from({ length: 3 }, () => new Candidate(fleet));
  await until('a leader writes', () =>
    candidates.some(({ lines }) => lines.some(line => line.kind === 'writes')),
  );
  const leader = candidates.find(({ isLeader }) => isLeader)!;
  return { leader, others: candidates.filter(candidate => candidate !== leader) };
}

function newFleet(): string {
  return `fleet-${fleetCount++}`;
}

function election(fleet: string, connectionString = postgres.connectionString): PostgresElection {
  const server = async () => ({ connectionString, timeoutMs: 1_000 });
  const made = new PostgresElection({
    server,
    description: 'test',
    fleet,
    leaseMs: LEASE_MS,
    clock: systemClock,
  });
  ends.push(() => made.close());
  return made;
}

const never = new AbortController().signal;

async function elected(candidate: PostgresElection): Promise<Term> {
  const term = await candidate.attempt(never);
  if (term === undefined) throw new Error('somebody else is the leader');
  return term;
}

/** As soon as there is one to be had: a session that was closed here ends at the server a moment later. */
async function nextTerm(candidate: PostgresElection): Promise<Term> {
  const startedAtMs = monotonicMs();
  while (monotonicMs() < startedAtMs + PATIENCE_MS) {
    const term = await candidate.attempt(never);
    if (term !== undefined) return term;
  }
  throw new Error(`somebody else is the leader still, ${PATIENCE_MS} ms later`);
}

function firstElected(candidates: readonly Candidate[]): CandidateLine {
  return candidates.flatMap(candidate => candidate.of('elected')).toSorted((a, b) => a.atMs - b.atMs)[0]!;
}

describe('of several processes', () => {
  test('one leads; killed, another one does within the limit, in a higher epoch', async () => {
    const { leader, others } = await ledFleet();
    const killedAtMs = monotonicMs();
    leader.signal('SIGKILL');
    await until('another leader', () => others.some(({ isLeader }) => isLeader));
    const next = firstElected(others);
    expect(next.atMs - killedAtMs).toBeLessThan(TAKEOVER_MS);
    expect(next.epoch).toBeGreaterThan(leader.of('elected')[0]!.epoch);
    expect(others.filter(({ isLeader }) => isLeader)).toHaveLength(1);
  });

  test('a stopped one is replaced within the limit, and writes nothing more when it goes on', async () => {
    const { leader, others } = await ledFleet();
    const stoppedAtMs = monotonicMs();
    leader.signal('SIGSTOP');
    await until('another leader', () => others.some(({ isLeader }) => isLeader));
    const next = firstElected(others);
    expect(next.atMs - stoppedAtMs).toBeLessThan(TAKEOVER_MS);
    leader.signal('SIGCONT');
    await until('the old one notices', () => leader.of('lost').length > 0);
    expect(leader.of('writes').at(-1)!.atMs).toBeLessThan(next.atMs);
    expect(next.epoch).toBeGreaterThan(leader.of('elected')[0]!.epoch);
  });

  test('one that is stopped for less than the lease goes on leading', async () => {
    const { leader, others } = await ledFleet();
    const stoppedAtMs = monotonicMs();
    leader.signal('SIGSTOP');
    await until('a third of the lease', () => monotonicMs() > stoppedAtMs + LEASE_MS / 3);
    leader.signal('SIGCONT');
    const goneOn = () => leader.of('writes').some(({ atMs }) => atMs > stoppedAtMs + 2 * LEASE_MS);
    await until('it writes two leases later', goneOn);
    expect(leader.of('lost')).toEqual([]);
    expect(others.flatMap(({ lines }) => lines)).toEqual([]);
  });
});

describe('a term', () => {
  test('is the only one, and one after the other has a higher epoch', async () => {
    const fleet = newFleet();
    const [one, other] = [election(fleet), election(fleet)];
    let epoch = 0;
    for (let i = 0; i < 5; i++) {
      const term = await nextTerm(one);
      expect(await other.attempt(never)).toBeUndefined();
      expect(term.epoch).toBeGreaterThan(epoch);
      epoch = term.epoch;
      await term.resign();
      expect(term.stillHeld()).toBe(false);
      expect(term.lost.aborted).toBe(true);
    }
    expect(await election(newFleet()).attempt(never)).toBeDefined();
  });

  test('ends at once when the server ends its session', async () => {
    const fleet = newFleet();
    const term = await elected(election(fleet));
    await postgres.client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sortition election'`,
    );
    await until('it is lost', () => term.lost.aborted, LEASE_MS / 2);
    expect(term.stillHeld()).toBe(false);
    expect(await election(fleet).attempt(never)).toBeDefined();
  });

  test.each(['both', 'toServer', 'toClient'] as const)(
    'ends by its own clock before the server gives the lock away, when the network swallows %s',
    async direction => {
      const proxy = await TcpFaultProxy.open({ host: '127.0.0.1', port: postgres.port });
      ends.push(() => proxy.close());
      const fleet = newFleet();
      const term = await elected(election(fleet, postgres.url({ port: proxy.port })));
      let lostAtMs = Number.POSITIVE_INFINITY;
      term.lost.addEventListener('abort', () => {
        lostAtMs = monotonicMs();
      });
      proxy.swallow(direction);
      await nextTerm(election(fleet));
      expect(lostAtMs).toBeLessThan(monotonicMs());
    },
  );

  test('outlives its lease as long as the server answers', async () => {
    const term = await elected(election(newFleet()));
    const electedAtMs = monotonicMs();
    await until('three leases', () => monotonicMs() > electedAtMs + 3 * LEASE_MS);
    expect(term.stillHeld()).toBe(true);
  });
});

describe('an attempt', () => {
  test('through a pooler is refused with advice, and leaves no lock', async () => {
    const proxy = await TcpFaultProxy.open({ host: '127.0.0.1', port: postgres.port });
    ends.push(() => proxy.close());
    proxy.transform('toClient', withAnotherProcessId);
    const fleet = newFleet();
    const attempt = election(fleet, postgres.url({ port: proxy.port })).attempt(never);
    await expect(attempt).rejects.toThrow(/pooler.*name the server itself/);
    expect(await election(fleet).attempt(never)).toBeDefined();
  });

  test('at a server that is away fails, and works when it is there', async () => {
    const proxy = await TcpFaultProxy.open({ host: '127.0.0.1', port: postgres.port });
    ends.push(() => proxy.close());
    proxy.refuse();
    const candidate = election(newFleet(), postgres.url({ port: proxy.port }));
    await expect(candidate.attempt(never)).rejects.toThrow();
    proxy.mend();
    expect(await candidate.attempt(never)).toBeDefined();
  });

  test('after its session has ended in silence makes a new one', async () => {
    const fleet = newFleet();
    const term = await elected(election(fleet));
    const other = election(fleet);
    expect(await other.attempt(never)).toBeUndefined();
    const askedAtMs = monotonicMs();
    await until('the server has ended it', () => monotonicMs() > askedAtMs + 1.2 * LEASE_MS);
    expect(await other.attempt(never)).toBeUndefined();
    await term.resign();
    await nextTerm(other);
  });
});

describe('permits', () => {
  function permits(fleet: string): PostgresPermits {
    const server = async () => ({ connectionString: postgres.connectionString, timeoutMs: 1_000 });
    return new PostgresPermits({ server, fleet, count: 2, clock: systemClock, random: Math.random });
  }

  async function sessionCount(): Promise<number> {
    const { rows } = await postgres.client.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'sortition election'`,
    );
    return rows[0]!.count;
  }

  test('are held by so many at a time, and everybody comes to have one', async () => {
    const fleet = newFleet();
    let held = 0;
    let most = 0;
    const work = async () => {
      const giveBack = await permits(fleet).acquire(never);
      most = Math.max(most, ++held);
      await new Promise(resolve => setTimeout(resolve, 30));
      held--;
      await giveBack();
    };
    await Promise.all(Array.from({ length: 8 }, work));
    expect(most).toBe(2);
  });

  test('are waited for without a session, and the wait ends with its signal', async () => {
    const fleet = newFleet();
    const holders = [await permits(fleet).acquire(never), await permits(fleet).acquire(never)];
    const stop = new AbortController();
    const waiting = Array.from({ length: 5 }, () => permits(fleet).acquire(stop.signal));
    const results = Promise.allSettled(waiting);
    // Whoever looks whether there is one has a session for a moment.
    for (let i = 0; i < 60; i++) expect(await sessionCount()).toBeGreaterThanOrEqual(2);
    await until('only those who hold one have a session', async () => (await sessionCount()) === 2);
    stop.abort();
    expect((await results).map(({ status }) => status)).toEqual(waiting.map(() => 'rejected'));
    for (const giveBack of holders) await giveBack();
    await expect.poll(sessionCount).toBe(0);
  });

  test('come back from a process that is killed', async () => {
    const fleet = newFleet();
    const holders = [await permits(fleet).acquire(never), await permits(fleet).acquire(never)];
    ends.push(...holders);
    const waiting = permits(fleet).acquire(never);
    await postgres.client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'sortition election' ORDER BY backend_start LIMIT 1`,
    );
    ends.push(await waiting);
  });
});

/** A pooler tells its clients of sessions of its own: message `K`, 4 bytes of length, 4 of process id. */
function withAnotherProcessId(): Transform {
  const begin = Buffer.from([0x4b, 0, 0, 0, 12]);
  return chunk => {
    const at = chunk.indexOf(begin);
    if (at >= 0) chunk.writeInt32BE(chunk.readInt32BE(at + 5) + 1, at + 5);
    return chunk;
  };
}
