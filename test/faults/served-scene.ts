/**
 * One served process as it is in life: `sortition serve` over a table with triggers in a real Postgres,
 * which it reaches through a proxy, with a snapshot file and an admin listener; and the steady load on it.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, LOOPBACK } from '../../src/server/demo/free-port.ts';
import { seedNodes } from '../../src/server/demo/nodes-table.ts';
import { population } from '../../src/server/demo/population.ts';
import type { ServerStatus } from '../../src/server/server-status.ts';
import { connectClient, type PostgresClient } from '../../src/workers/source/postgres/client.ts';
import { runTriggerScript, triggerScript } from '../../src/workers/source/postgres/triggers/install.ts';
import { postgresSource } from '../../src/workers/source/postgres-source.ts';
import { startTestPostgres, type TestPostgres } from '../support/postgres.ts';
import { TcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import { type AnsweredNode, HttpLoad, PHASES } from './http-load.ts';
import { ADMIN_TOKEN, ServedProcess, type ServeFlags, type ServeOptions } from './served/served-process.ts';

export const NODES = 2_000;
export const CAPACITY_NODES = 8_000;
export const PICKS = 10;
const RATE_PER_SECOND = 300;

/**
 * Small times, so that what they limit happens while a fault lasts; and nothing is refused for a busy
 * machine.
 */
const FLAGS: ServeFlags = {
  'admin-port': '0',
  'admin-token': ADMIN_TOKEN,
  'admin-failed-logins-max': '100000',
  'http-threads': '2',
  'worker-pool-threads': '1',
  'serve-from': 'prepared',
  'capacity-nodes': String(CAPACITY_NODES),
  'capacity-readers': '12',
  'refresh-every-ms': '300',
  'refresh-jitter-ratio': '0',
  'refresh-timeout-ms': '1500',
  'refresh-backoff-first-ms': '20',
  'refresh-backoff-longest-ms': '200',
  'source-connect-timeout-ms': '800',
  'source-statement-timeout-ms': '1000',
  'http-event-loop-delay-max-ms': '0',
  'http-headers-timeout-ms': '3000',
  'http-request-timeout-ms': '5000',
  'http-connections-checking-interval-ms': '100',
  'shutdown-drain-delay-ms': '300',
  'probes-address': `${LOOPBACK}:0`,
  'watchdog-stall-ms': '500',
  'watchdog-hung-ms': '3000',
  'log-level': 'info',
  'log-format': 'json',
};

interface AddressedRow {
  readonly id: string;
  readonly last_ip_port: string | null;
}

/** Rows of the table that can be chosen, as the thresholds say; for a while after the start. */
export const ELIGIBLE = `disqualified IS NULL AND exit_finished_at IS NULL AND exit_initiated_at IS NULL
  AND unknown_audit_suspended IS NULL AND offline_suspended IS NULL AND free_disk >= 5000000000 AND type = 2
  AND last_contact_success > now() - interval '3 hours'`;

export class ServedScene {
  readonly postgres: TestPostgres;
  readonly proxy: TcpFaultProxy;
  readonly folder: string;
  readonly load: HttpLoad;
  /** All nodes that there have ever been: id → address as the table had it at first. */
  readonly addresses = new Map<string, string>();
  /** Where the load goes; undefined while there is nowhere to go. */
  target: string | undefined;
  /** False while rows may be garbled on their way, and be rows all the same. */
  trustsRows = true;
  /** Nobody changes an address: then each node must come with its own, and a mix of two rows would show. */
  keepsAddresses = false;
  /** Chooses among several for each request, while it is set. */
  route: (() => string | undefined) | undefined;
  #server: ServedProcess | undefined;
  #port: number;
  #flags: ServeFlags = {};

  private constructor(postgres: TestPostgres, proxy: TcpFaultProxy, folder: string, port: number) {
    this.postgres = postgres;
    this.proxy = proxy;
    this.folder = folder;
    this.#port = port;
    this.load = new HttpLoad({
      target: () => this.#goesTo(),
      ratePerSecond: RATE_PER_SECOND,
      count: PICKS,
      exists: node => this.#isTrue(node),
    });
  }

  static async start(): Promise<ServedScene> {
    const postgres = await startTestPostgres();
    const proxy = await TcpFaultProxy.open({ host: LOOPBACK, port: postgres.port });
    const folder = await mkdtemp(join(tmpdir(), 'sortition-faults-'));
    const scene = new ServedScene(postgres, proxy, folder, await freePort());
    await scene.seed();
    scene.load.start();
    return scene;
  }

  async stop(): Promise<void> {
    this.target = undefined;
    await this.load.stop();
    await this.#server?.stop();
    await this.proxy.close();
    await this.postgres.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  get server(): ServedProcess {
    if (this.#server === undefined) throw new Error('there is no server');
    return this.#server;
  }

  get snapshotFile(): string {
    return join(this.folder, 'snapshot');
  }

  get url(): string {
    return `http://${LOOPBACK}:${this.#port}`;
  }

  /** The table as it was, with its triggers, whatever has become of it. */
  async seed(): Promise<void> {
    const { client } = this.postgres;
    await client.query('DROP TABLE IF EXISTS nodes, nodes_kept, nodes_of_old CASCADE');
    await seedNodes(client, population({ seed: 1, nowMs: Date.now(), count: NODES }));
    const source = postgresSource({ connectionString: this.postgres.connectionString });
    const request = { attributes: [], remove: false, signal: new AbortController().signal };
    await runTriggerScript(source, request, await triggerScript(source, request));
    await client.query('CREATE TABLE nodes_kept AS TABLE nodes');
    const { rows } = await client.query(`SELECT encode(id, 'hex') AS id, last_ip_port FROM nodes`);
    this.#learn(rows as AddressedRow[]);
  }

  #learn(rows: readonly AddressedRow[]): void {
    for (const { id, last_ip_port } of rows) this.addresses.set(id, last_ip_port ?? '');
  }

  /** A process that has ended takes no request, and nobody who knows that sends it one. */
  #goesTo(): string | undefined {
    if (this.route !== undefined) return this.route();
    return this.#server?.hasEnded === false ? this.target : undefined;
  }

  #isTrue({ id, ip, port }: AnsweredNode): boolean {
    const address = this.addresses.get(id);
    if (address === undefined) return !this.trustsRows;
    // An IPv6 address has several spellings.
    return !this.keepsAddresses || ip.includes(':') || address === `${ip}:${port}`;
  }

  /** All rows as they were at first, in one transaction. */
  async restoreRows(): Promise<void> {
    const { client } = this.postgres;
    await client.query('BEGIN');
    await client.query('DELETE FROM nodes');
    await client.query('INSERT INTO nodes SELECT * FROM nodes_kept');
    await client.query('COMMIT');
  }

  /** Adds so many rows, copies of others with ids of their own. They are nodes from now on. */
  async addRows(count: number): Promise<void> {
    const { client } = this.postgres;
    const salt = `\\x${Buffer.from(String(performance.now())).toString('hex')}`;
    await client.query('BEGIN');
    const { rows } = await client.query(
      `INSERT INTO nodes
       SELECT (jsonb_populate_record(kept, jsonb_build_object('id',
                 '\\x' || encode(sha256(kept.id || $1::bytea || round::text::bytea), 'hex')
               ))).*
         FROM generate_series(1, $2::int / 2000 + 1) AS round, nodes_kept AS kept
        LIMIT $2::int
       RETURNING encode(id, 'hex') AS id, last_ip_port`,
      [salt, count],
    );
    this.#learn(rows as AddressedRow[]);
    await client.query('COMMIT');
  }

  /** Has a load published whatever it drops. */
  async acceptLoad(): Promise<boolean> {
    const answer = await this.server.admin('/v1/admin/refresh', { acceptDrop: true });
    return answer.status === 200;
  }

  /** A server with these flags that is ready, and the load on it: the one that there is, where it fits. */
  async prepare(flags: ServeFlags = {}): Promise<void> {
    const same = JSON.stringify(flags) === JSON.stringify(this.#flags);
    if (!same || this.#server === undefined || this.#server.hasEnded) {
      await this.stopServer();
      await this.startServer(flags);
    }
    await this.server.ready();
    this.target = this.url;
  }

  /** What a server of this scene is started with. */
  serveOptions(flags: ServeFlags = {}): ServeOptions {
    return {
      cwd: this.folder,
      flags: {
        ...FLAGS,
        source: this.postgres.url({ port: this.proxy.port }),
        port: String(this.#port),
        'snapshot-file': this.snapshotFile,
        ...flags,
      },
    };
  }

  /** Starts it, and waits until it listens. */
  async startServer(flags: ServeFlags = this.#flags, options: Partial<ServeOptions> = {}): Promise<void> {
    this.#flags = flags;
    this.load.forgetGenerations();
    this.#server = await ServedProcess.start({ ...this.serveOptions(flags), ...options });
  }

  /** A server that was launched with the options of this scene is its server from now on. */
  async take(server: ServedProcess): Promise<void> {
    this.#flags = {};
    this.load.forgetGenerations();
    this.#server = server;
    await server.listening();
  }

  /** Another server with the same flags in its place, ready; nothing is asked meanwhile. */
  async restartServer(options: Partial<ServeOptions> = {}): Promise<void> {
    await this.stopServer();
    await this.startServer(this.#flags, options);
    await this.server.ready();
    this.target = this.url;
  }

  /** At once: how it ends in order is a fault of its own. */
  async stopServer(): Promise<void> {
    this.target = undefined;
    // Nothing that was asked may be lost by it.
    for (const phase of PHASES) await this.load.settled(phase);
    await this.#server?.kill();
    this.#server = undefined;
  }

  /** Everything from the beginning, after a fault that left who knows what. */
  async reset(): Promise<void> {
    this.target = undefined;
    this.route = undefined;
    this.trustsRows = true;
    this.proxy.mend();
    this.load.silentSince(undefined);
    if (this.#server !== undefined && !this.#server.hasEnded) await this.#server.kill();
    this.#server = undefined;
    await this.postgres.client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND datname = current_database()`,
    );
    await rm(this.snapshotFile, { recursive: true, force: true });
    await rm(`${this.snapshotFile}.previous`, { recursive: true, force: true });
    await this.seed();
  }

  /** Another session of the superuser, past the proxy. */
  connect(): Promise<PostgresClient> {
    return connectClient(this.postgres.connectionString, 'sortition fault');
  }

  /** The source is gone from one moment to the next. */
  loseSource(): void {
    this.proxy.refuse();
    this.proxy.cut();
    this.load.silentSince(performance.now());
  }

  async describe(): Promise<string> {
    const { generation, ageMs, nodes, loader, workerPool } = await this.status();
    return JSON.stringify({ generation, ageMs, nodes, loader, workerPool });
  }

  status(): Promise<ServerStatus> {
    return this.server.status();
  }

  /** Whole loads that the living loader has published and failed, over all its threads. */
  async refreshes(): Promise<{ readonly succeeded: number; readonly failed: number }> {
    return (await this.status()).loader.refreshes;
  }

  /** Says whether a load that began after this call has been published. */
  async loadedAgain(): Promise<() => Promise<boolean>> {
    const before = (await this.refreshes()).succeeded;
    // One may be under way.
    return async () => {
      const { loader } = await this.status();
      return loader.refreshes.succeeded >= before + 2 && loader.lastError === undefined;
    };
  }

  /** The living loader has written a file, and nothing has kept it from writing the last one. */
  async isPersisted(): Promise<boolean> {
    const { snapshotFile } = (await this.status()).loader;
    return snapshotFile?.generation !== undefined && snapshotFile.problem === undefined;
  }

  /** And there is one before it. */
  async hasTwoFiles(): Promise<boolean> {
    return (await this.isPersisted()) && existsSync(`${this.snapshotFile}.previous`);
  }

  /** Every load is good again. */
  async isWell(): Promise<boolean> {
    const { loader, ready } = await this.status();
    return ready && loader.lastError === undefined && loader.refreshes.succeeded > 0;
  }
}
