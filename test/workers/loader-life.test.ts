/** The life of the loader thread: what it is started with, how it dies, and how it is ended. */
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { CONTROL_WORD } from '../../native-layout/control-block.ts';
import { openCache } from '../../src/workers/cache.ts';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import type { LoaderStatus } from '../../src/workers/messages.ts';
import { fileSource } from '../../src/workers/source/file-source.ts';
import { postgresSource } from '../../src/workers/source/postgres-source.ts';
import { CsvFile, vettedNodes } from '../support/csv-file.ts';
import { until } from '../support/until.ts';

const INDEX = pathToFileURL(join(import.meta.dirname, '../../src/index.ts')).href;
const POOL = pathToFileURL(join(import.meta.dirname, '../../src/workers/worker-pool.ts')).href;
const HOUR_MS = 3_600_000;

const caches: Cache[] = [];
const files: CsvFile[] = [];
const threads: Worker[] = [];
process.on('worker', worker => threads.push(worker));

afterEach(async () => {
  await Promise.all(caches.splice(0).map(cache => cache.close()));
  for (const file of files.splice(0)) file.remove();
});

function newFile(): CsvFile {
  const file = new CsvFile(vettedNodes(20));
  files.push(file);
  return file;
}

async function open(file: CsvFile, options: Partial<CacheOptions> = {}): Promise<Cache> {
  const cache = await openCache({
    source: fileSource(file.path),
    capacity: { nodes: 100, readers: 2 },
    refresh: { everyMs: HOUR_MS },
    ...options,
  });
  caches.push(cache);
  return cache;
}

/** Runs a program given as text, as `node -e` does, and returns what it prints. */
async function run(program: string): Promise<string> {
  const { path } = newFile();
  const opening = `import { openCache, fileSource } from '${INDEX}';
    const loaders = [];
    process.on('worker', worker => loaders.push(worker));
    const cache = await openCache({
      source: fileSource(process.argv[1]),
      capacity: { nodes: 100, readers: 3 },
      refresh: { everyMs: ${HOUR_MS} },
    });`;
  const args = ['--input-type=module', '-e', `${opening}\n${program}`, path];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
  return stdout;
}

describe('a program given on the command line', () => {
  test('opens a cache and selection workers', async () => {
    const program = `const { openSelectionPool } = await import('${POOL}');
      const pool = await openSelectionPool(cache, { threads: 1, queueMax: 10 });
      const [answer] = await pool.run('json', [{ count: 5 }]);
      console.log(cache.select({ count: 5 }).length, answer.found);
      await pool.close();
      await cache.close();`;
    expect(await run(program)).toBe('5 5\n');
  });
});

describe('a status listener', () => {
  test('that closes the cache when the loader has died leaves no loader behind', async () => {
    const program = `process.on('beforeExit', () => console.log(cache.status().state, loaders.length));
      cache.onStatus(status => { if (status.state === 'restarting') void cache.close(); });
      await loaders[0].terminate();`;
    expect(await run(program)).toBe('stopped 1\n');
  });

  test('that throws is heard of by the program, and keeps nothing from going on', async () => {
    const program = `const heard = new Set();
      process.on('uncaughtException', error => heard.add(error.message));
      cache.onStatus(() => { throw new Error('a bug in a listener'); });
      const recovered = new Promise(resolve => cache.onStatus(status => {
        if (status.lastLoad?.generation === 2) resolve();
      }));
      await loaders[0].terminate();
      await recovered;
      const { ok } = await cache.refresh();
      await cache.close();
      console.log(loaders.length, ok, cache.status().state, ...heard);`;
    expect(await run(program)).toBe('2 true stopped a bug in a listener\n');
  });
});

describe('a loader that has died', () => {
  test('shows as a failed refresh until a load succeeds, and failures count on from there', async () => {
    const file = newFile();
    const cache = await open(file, { refresh: { backoffFirstMs: 5, backoffLongestMs: 5, everyMs: HOUR_MS } });
    const states: LoaderStatus[] = [];
    cache.onStatus(status => states.push(status));
    file.takeAway();
    await threads.at(-1)!.terminate();
    await until('two loads have failed', () => (cache.status().lastError?.consecutive ?? 0) >= 3);
    file.write(vettedNodes(20));
    await until('it recovers', () => cache.status().lastLoad?.generation === 2);
    const failures = states.flatMap(({ lastError }) =>
      lastError === undefined ? [] : [`${lastError.consecutive} ${lastError.code}`],
    );
    expect([...new Set(failures)].slice(0, 3)).toEqual([
      '1 LOADER_LOST',
      '2 SOURCE_UNAVAILABLE',
      '3 SOURCE_UNAVAILABLE',
    ]);
    // From the death to the recovery no status is without an error.
    expect(states.findIndex(({ lastError }) => lastError === undefined)).toBe(states.length - 1);
    const { lastError, refreshes } = cache.status();
    expect(lastError).toBeUndefined();
    expect(refreshes.failed).toBe(new Set(failures).size);
  });

  test('of an assertion is lost, and its load is not called a failure of the source', async () => {
    const cache = await open(newFile());
    // The next generation is 0, which no snapshot may have.
    Atomics.store(new Int32Array(cache.handle().control), CONTROL_WORD.GENERATION, -1);
    expect(await cache.refresh()).toMatchObject({ ok: false, error: { code: 'LOADER_LOST' } });
    expect(cache.status()).toMatchObject({ state: 'restarting', restarts: 1 });
    Atomics.store(new Int32Array(cache.handle().control), CONTROL_WORD.GENERATION, 1);
    await until('a new loader has loaded', () => cache.generation() === 2);
  });
});

describe('close', () => {
  test('answers a refresh that waits with CACHE_CLOSED', async () => {
    const cache = await open(newFile());
    const waiting = cache.refresh();
    await cache.close();
    expect(await waiting).toMatchObject({ ok: false, error: { code: 'CACHE_CLOSED' } });
    expect(cache.status()).not.toHaveProperty('nextLoadInMs');
  });

  test('ends although the loader thread hangs in a system call', async () => {
    const file = newFile();
    const pipe = join(file.folder, 'root.crt');
    execFileSync('mkfifo', [pipe]);
    const connectionString = `postgres://u@127.0.0.1:1/d?sslmode=verify-full&sslrootcert=${pipe}`;
    const cache = await open(file, { source: postgresSource({ connectionString }), waitForFirstLoad: false });
    // The thread runs; what it does next is to connect.
    await new Promise(resolve => cache.onStatus(resolve));
    const thread = threads.at(-1)!;
    await cache.close();
    expect(cache.status().state).toBe('stopped');
    expect(thread.threadId).not.toBe(-1);
    const exited = once(thread, 'exit');
    // Lets go of the thread, so that the process of the test can end.
    closeSync(openSync(pipe, constants.O_RDWR));
    await exited;
  });
});

describe('the loader thread', () => {
  test('gets the user from the environment, as pg does', async () => {
    const startup = Promise.withResolvers<string>();
    const server = createServer(socket => {
      socket.on('error', () => undefined);
      socket.once('data', data => {
        startup.resolve(data.toString('latin1'));
        socket.destroy();
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const before = { USER: process.env.USER, PGUSER: process.env.PGUSER };
    process.env.USER = 'alice';
    delete process.env.PGUSER;
    try {
      const source = postgresSource({ connectionString: `postgres://127.0.0.1:${port}/d` });
      const cache = await open(newFile(), { source, waitForFirstLoad: false });
      expect(await startup.promise).toContain('user\0alice\0');
      expect(cache.status().source).toContain('as alice');
    } finally {
      server.close();
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  test('does not wait for a password file that is a pipe', async () => {
    const file = newFile();
    const passwordFile = join(file.folder, 'password');
    execFileSync('mkfifo', [passwordFile]);
    const source = postgresSource({ connectionString: 'postgres://u@127.0.0.1:1/d', passwordFile });
    const cache = await open(file, { source, waitForFirstLoad: false });
    expect(await cache.refresh()).toMatchObject({
      ok: false,
      error: { code: 'SOURCE_DENIED', message: expect.stringContaining('not a regular file') },
    });
  });
});
