/** Servers in a fleet, as operators see them: route, command, metrics, admin routes, configuration. */
import { execFile, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConfigKeyName } from '../../src/server/config/table.ts';
import { loadConfig } from '../../src/server/config.ts';
import { freePort } from '../../src/server/demo/free-port.ts';
import type { FleetDocument } from '../../src/server/routes/fleet.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { startTestRedis, type TestRedis } from '../support/redis.ts';
import { stopProcess } from '../support/stop-process.ts';
import { until } from '../support/until.ts';
import { loneVettedIds } from './support/nodes.ts';
import {
  ADMIN_TOKEN,
  call,
  JSON_BODY,
  type SelectionAnswer,
  startTestServer,
  type TestServer,
} from './support/server.ts';

const MAIN = resolve(import.meta.dirname, '../../src/server/main.ts');

/** Clears a terminal, and says something else there. */
const EVIL = '\x1b[2J\x9b2Jall is well\u202e';
const ANSWER_MS_MAX = 4_000;

let postgres: TestPostgres;
let redis: TestRedis;
let leader: TestServer;
let follower: TestServer;

beforeAll(async () => {
  // Set up badly on purpose: keys may be evicted.
  const badly = { maxmemory: '100mb', 'maxmemory-policy': 'allkeys-lru' };
  [postgres, redis] = await Promise.all([startTestPostgres(), startTestRedis(badly)]);
  const flags = {
    'fleet.bus': redis.url,
    'fleet.electionUrl': postgres.connectionString,
    'fleet.name': 'eu',
    // A machine that stands still for a second or two takes no term from the leader.
    'fleet.leaseMs': '10000',
  };
  leader = await startTestServer(flags);
  const own = { 'fleet.mayLead': 'false', 'fleet.address': EVIL, httpThreads: '2' };
  follower = await startTestServer({ ...flags, ...own });
});
afterAll(async () => {
  await Promise.all([leader, follower].map(server => server?.close()));
  await Promise.all([postgres?.stop(), redis?.stop()]);
});

const fleetOf = async (server: TestServer) => (await server.call('/v1/fleet')).json<FleetDocument>();

function admin(server: TestServer, path: string, body: unknown) {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, ...JSON_BODY };
  return call(server.adminUrl!, path, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function command(...args: string[]): Promise<{ code: number; stdout: string }> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args]);
    return { code: 0, stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, stdout };
  }
}

describe('two servers of a fleet', () => {
  test('show each other, on any server and thread, with role, content and age', async () => {
    await until('both are in step and known', async () => {
      const { replicas } = await fleetOf(follower);
      return replicas.length === 2 && replicas.every(other => other.problem === undefined && !other.lost);
    });
    for (const [server, role] of [
      [leader, 'leader'],
      [follower, 'follower'],
    ] as const) {
      const fleet = await fleetOf(server);
      expect(fleet).toMatchObject({ name: 'eu', role, bus: expect.stringContaining('redis') });
      const own = fleet.replicas.find(({ self }) => self);
      expect(own).toMatchObject({ role, pid: process.pid, layout: 3 });
    }
    const [a, b] = (await fleetOf(leader)).replicas;
    expect(a).toMatchObject({ digest: (b as { digest: string }).digest });
  });

  test('are a table for people and a document for scripts', async () => {
    const shown = await command('fleet', '--url', follower.url);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/fleet eu over redis/);
    expect(shown.stdout).toMatch(/leader .* in step/);
    expect(shown.stdout).toMatch(/\(this one\) .*follower/);
    const { stdout } = await command('fleet', '--url', leader.url, '--json');
    expect((JSON.parse(stdout) as FleetDocument).replicas).toHaveLength(2);
  });

  test('cannot say in a heartbeat what a terminal would obey', async () => {
    for (const flags of [[], ['--json']]) {
      const { stdout } = await command('fleet', '--url', leader.url, ...flags);
      expect(stdout).toContain('all is well');
      expect(stdout).not.toMatch(/[^\P{Cc}\n]/u);
    }
  });

  test('say what is wrong with the setup of the bus, to people and in the metrics', async () => {
    await until('it has been asked', async () => (await fleetOf(follower)).problems.length > 0);
    const { problems } = await fleetOf(follower);
    expect(problems).toContainEqual({ about: 'bus setup', detail: expect.stringMatching(/allkeys-lru/) });
    expect((await command('fleet', '--url', follower.url)).stdout).toMatch(/bus setup: .*allkeys-lru/);
    const text = (await follower.call('/metrics')).bytes.toString();
    expect(text).toContain('sortition_fleet_problem{about="bus setup"} 1');
    expect(text).toContain('sortition_fleet_problem{about="bus"} 0');
  });

  test('grow older between two events, too', async () => {
    interface Status {
      readonly ageMs: number;
      readonly loader: { readonly fleet: { readonly ageMs: number } };
    }
    let before = Number.POSITIVE_INFINITY;
    await until('an age has been seen to grow', async () => {
      const { ageMs, loader } = (await follower.call('/v1/status')).json<Status>();
      expect(Math.abs(loader.fleet.ageMs - ageMs)).toBeLessThan(250);
      const hasGrown = ageMs > before + 300;
      before = Math.min(before, ageMs);
      return hasGrown;
    });
  });

  test('are in the metrics and the status', async () => {
    const text = (await follower.call('/metrics')).bytes.toString();
    expect(text).toContain('sortition_fleet_leader 0');
    expect(text).toContain('sortition_fleet_in_step 1');
    expect(text).toContain('sortition_fleet_snapshots_total 1');
    expect((await leader.call('/metrics')).bytes.toString()).toContain('sortition_fleet_leader 1');
    const status = (await follower.call('/v1/status')).json<{ loader: { state: string }; nodes: unknown }>();
    expect(status.loader.state).toBe('following');
    expect(status.nodes).toEqual((await leader.call('/v1/status')).json<{ nodes: unknown }>().nodes);
  });

  test('load where the leader is, and say so elsewhere', async () => {
    const refused = await admin(follower, '/v1/admin/refresh', {});
    expect(refused.status).toBe(409);
    expect(refused.json()).toMatchObject({ code: 'NOT_LEADER' });
    expect((await admin(leader, '/v1/admin/refresh', {})).status).toBe(200);
  });

  test('lose a node on both when it is revoked on either', async () => {
    const ids = async (server: TestServer) =>
      (await server.call('/v1/selection?count=1000&partial=true'))
        .json<SelectionAnswer>()
        .nodes.map(({ id }) => id);
    const [first, second] = loneVettedIds();
    await admin(follower, '/v1/admin/revoke', { ids: [first] });
    expect(await ids(follower)).not.toContain(first);
    await until('the leader has left it out', async () => !(await ids(leader)).includes(first!));
    await admin(leader, '/v1/admin/revoke', { ids: [second] });
    await until('the follower has left it out', async () => !(await ids(follower)).includes(second!));
    await admin(leader, '/v1/admin/restore', { ids: [first, second] });
    await until('both are back on both', async () => {
      const found = [...(await ids(leader)), ...(await ids(follower))];
      return found.filter(id => id === first || id === second).length === 4;
    });
  });
});

test('a bus that does not answer is said, soon, with what is known', async () => {
  await stopProcess(redis.pid);
  try {
    const startedMs = performance.now();
    const { problem, role, replicas } = await fleetOf(follower);
    expect(performance.now() - startedMs).toBeLessThan(ANSWER_MS_MAX);
    expect({ role, replicas }).toEqual({ role: 'follower', replicas: [] });
    expect(problem).toMatch(/did not come within/);
    const page = (await follower.call('/')).bytes.toString();
    expect(page).toMatch(/<td>yes[\s\S]*<p>the bus cannot be asked: /);
  } finally {
    process.kill(redis.pid, 'SIGCONT');
  }
  await until('it answers again', async () => (await fleetOf(follower)).problem === undefined);
});

test('whoever watches a fleet goes on when nobody answers', async () => {
  const port = await freePort();
  const watching = spawn(process.execPath, [
    MAIN,
    'fleet',
    '--watch',
    '--json',
    '--url',
    `http://127.0.0.1:${port}`,
  ]);
  let said = '';
  watching.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until('it has asked twice', () => said.split('\n').length > 2);
  expect(JSON.parse(said.split('\n')[0]!)).toEqual({ problem: expect.stringMatching(/no answer/) });
  watching.kill();
});

test('keys of a fleet without a bus are refused by their names', () => {
  const load = (key: ConfigKeyName, value: string) =>
    loadConfig({
      environment: {},
      flags: new Map<ConfigKeyName, string>([
        ['source.location', 'nodes.csv'],
        [key, value],
      ]),
    });
  expect(() => load('fleet.name', 'eu')).toThrow(/fleet\.name: has no effect without fleet\.bus/);
  expect(() => load('fleet.mayLead', 'false')).toThrow(/fleet\.mayLead/);
  expect(load('fleet.bus', 'redis://localhost').values['fleet.name']).toBe('sortition');
});

test('a server that loads for itself says that it is in no fleet', async () => {
  const alone = await startTestServer();
  expect((await alone.call('/v1/fleet')).json()).toMatchObject({ status: 404, code: 'NO_FLEET' });
  expect((await command('fleet', '--url', alone.url)).code).toBe(1);
  await alone.close();
});

test('the configuration of a bus is checked before anything starts, and shows no password', () => {
  const load = (bus: string) =>
    loadConfig({
      environment: {},
      flags: new Map([
        ['source.location', 'nodes.csv'],
        ['fleet.bus', bus],
      ] as const),
    });
  expect(() => load('kafka://u:secret@broker')).toThrow(
    /redis:.*rediss:.*nats:.*tls:.*postgres:.*postgresql:/,
  );
  expect(() => load('kafka://u:secret@broker')).not.toThrow(/secret/);
});
