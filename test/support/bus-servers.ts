/** A server of each engine for the suite of buses. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats, headers } from '@nats-io/transport-node';
import { createClient } from 'redis';
import { startEmbeddedPostgres } from '../../src/server/demo/embedded-postgres.ts';
import { type BusOptions, openBus } from '../../src/workers/bus/open-bus.ts';
import { connectClient, type PostgresClient } from '../../src/workers/source/postgres/client.ts';
import type { BusPart, BusServer, BusSubject } from './bus-subject.ts';
import { startTestNats } from './nats.ts';
import { startTestRedis } from './redis.ts';
import { stopProcess } from './stop-process.ts';
import type { ProxyTarget } from './tcp-fault-proxy.ts';

export interface ServedBus extends BusSubject {
  readonly server: BusServer & { stop(): Promise<void> };
}

/** A server that keeps its data in a folder of ours, so that another one can take over. */
interface Running extends ProxyTarget {
  readonly pid: number;
  stop(): Promise<void>;
}

class FolderServer {
  readonly #start: (directory: string) => Promise<Running>;
  #directory: string;
  #running: Running;

  private constructor(start: (directory: string) => Promise<Running>, directory: string, running: Running) {
    this.#start = start;
    this.#directory = directory;
    this.#running = running;
  }

  static async start(start: (directory: string) => Promise<Running>): Promise<FolderServer> {
    const directory = await newDirectory();
    return new FolderServer(start, directory, await start(directory));
  }

  get address(): ProxyTarget {
    const { host, port } = this.#running;
    return { host, port };
  }

  get url(): string {
    return `${this.#running.host}:${this.#running.port}`;
  }

  async restart(): Promise<void> {
    await this.#running.stop();
    this.#running = await this.#start(this.#directory);
  }

  async wipe(): Promise<void> {
    await this.stop();
    this.#directory = await newDirectory();
    this.#running = await this.#start(this.#directory);
  }

  async freeze(): Promise<void> {
    await stopProcess(this.#running.pid);
  }

  async thaw(): Promise<void> {
    process.kill(this.#running.pid, 'SIGCONT');
  }

  async stop(): Promise<void> {
    await this.#running.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function newDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'sortition-bus-'));
}

const host = (part: BusPart, server: ProxyTarget) =>
  `${(part.at ?? server).host}:${(part.at ?? server).port}`;

function times({ timeoutMs, pingEveryMs }: BusPart) {
  return {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(pingEveryMs === undefined ? {} : { pingEveryMs }),
  };
}

export async function startRedisBus(): Promise<ServedBus> {
  const server = await FolderServer.start(dir => startTestRedis({ dir, appendonly: 'yes' }));
  const options = (part: BusPart): BusOptions => ({
    kind: 'redis',
    url: `redis://${host(part, server.address)}`,
    prefix: part.fleet,
    ...times(part),
  });
  return {
    open: part => openBus(options(part)),
    server: Object.assign(server, {
      options,
      async damage(fleet: string, blob: string, piece: string, bytes: Uint8Array | undefined) {
        const client = await createClient({ url: `redis://${server.url}` }).connect();
        const key = `{${fleet}}:blob:${blob}:${piece}`;
        if (bytes === undefined) await client.del(key);
        else await client.set(key, Buffer.from(bytes));
        client.destroy();
      },
    }),
  };
}

const keptLong = headers();
keptLong.set('Sortition-Expires-Ms', '600000');

export async function startNatsBus(): Promise<ServedBus> {
  const server = await FolderServer.start(storeDirectory => startTestNats({ storeDirectory }));
  const options = (part: BusPart): BusOptions => ({
    kind: 'nats',
    url: `nats://${host(part, server.address)}`,
    prefix: part.fleet,
    ...times(part),
  });
  return {
    open: part => openBus(options(part)),
    server: Object.assign(server, {
      options,
      async damage(fleet: string, blob: string, piece: string, bytes: Uint8Array | undefined) {
        const connection = await connectNats({ servers: server.url });
        const manager = await jetstreamManager(connection);
        const subject = `${fleet}.blob.${Buffer.from(blob).toString('base64url')}.${piece}`;
        if (bytes === undefined) await manager.streams.purge(`${fleet}-blobs`, { filter: subject });
        else await manager.jetstream().publish(subject, bytes, { headers: keptLong });
        await connection.close();
      },
    }),
  };
}

/** What `ask` gets of a connection of its own. */
export async function askedOnce<T>(url: string, ask: (client: PostgresClient) => Promise<T>): Promise<T> {
  const client = await connectClient(url, 'sortition test');
  try {
    return await ask(client);
  } finally {
    await client.end();
  }
}

export async function startPostgresBus(): Promise<ServedBus> {
  // A crash must not take back what was committed.
  const postgres = await startEmbeddedPostgres({ settings: { synchronous_commit: 'on' } });
  const { host: at, port, connectionString } = postgres;
  const url = (part: BusPart) => {
    const { href } = new URL(connectionString);
    return href.replace(`${at}:${port}`, host(part, postgres));
  };
  const asked = <T>(ask: (client: PostgresClient) => Promise<T>) => askedOnce(connectionString, ask);
  const options = (part: BusPart): BusOptions => ({
    kind: 'postgres',
    url: url(part),
    schema: part.fleet,
    ...times(part),
  });
  return {
    open: part => openBus(options(part)),
    server: {
      options,
      address: { host: at, port },
      restart: () => asked(client => crash(client, connectionString)),
      wipe: fleet => asked(async client => void (await client.query(`drop schema "${fleet}" cascade`))),
      freeze: () => eachProcess(postgres.directory, stopProcess),
      thaw: () => eachProcess(postgres.directory, pid => void process.kill(pid, 'SIGCONT')),
      damage: (fleet, blob, piece, bytes) =>
        asked(async client => {
          const where = `where blob = $1 and piece = $2`;
          if (bytes === undefined) {
            await client.query(`delete from "${fleet}".bus_blobs ${where}`, [blob, piece]);
          } else {
            const set = `update "${fleet}".bus_blobs set bytes = $3 ${where}`;
            await client.query(set, [blob, piece, Buffer.from(bytes)]);
          }
        }),
      stop: () => postgres.stop(),
    },
  };
}

/** One session dies: the server ends all the others, recovers, and goes on with its data. */
async function crash(client: PostgresClient, connectionString: string): Promise<void> {
  const { rows } = await client.query('select pg_backend_pid() as pid');
  const gone = new Promise(resolve => client.once('end', resolve));
  process.kill(rows[0].pid as number, 'SIGKILL');
  await gone;
  for (;;) {
    const again = await connectClient(connectionString, 'sortition test').catch(() => undefined);
    if (again !== undefined) return await again.end();
  }
}

/** The server first, then all its sessions: each is a process, and a stopped server starts no session. */
async function eachProcess(directory: string, act: (pid: number) => Promise<void> | void): Promise<void> {
  const text = await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8');
  const server = Number(text.split('\n', 1)[0]);
  await act(server);
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=']);
  const processes = stdout
    .trim()
    .split('\n')
    .map(line => line.trim().split(/\s+/).map(Number));
  for (const [pid, parent] of processes) if (parent === server) await act(pid!);
}
