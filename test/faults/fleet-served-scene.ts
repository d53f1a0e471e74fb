/**
 * A small fleet: replicas that may lead, in processes that check what they select themselves
 * (`test/support/fleet-scene.ts`), and a served process that follows them, with the steady load on it. Each
 * reaches the bus and the database by proxies of its own.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LOOPBACK } from '../../src/server/demo/free-port.ts';
import type { ServerStatus } from '../../src/server/server-status.ts';
import type { FleetStatus } from '../../src/workers/fleet/member.ts';
import type { Ways } from '../support/fleet-process.ts';
import { type BusKind, FLEET, FleetScene } from '../support/fleet-scene.ts';
import { RELAY_SOURCE } from '../support/relay-table.ts';
import { relayChurn, relayPopulation } from '../support/relays.ts';
import { TcpFaultProxy } from '../support/tcp-fault-proxy.ts';
import { until } from '../support/until.ts';
import { HttpLoad } from './http-load.ts';
import { ADMIN_TOKEN, ServedProcess } from './served/served-process.ts';

const RATE_PER_SECOND = 200;
const PICKS = 10;
const REPLICAS = 2;
const START_MS = 30_000;

export class FleetServedScene {
  readonly fleet: FleetScene;
  readonly kind: BusKind;
  readonly load: HttpLoad;
  readonly ways: Ways;
  readonly folder: string;
  #server: ServedProcess | undefined;

  private constructor(fleet: FleetScene, kind: BusKind, ways: Ways, folder: string) {
    this.fleet = fleet;
    this.kind = kind;
    this.ways = ways;
    this.folder = folder;
    const ids = new Set(relayPopulation().map(({ id }) => id));
    for (const { upsert } of relayChurn()) for (const [id] of upsert) ids.add(String(id));
    this.load = new HttpLoad({
      target: () => (this.#server?.hasEnded === false ? this.#server.url : undefined),
      ratePerSecond: RATE_PER_SECOND,
      count: PICKS,
      exists: ({ id }) => ids.has(id),
    });
  }

  static async start(kind: BusKind): Promise<FleetServedScene> {
    const fleet = await FleetScene.start(kind);
    const ways = {
      toBus: await TcpFaultProxy.open(() => fleet.bus.address),
      toPostgres: await TcpFaultProxy.open({ host: LOOPBACK, port: fleet.postgres.port }),
    };
    const folder = await mkdtemp(join(tmpdir(), 'sortition-fleet-faults-'));
    const scene = new FleetServedScene(fleet, kind, ways, folder);
    await fleet.addAll(REPLICAS);
    await scene.#serve();
    scene.load.start();
    return scene;
  }

  async stop(): Promise<void> {
    await this.load.stop();
    await this.#server?.stop();
    await this.ways.toBus.close();
    await this.ways.toPostgres.close();
    await this.fleet.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  get server(): ServedProcess {
    if (this.#server === undefined) throw new Error('there is no server');
    return this.#server;
  }

  status(): Promise<ServerStatus> {
    return this.server.status();
  }

  async member(): Promise<FleetStatus> {
    const { fleet } = (await this.status()).loader;
    if (fleet === undefined) throw new Error('the server is in no fleet');
    return fleet;
  }

  async describe(): Promise<string> {
    const { loader, generation, ageMs } = await this.status();
    const replicas = this.fleet.replicas.map(({ name, fleet, hasEnded }) => ({ name, fleet, hasEnded }));
    return JSON.stringify({ generation, ageMs, loader, replicas });
  }

  /** All that live are in step with the table, and none has seen what it should not. */
  async prepare(): Promise<void> {
    while (this.fleet.living.length < REPLICAS) await this.fleet.add();
    if (this.#server === undefined || this.#server.hasEnded) await this.#serve();
    await this.converged(START_MS);
  }

  async reset(): Promise<void> {
    for (const { ways } of this.fleet.living) {
      ways.toBus.mend();
      ways.toPostgres.mend();
    }
    for (const replica of this.fleet.living) replica.resume();
    this.ways.toBus.mend();
    this.ways.toPostgres.mend();
    await this.#server?.kill();
    this.#server = undefined;
    this.load.forgetGenerations();
  }

  /** The replicas, and the served one. */
  async converged(timeoutMs?: number): Promise<void> {
    await this.fleet.converged(timeoutMs);
    await until('the served one is in step', () => this.isInStep(), timeoutMs);
  }

  async isInStep(): Promise<boolean> {
    // A loader that has just been started again is in none yet.
    const { fleet } = (await this.status()).loader;
    return fleet?.digest === (await this.fleet.digest()) && fleet.lost === undefined;
  }

  async #serve(): Promise<void> {
    const { toBus, toPostgres } = this.ways;
    const options = this.fleet.cacheOptions(this.ways, {});
    const { bus } = options.fleet!;
    const { url, kind, ...busOptions } = bus as { url: string; kind: BusKind } & Record<string, unknown>;
    const { table, columns, attributes, thresholds } = RELAY_SOURCE;
    const file = join(this.folder, 'config.json');
    const config = {
      source: {
        location: this.fleet.postgres.url({ port: toPostgres.port }),
        table,
        columns,
        attributes,
        thresholds,
      },
      fleet: { bus: url, busOptions, name: FLEET, mayLead: false },
      capacity: { nodes: options.capacity!.nodes },
      limits: { countMax: options.limits!.countMax, idsMax: options.limits!.idsMax },
      placements: options.placements,
      distinctAttributes: options.distinctAttributes,
      refresh: options.refresh,
    };
    if (toBus.port === 0 || kind !== this.kind) throw new Error('the bus is another');
    await writeFile(file, JSON.stringify(config));
    this.load.forgetGenerations();
    const server = await ServedProcess.start({
      cwd: this.folder,
      flags: {
        config: file,
        port: '0',
        'admin-port': '0',
        'admin-token': ADMIN_TOKEN,
        'http-threads': '1',
        'worker-pool-threads': '1',
        'http-event-loop-delay-max-ms': '0',
        'log-format': 'json',
      },
    });
    await server.ready();
    this.#server = server;
  }
}
