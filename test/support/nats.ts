/**
 * A real NATS server with JetStream for a test file or a bench: on a free loopback port, in a folder of its
 * own. The guard of the demo's Postgres owns it, so that nothing is left behind, however we end. A server
 * that happens to run on the machine is never used.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort, LOOPBACK } from '../../src/server/demo/free-port.ts';
import { guardServer, type ServerGuard } from '../../src/server/demo/server-guard.ts';
import { aptGet, findProgram, mayInstall } from './server-program.ts';

export interface TestNats {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

export interface TestNatsOptions {
  readonly port?: number;
  /** Folder of the streams; one of the caller's own outlives the server. */
  readonly storeDirectory?: string;
  /** Lines of its configuration file beside those that are written here, such as `max_payload: 64KB`. */
  readonly settings?: readonly string[];
}

const START_TIMEOUT_MS = 20_000;
const READY_POLL_MS = 10;
/** A port that was free a moment ago can be taken by another process; then another one is tried. */
const START_ATTEMPTS_MAX = 3;
const UNPACK_TIMEOUT_MS = 60_000;

const PROGRAM = 'nats-server';
const PACKAGE = 'nats-server';
/** Where the unpacked program is kept for the next test file. */
const UNPACKED = join(tmpdir(), 'sortition-nats-server');

export async function startTestNats(options: TestNatsOptions = {}): Promise<TestNats> {
  const program = (await findProgram([PROGRAM], [join(UNPACKED, 'usr/sbin')])) ?? (await unpacked());
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(program, options);
    } catch (error) {
      const portTaken = error instanceof Error && /address already in use/.test(error.message);
      if (!portTaken || attempt === START_ATTEMPTS_MAX) throw error;
    }
  }
}

async function startOnce(program: string, options: TestNatsOptions): Promise<TestNats> {
  const directory = await mkdtemp(join(tmpdir(), 'sortition-nats-'));
  const port = options.port ?? (await freePort());
  const store = options.storeDirectory ?? join(directory, 'store');
  const pidFile = join(directory, 'pid');
  const configFile = join(directory, 'server.conf');
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' };
  const guard = guardServer({ directory, arguments: ['--config', configFile], user: undefined, env });
  try {
    const lines = [
      `listen: "${LOOPBACK}:${port}"`,
      `pid_file: "${pidFile}"`,
      `jetstream { store_dir: "${store}" }`,
      ...(options.settings ?? []),
    ];
    await writeFile(configFile, `${lines.join('\n')}\n`);
    guard.startServer(program);
    await untilReady(port, guard);
    guard.unref();
    const pid = Number((await readFile(pidFile, 'utf8')).trim());
    return { url: `nats://${LOOPBACK}:${port}`, host: LOOPBACK, port, pid, stop: () => guard.stop() };
  } catch (error) {
    await guard.stop();
    throw error;
  }
}

/**
 * The program out of its package, without installing it: an installed one comes with a service, which the
 * package starts.
 */
async function unpacked(): Promise<string> {
  const advice =
    'install NATS (Debian, Ubuntu: apt-get install nats-server; macOS: brew install nats-server)';
  const none = `there is no ${PROGRAM} on the PATH: ${advice}`;
  if (!mayInstall()) throw new Error(none);
  const directory = await mkdtemp(join(tmpdir(), 'sortition-nats-package-'));
  try {
    await aptGet(['download', PACKAGE], directory);
    const file = (await readdir(directory)).find(name => name.endsWith('.deb'));
    if (file === undefined) throw new Error('the download left no package');
    const content = join(directory, 'content');
    await mkdir(content);
    await promisify(execFile)('dpkg', ['-x', join(directory, file), content], { timeout: UNPACK_TIMEOUT_MS });
    // Another test file may have been faster; then its copy is as good.
    await rename(content, UNPACKED).catch(() => undefined);
  } catch (error) {
    throw new Error(`${none}; bringing it in failed`, { cause: error });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  const program = await findProgram([PROGRAM], [join(UNPACKED, 'usr/sbin')]);
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
    if (failure !== undefined) throw new Error(`NATS did not start: ${failure}`);
    if (await greets(port)) return;
    await delay(READY_POLL_MS);
  }
  throw new Error(`NATS was not ready within ${START_TIMEOUT_MS} ms`);
}

/** The server says who it is to whoever connects; its streams are there before it listens. */
function greets(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host: LOOPBACK, timeout: START_TIMEOUT_MS });
    const done = (ready: boolean) => {
      socket.destroy();
      resolve(ready);
    };
    socket.once('data', greeting => done(greeting.toString().startsWith('INFO')));
    socket.once('error', () => done(false));
    socket.once('timeout', () => done(false));
    socket.once('close', () => done(false));
  });
}
