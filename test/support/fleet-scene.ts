/**
 * A fleet as it is in life, for tests: the relay table in a real Postgres with triggers, a real engine as
 * bus, replicas in processes of their own, each of which reaches both by proxies of its own. A replica
 * that has seen what should never be seen (`ReplicaReport.faults`) fails whatever waits for the fleet to
 * converge.
 */

import { createHash } from 'node:crypto';
import { openCache } from '../../src/workers/cache.ts';
import type { CacheOptions } from '../../src/workers/cache-options.ts';
import type { Cache } from '../../src/workers/cache-types.ts';
import type { FleetOptions } from '../../src/workers/fleet-options.ts';
import { runTriggerScript, triggerScript } from '../../src/workers/source/postgres/triggers/install.ts';
import { type PostgresSourceOptions, postgresSource } from '../../src/workers/source/postgres-source.ts';
import { startNatsBus, startRedisBus } from './bus-servers.ts';
import type { BusServer } from './bus-subject.ts';
import { figure } from './figures.ts';
import { FleetProcess, type Launch, type Ways } from './fleet-process.ts';
import { startTestPostgres, type TestPostgres } from './postgres.ts';
import { applyChurn, churnOf, createRelayTable, RELAY_SOURCE } from './relay-table.ts';
import { type ChurnHour, relayChurn } from './relays.ts';
import { TcpFaultProxy } from './tcp-fault-proxy.ts';
import { until } from './until.ts';

/** The engine of a scene; that of a fleet without one is the database. */
export type SceneBus = Pick<BusServer, 'options' | 'address' | 'wipe'> &
  Partial<Pick<BusServer, 'restart' | 'freeze' | 'thaw'>> & { stop(): Promise<void> };

export const BUS_KINDS = ['redis', 'nats', 'postgres'] as const;
export type BusKind = (typeof BUS_KINDS)[number];

export const FLEET = 'relays';
/** After the end of a fault, every replica has the content of the table within it. */
export const CONVERGED_MS = 5_000;
/** For what has no limit of its own. */
const PATIENCE_MS = 30_000;
const MARK = 'UPDATE relays SET port = $1 WHERE id = (SELECT id FROM relays ORDER BY id LIMIT 1)';
/** So that a bus that does not answer is known soon. */
const BUS_TIMES = { timeoutMs: 1_000, pingEveryMs: 500 };

export interface SceneServers {
  readonly postgres?: TestPostgres;
  readonly bus?: SceneBus;
}

export interface ReplicaParts {
  readonly cache?: Partial<CacheOptions>;
  readonly fleet?: Partial<FleetOptions>;
  readonly probeId?: string;
  readonly launch?: Launch;
  /** Where it finds both servers: it goes there itself, not by its proxies. */
  readonly host?: string;
  /** Does something to its ways before it starts. */
  readonly before?: (ways: Ways) => void;
}

export class FleetScene {
  readonly postgres: TestPostgres;
  readonly bus: SceneBus;
  readonly replicas: FleetProcess[] = [];
  readonly #source: Cache;
  readonly #proxies: TcpFaultProxy[] = [];
  #hours: ChurnHour[] = [];
  #launchCount = 0;
  #churnCount = 0;

  private constructor(postgres: TestPostgres, bus: SceneBus, source: Cache) {
    this.postgres = postgres;
    this.bus = bus;
    this.#source = source;
  }

  /** `servers`: others than those on loopback. */
  static async start(kind: BusKind, servers: SceneServers = {}): Promise<FleetScene> {
    const postgres = servers.postgres ?? (await startTestPostgres());
    await createRelayTable(postgres.client);
    const source = {
      ...RELAY_SOURCE,
      kind: 'postgres',
      connectionString: postgres.connectionString,
    } as const;
    const request = { attributes: ['country', 'exit'], remove: false, signal: new AbortController().signal };
    await runTriggerScript(source, request, await triggerScript(source, request));
    const bus = servers.bus ?? (await startBus(kind, postgres));
    return new FleetScene(postgres, bus, await openCache(cacheOptions(postgres.connectionString)));
  }

  async stop(): Promise<void> {
    await this.leave();
    await this.#source.close();
    for (const proxy of this.#proxies.splice(0)) await proxy.close();
    await this.bus.stop();
    await this.postgres.stop();
  }

  /** All replicas end in order; the engine keeps what they have left there. */
  async leave(): Promise<void> {
    await Promise.all(this.replicas.splice(0).map(replica => replica.close()));
  }

  /** The table, for whoever reads it another way. */
  get source(): PostgresSourceOptions {
    return postgresSource({ connectionString: this.postgres.connectionString, ...RELAY_SOURCE });
  }

  /** Starts a replica; it need not have anything yet. */
  async add(parts: ReplicaParts = {}): Promise<FleetProcess> {
    const ways = {
      toBus: await this.#proxy(() => this.bus.address),
      toPostgres: await this.#proxy(() => ({ host: '127.0.0.1', port: this.postgres.port })),
    };
    parts.before?.(ways);
    const replica = FleetProcess.launch(`replica ${++this.#launchCount}`, ways, parts.launch);
    this.replicas.push(replica);
    const options = this.cacheOptions(ways, parts);
    await replica.open({
      cache: options,
      ...(parts.probeId === undefined ? {} : { probeId: parts.probeId }),
    });
    return replica;
  }

  /** Starts several, and waits until they are a fleet with the content of the table. */
  async addAll(count: number, parts: ReplicaParts = {}): Promise<readonly FleetProcess[]> {
    const added = await Promise.all(Array.from({ length: count }, () => this.add(parts)));
    await this.converged(PATIENCE_MS);
    return added;
  }

  cacheOptions({ toBus, toPostgres }: Ways, { cache, fleet, host }: ReplicaParts): CacheOptions {
    const busAt = host === undefined ? toBus : { host, port: this.bus.address.port };
    const bus = this.bus.options({ fleet: FLEET, at: busAt, ...BUS_TIMES });
    const postgresAt = host === undefined ? toPostgres : { host, port: this.postgres.port };
    const { host: name, port } = postgresAt;
    return {
      ...cacheOptions(this.postgres.url({ host: name, port }), cache),
      fleet: { name: FLEET, bus, ...fleet },
    };
  }

  get living(): readonly FleetProcess[] {
    return this.replicas.filter(({ hasEnded }) => !hasEnded);
  }

  get followers(): readonly FleetProcess[] {
    return this.living.filter(({ isLeader }) => !isLeader);
  }

  /** The one that says so, as soon as there is exactly one among `of`. */
  async leader(of: () => readonly FleetProcess[] = () => this.living): Promise<FleetProcess> {
    const leaders = () => of().filter(({ isLeader }) => isLeader);
    await this.#until('there is one leader', () => leaders().length === 1, PATIENCE_MS);
    return leaders()[0]!;
  }

  /** So many hours of churn. A content is never that of an hour before: it would not show who is behind. */
  async churn(hours = 1): Promise<void> {
    for (let i = 0; i < hours; i++) {
      if (this.#hours.length === 0) this.#hours = relayChurn();
      await applyChurn(this.postgres.client, churnOf(this.#hours.shift()!));
      await this.postgres.client.query(MARK, [++this.#churnCount]);
    }
  }

  /** Digest of the content of the table, by a load of its own. */
  async digest(): Promise<string> {
    const result = await this.#source.refresh();
    if (!result.ok) throw new Error(`the table cannot be read: ${result.error.message}`);
    return result.report.contentDigest;
  }

  /**
   * Waits until all of `of` serve the content of the table, and are in step; then looks whether they say the
   * same of every node, and whether one of them has ever seen what it should not.
   */
  async converged(timeoutMs = CONVERGED_MS, of: readonly FleetProcess[] = this.living): Promise<void> {
    const digest = await this.digest();
    const isThere = ({ fleet }: FleetProcess) => fleet?.digest === digest && fleet.lost === undefined;
    await this.#until(`all serve content ${digest}`, () => of.every(isThere), timeoutMs, of);
    const { rows } = await this.postgres.client.query(`SELECT encode(id, 'hex') AS id FROM relays`);
    const ids = (rows as { id: string }[]).map(({ id }) => id);
    const expected = createHash('sha256')
      .update(JSON.stringify(this.#source.lookup(ids).nodes))
      .digest('hex');
    for (const replica of of) {
      if ((await replica.ask('contents', { ids })) !== expected) throw new Error(`${replica.name} differs`);
      await sound(replica);
    }
    figure('G8', 'times that all replicas were brought to the content of the table', 1);
  }

  async #proxy(target: () => { host: string; port: number }): Promise<TcpFaultProxy> {
    const proxy = await TcpFaultProxy.open(target);
    this.#proxies.push(proxy);
    return proxy;
  }

  /** As `until`, and says how the replicas stand when it is too late. */
  async #until(what: string, condition: () => boolean, timeoutMs: number, of = this.living): Promise<void> {
    try {
      await until(what, condition, timeoutMs);
    } catch (cause) {
      const states = of.map(({ name, status, hasEnded }) => JSON.stringify({ name, hasEnded, status }));
      throw new Error([(cause as Error).message, ...states].join('\n'), { cause });
    }
  }
}

/** As `until`, with the patience that fleets need. */
export async function untilAsked(what: string, look: () => Promise<boolean>, timeoutMs = PATIENCE_MS) {
  await until(what, look, timeoutMs);
}

/** Throws when a replica has seen what should never be seen, or has selected nothing. */
export async function sound(replica: FleetProcess): Promise<void> {
  const { faults, selections, generation } = await replica.ask('report');
  if (faults.length > 0) throw new Error(`${replica.name}: ${faults.join('; ')}`);
  if (generation > 0 && selections === 0) throw new Error(`${replica.name} has selected nothing`);
}

function cacheOptions(connectionString: string, options: Partial<CacheOptions> = {}): CacheOptions {
  return {
    source: postgresSource({ connectionString, ...RELAY_SOURCE }),
    capacity: { nodes: 20_000 },
    limits: { countMax: 20_000, idsMax: 20_000 },
    placements: { exits: { filter: { flags: { exit: true } } } },
    distinctAttributes: ['country'],
    refresh: { everyMs: 3_600_000, backoffFirstMs: 20, backoffLongestMs: 200 },
    ...options,
  };
}

async function startBus(kind: BusKind, postgres: TestPostgres): Promise<SceneBus> {
  if (kind === 'redis') return (await startRedisBus()).server;
  if (kind === 'nats') return (await startNatsBus()).server;
  return {
    options: ({ fleet, at, ...times }) => ({
      kind: 'postgres',
      url: postgres.url(at === undefined ? {} : { port: at.port }),
      schema: fleet,
      ...times,
    }),
    address: { host: '127.0.0.1', port: postgres.port },
    wipe: async fleet => void (await postgres.client.query(`DROP SCHEMA "${fleet}" CASCADE`)),
    // It goes with the database.
    stop: async () => undefined,
  };
}
