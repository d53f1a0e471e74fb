/**
 * What all measurements share: a real Postgres with the relays, probes and triggers, a session that only
 * listens, and a server of each bus. Commits are flushed, as in production.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeRow } from '../../src/engine/snapshot/node-row.ts';
import type { BusOptions } from '../../src/workers/bus/options.ts';
import { connectClient, type PostgresClient } from '../../src/workers/source/postgres/client.ts';
import { runTriggerScript, triggerScript } from '../../src/workers/source/postgres/triggers/install.ts';
import { startTestNats } from '../../test/support/nats.ts';
import { startTestPostgres, type TestPostgres } from '../../test/support/postgres.ts';
import { startTestRedis } from '../../test/support/redis.ts';
import { applyChurn, createRelayTable, RELAY_SOURCE } from '../../test/support/relay-table.ts';
import { RELAY_ATTRIBUTES, relayPopulation } from '../../test/support/relays.ts';
import { nowUs, within } from './clock.ts';
import { PROBE_COUNTRY, PROBES_MAX, probeId } from './probe-watch.ts';

export const BUS_KINDS = ['redis', 'nats', 'postgres'] as const;
export type BusKind = (typeof BUS_KINDS)[number];

/** Our own sessions, which do not count among the product's. */
export const OWN_NAME = 'sortition bench';

/** As a server comes, but for what is measured: nothing of the tests' haste; a log that can be counted. */
const SETTINGS = {
  fsync: undefined,
  synchronous_commit: undefined,
  full_page_writes: undefined,
  logging_collector: 'on',
  log_destination: 'jsonlog',
  log_filename: 'bench.log',
  max_connections: '100',
};

const NOTIFIED_TIMEOUT_MS = 10_000;
const INSTALL_TIMEOUT_MS = 20_000;

/** When a commit was sent, when it was answered, and when a session that only listens heard of it. */
export interface Commit {
  readonly sentUs: number;
  readonly returnedUs: number;
  readonly notifiedUs: number;
}

/** A server of a bus. */
export interface StageBus {
  readonly options: BusOptions;
  readonly host: string;
  readonly port: number;
  stop(): Promise<void>;
}

export class Stage {
  readonly postgres: TestPostgres;
  /** What is in the table, by id: statements that change nothing are known by it. */
  readonly table = new Map<string, NodeRow>();
  readonly writer: PostgresClient;
  readonly #listener: PostgresClient;
  #onNotified: ((us: number) => void) | undefined;
  #fleetCount = 0;

  private constructor(postgres: TestPostgres, writer: PostgresClient, listener: PostgresClient) {
    this.postgres = postgres;
    this.writer = writer;
    this.#listener = listener;
    for (const row of [...relayPopulation(), ...probeRows()]) this.table.set(String(row.id), row);
    listener.on('notification', () => {
      this.#onNotified?.(nowUs());
      this.#onNotified = undefined;
    });
  }

  static async open(): Promise<Stage> {
    const postgres = await startTestPostgres(SETTINGS);
    try {
      await createRelayTable(postgres.client);
      await applyChurn(postgres.client, { gone: [], rows: probeRows() });
      const channel = await installTriggers(postgres.connectionString);
      const [writer, listener] = await Promise.all([
        connectClient(postgres.connectionString, OWN_NAME),
        connectClient(postgres.connectionString, OWN_NAME),
      ]);
      await listener.query(`LISTEN "${channel}"`);
      return new Stage(postgres, writer, listener);
    } catch (error) {
      await postgres.stop();
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.writer.end(), this.#listener.end()]);
    await this.postgres.stop();
  }

  /** Of a fleet that nobody has had before. */
  fleetName(): string {
    return `fresh${++this.#fleetCount}`;
  }

  async startBus(kind: BusKind): Promise<StageBus> {
    if (kind === 'postgres') {
      const { connectionString: url, port } = this.postgres;
      return { options: { kind, url }, host: new URL(url).hostname, port, stop: () => Promise.resolve() };
    }
    const server = await (kind === 'redis' ? startTestRedis() : startTestNats());
    const { url, host, port } = server;
    return { options: { kind, url }, host, port, stop: () => server.stop() };
  }

  /** Takes a probe out, in a transaction of its own. */
  async disqualify(number: number): Promise<Commit> {
    const id = Buffer.from(probeId(number), 'hex');
    await this.writer.query('BEGIN');
    await this.writer.query('UPDATE relays SET disqualified = now() WHERE id = $1', [id]);
    const notified = new Promise<number>(resolve => {
      this.#onNotified = resolve;
    });
    const sentUs = nowUs();
    await this.writer.query('COMMIT');
    const returnedUs = nowUs();
    const notifiedUs = await within(notified, NOTIFIED_TIMEOUT_MS, 'a bare session hears of a commit');
    return { sentUs, returnedUs, notifiedUs };
  }

  /** Takes all probes back. */
  async restoreProbes(): Promise<void> {
    await this.writer.query('UPDATE relays SET disqualified = NULL WHERE disqualified IS NOT NULL');
  }

  /** What a statement changes, and nothing else: the others are not notified, and are not counted. */
  async apply(gone: readonly string[], rows: readonly NodeRow[]): Promise<Changed> {
    const changed: Changed = {
      gone: gone.filter(id => this.table.delete(id)),
      rows: rows.filter(row => JSON.stringify(this.table.get(String(row.id))) !== JSON.stringify(row)),
    };
    for (const row of changed.rows) this.table.set(String(row.id), row);
    await applyChurn(this.writer, { gone, rows });
    return changed;
  }
}

export interface Changed {
  readonly gone: readonly string[];
  readonly rows: readonly NodeRow[];
}

/** Between two events, at random. */
export function randomPause(msMin: number, msMax: number): Promise<void> {
  return delay(msMin + (msMax - msMin) * Math.random());
}

/** All vetted, each in a network of its own that no relay is in. */
function probeRows(): NodeRow[] {
  return Array.from({ length: PROBES_MAX }, (_, number) => ({
    id: probeId(number),
    ip: `25.1.${number}.1`,
    port: 28_967,
    vetted: true,
    attributes: [PROBE_COUNTRY, undefined],
  }));
}

/** Returns the channel. */
async function installTriggers(connectionString: string): Promise<string> {
  const source = { ...RELAY_SOURCE, kind: 'postgres', connectionString } as const;
  const signal = AbortSignal.timeout(INSTALL_TIMEOUT_MS);
  const request = { attributes: RELAY_ATTRIBUTES, remove: false, signal };
  const script = await triggerScript(source, request);
  await runTriggerScript(source, request, script);
  return script.channel;
}
