/**
 * A real Redis for a test file or a bench: on a free loopback port, without persistence unless it is told
 * otherwise, in a folder of its own. The guard of the demo's Postgres owns it, so that nothing is left
 * behind, however we end.
 */
import { mkdtemp, readFile, symlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort, LOOPBACK } from '../../src/server/demo/free-port.ts';
import { guardServer, type ServerGuard } from '../../src/server/demo/server-guard.ts';
import { aptGet, findProgram, mayInstall } from './server-program.ts';

export interface TestRedis {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

const START_TIMEOUT_MS = 20_000;
const READY_POLL_MS = 10;
/** A port that was free a moment ago can be taken by another process; then another one is tried. */
const START_ATTEMPTS_MAX = 3;

/**
 * Names under which the server's program goes. Debian's `redis-server` is a link to `redis-check-rdb`, which
 * is in `redis-tools` and looks at the name it is called by: so the tools are enough, and there is no
 * service.
 */
const PROGRAMS = ['redis-server', 'valkey-server', 'redis-check-rdb', 'valkey-check-rdb'];
const PACKAGE = 'redis-tools';

/**
 * `settings`: those of redis.conf, over the ones here, such as `maxmemory`; with a `dir` of the caller's own
 * and a `port` a server can be started again over what another one left.
 */
export async function startTestRedis(settings: Readonly<Record<string, string>> = {}): Promise<TestRedis> {
  const program = (await findProgram(PROGRAMS)) ?? (await installed());
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(program, settings);
    } catch (error) {
      const portTaken = error instanceof Error && /Address already in use/.test(error.message);
      if (!portTaken || attempt === START_ATTEMPTS_MAX) throw error;
    }
  }
}

async function startOnce(program: string, settings: Readonly<Record<string, string>>): Promise<TestRedis> {
  const directory = await mkdtemp(join(tmpdir(), 'sortition-redis-'));
  const port = settings.port === undefined ? await freePort() : Number(settings.port);
  const pidFile = join(directory, 'pid');
  const all = {
    bind: LOOPBACK,
    port: String(port),
    dir: directory,
    pidfile: pidFile,
    save: '',
    appendonly: 'no',
    ...settings,
  };
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' };
  const flags = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
  const guard = guardServer({ directory, arguments: flags, user: undefined, env });
  try {
    const link = join(directory, 'redis-server');
    await symlink(program, link);
    guard.startServer(link);
    await untilReady(port, guard);
    guard.unref();
    const pid = Number((await readFile(pidFile, 'utf8')).trim());
    return { url: `redis://${LOOPBACK}:${port}`, host: LOOPBACK, port, pid, stop: () => guard.stop() };
  } catch (error) {
    await guard.stop();
    throw error;
  }
}

/** Installs what is missing where that is possible without asking; else says what to install. */
async function installed(): Promise<string> {
  const advice = 'install Redis (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis)';
  const none = `there is no ${PROGRAMS[0]} on the PATH: ${advice}`;
  if (!mayInstall()) throw new Error(none);
  try {
    await aptGet(['install', '--no-install-recommends', PACKAGE]);
  } catch (error) {
    throw new Error(`${none}; installing it here failed`, { cause: error });
  }
  const program = await findProgram(PROGRAMS);
  if (program === undefined) throw new Error(none);
  return program;
}

async function untilReady(port: number, guard: ServerGuard): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  let failure: string | undefined;
  void guard.ended.then(said => {
    failure = said.trim() || 'it ended at once';
  });
  while (performance.now() < deadline) {
    if (failure !== undefined) throw new Error(`Redis did not start: ${failure}`);
    if (await answersPing(port)) return;
    await delay(READY_POLL_MS);
  }
  throw new Error(`Redis was not ready within ${START_TIMEOUT_MS} ms`);
}

function answersPing(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host: LOOPBACK, timeout: START_TIMEOUT_MS }, () =>
      socket.write('PING\r\n'),
    );
    const done = (ready: boolean) => {
      socket.destroy();
      resolve(ready);
    };
    // One that asks for a password first is ready too.
    socket.once('data', answer => done(/^(\+PONG|-NOAUTH)/.test(answer.toString())));
    socket.once('error', () => done(false));
    socket.once('timeout', () => done(false));
    socket.once('close', () => done(false));
  });
}
