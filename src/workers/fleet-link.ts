/**
 * The loader's place in its fleet: opens bus and election, runs the machines of `fleet/`, tells them what has
 * been published here, and says how the fleet stands. Loader thread.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { LAYOUT_VERSION } from '../../native-layout/snapshot-header.ts';
import { ID_BYTES } from '../../native-layout/snapshot-row.ts';
import { deltaBetween, diffSnapshots } from '../engine/delta/snapshot-diff.ts';
import { CacheError } from '../engine/errors.ts';
import { contentDigestOf } from '../engine/snapshot/content-digest.ts';
import type { Snapshot } from '../engine/snapshot/snapshot.ts';
import type { Bus } from './bus/bus.ts';
import { within } from './bus/deadline.ts';
import { openBus } from './bus/open-bus.ts';
import { firstLine } from './bus/secrets.ts';
import { sleep, systemClock } from './fleet/clock.ts';
import type { ElectionServer } from './fleet/election/election-session.ts';
import { PostgresElection } from './fleet/election/postgres-election.ts';
import { PostgresPermits } from './fleet/election/postgres-permits.ts';
import { FleetMember, type FleetStatus } from './fleet/member.ts';
import { FLEET_LIMITS, FLEET_TIMES, type FleetEvent } from './fleet/options.ts';
import { isBusError } from './fleet/replica-state.ts';
import { decodeBeat, type FleetBeat } from './fleet/wire/beat.ts';
import { isRefusal, Sealer } from './fleet/wire/seal.ts';
import type { ElectionOptions, FleetSettings } from './fleet-options.ts';
import { FleetStore, type LoaderErrands } from './fleet-store.ts';
import type { LoadContext, Published } from './load-cycle.ts';
import { packageVersion } from './package-version.ts';
import type { SourceOptions } from './source/open-source.ts';
import type { PostgresSourceOptions } from './source/postgres/options.ts';

/** A replica as its last heartbeat described it; or why that cannot be read. */
export type FleetReplica =
  | (Omit<FleetBeat, 'asks'> & { readonly problem?: undefined })
  | { readonly replica: string; readonly problem: string };

/** What keeps a replica from doing its part, or may do so one day. */
export interface FleetProblem {
  readonly about: 'bus' | 'bus setup' | 'source';
  readonly detail: string;
}

export interface ReplicaStatus extends FleetStatus {
  readonly problems: readonly FleetProblem[];
}

/** The fleet as this replica sees it. */
export interface FleetView {
  readonly replica: string;
  readonly name: string;
  readonly bus: string;
  readonly election: string;
  readonly status: ReplicaStatus;
  /** Absent when the bus cannot be asked; then `problem` says why. */
  readonly replicas?: readonly FleetReplica[];
  readonly problem?: string;
}

/** What the loader gives its place in the fleet. */
interface LinkParts {
  readonly context: LoadContext;
  readonly errands: LoaderErrands;
  readonly onEvent: (event: FleetEvent) => void;
  /** The status has gone on. */
  readonly onStatus?: () => void;
}

/** Of connecting to the election's server, and of each of its answers. */
const ELECTION_TIMEOUT_MS = 1_500;
const KEY_BYTES_MIN = 16;
/**
 * Of all heartbeats, when somebody wants to see the fleet: what is known is shown without them then. Shorter
 * than the default of `http.handlerTimeoutMs`, within which it is to be answered.
 */
const VIEW_TIMEOUT_MS = 700;
/** How the bus is set up is asked again after so long; sooner while it cannot be asked. */
const ADVICE_EVERY_MS = 600_000;
const ADVICE_AGAIN_MS = 10_000;
/** Status is told so often although nothing has happened: counters and positions go on. */
const STATUS_EVERY_MS = 1_000;
/** A silence of this part of the lease, and the leader may be gone: then replicas stand. */
const SILENCE_RATIO = 0.8;
const IDLE_RATIO = 0.5;

export class FleetLink {
  readonly #replica = randomUUID();
  readonly #settings: FleetSettings;
  readonly #context: LoadContext;
  readonly #bus: Bus;
  readonly #election: PostgresElection;
  readonly #sealer: Sealer;
  readonly #member: FleetMember;
  readonly #parts: LinkParts;
  #advice: readonly string[] = [];

  private constructor(
    parts: LinkParts & {
      readonly settings: FleetSettings;
      readonly bus: Bus;
      readonly sealer: Sealer;
      readonly server: () => Promise<ElectionServer>;
    },
  ) {
    const { settings, context, errands, bus, sealer, server, onEvent } = parts;
    this.#parts = parts;
    const { name, leaseMs, mayLead, address, loadsAtOnce, loadAfterMs } = settings;
    this.#settings = settings;
    this.#context = context;
    this.#bus = bus;
    this.#sealer = sealer;
    const common = { server, fleet: name, clock: systemClock };
    this.#election = new PostgresElection({ ...common, description: 'postgres', leaseMs });
    this.#member = new FleetMember({
      identity: {
        replica: this.#replica,
        host: hostname(),
        pid: process.pid,
        program: packageVersion(),
        layout: LAYOUT_VERSION,
        address,
      },
      bus,
      election: this.#election,
      permits: new PostgresPermits({ ...common, count: loadsAtOnce, random: Math.random }),
      store: new FleetStore(context, errands),
      sealer,
      clock: systemClock,
      random: Math.random,
      times: {
        ...FLEET_TIMES,
        loadAfterMs,
        idleEveryMs: IDLE_RATIO * leaseMs,
        silenceMs: SILENCE_RATIO * leaseMs,
      },
      limits: FLEET_LIMITS,
      mayLead,
      report: onEvent,
    });
  }

  /** Connects nothing yet. Throws CONFIG_INVALID. */
  static async open(settings: FleetSettings, source: SourceOptions, parts: LinkParts): Promise<FleetLink> {
    const server = electionServer(settings, source);
    const key = settings.keyFile === undefined ? undefined : await readKey(settings.keyFile);
    const sealer = new Sealer({ fleet: settings.name, key });
    return new FleetLink({ ...parts, settings, bus: await openBus(settings.bus), sealer, server });
  }

  /** Until `signal` aborts; then everything is closed. */
  async run(signal: AbortSignal): Promise<void> {
    const ticking = setInterval(() => this.#parts.onStatus?.(), STATUS_EVERY_MS);
    try {
      await Promise.all([this.#member.run(signal), this.#askAdvice(signal)]);
    } finally {
      clearInterval(ticking);
      await this.#election.close();
      await this.#bus.close();
    }
  }

  /** This process has published what it read of the source. */
  published({ before, after, read, fulfilled }: Published): void {
    if (this.#member.status().role !== 'leader') return;
    const to = contentDigestOf(after.views);
    const from = before === undefined ? undefined : contentDigestOf(before.views);
    if (from === to) {
      this.#member.confirmed();
    } else {
      const bytes = before === undefined ? undefined : this.#delta(before, after, read.changedIds);
      const readAtMs = after.readAtMonotonic;
      this.#member.changed({ from: from ?? to, to, bytes, readAtMs, askedAtMs: read.beganMs });
    }
    if (fulfilled.length > 0) this.#member.fulfilled(idsOf(fulfilled), to, read.beganMs);
  }

  /** The source has told of these nodes, 32 bytes each, and they are out of selections here. */
  takenOut(ids: Uint8Array): void {
    this.#member.takenOut(idsOf(ids));
  }

  /** What is held is still what the source has. */
  confirmed(): void {
    this.#member.confirmed();
  }

  /** Takes nodes out everywhere, as soon as the log can say so; 0 ms: no longer. Here they are already. */
  revoke(ids: Uint8Array, holdMs: number): void {
    this.#member.revoke(idsOf(ids).map(id => ({ id, holdMs })));
  }

  status(): ReplicaStatus {
    const status = this.#member.status();
    const { busFailure, loadFailure } = status;
    const problems: FleetProblem[] = this.#advice.map(detail => ({ about: 'bus setup', detail }));
    if (busFailure !== undefined) problems.push({ about: 'bus', detail: busFailure });
    if (loadFailure !== undefined) problems.push({ about: 'source', detail: loadFailure });
    return { ...status, problems };
  }

  /** Never later than VIEW_TIMEOUT_MS: whoever asks has little time himself. */
  async view(): Promise<FleetView> {
    const own = {
      replica: this.#replica,
      name: this.#settings.name,
      bus: this.#bus.description,
      election: this.#election.description,
      status: this.status(),
    };
    try {
      const late = () => new Error(`the heartbeats did not come within ${VIEW_TIMEOUT_MS} ms`);
      const beats = await within(VIEW_TIMEOUT_MS, this.#bus.beats(), late);
      return { ...own, replicas: beats.map(({ replica, bytes }) => this.#replicaOf(replica, bytes)) };
    } catch (error) {
      return { ...own, problem: (error as Error).message };
    }
  }

  /** What is wrong with how the bus is set up, asked now and then. */
  async #askAdvice(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let pauseMs = ADVICE_EVERY_MS;
      try {
        this.#advice = await this.#bus.advice();
      } catch (error) {
        if (!isBusError(error)) throw error;
        // That it cannot be asked is said where it matters.
        pauseMs = ADVICE_AGAIN_MS;
      }
      await sleep(systemClock, pauseMs, signal);
    }
  }

  #replicaOf(replica: string, bytes: Uint8Array): FleetReplica {
    try {
      const { asks: _, ...beat } = decodeBeat(replica, bytes, this.#sealer);
      return beat;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return { replica, problem: error.message };
    }
  }

  /** Undefined when it is too long: a snapshot does it, too. */
  #delta(before: Snapshot, after: Snapshot, ids: Uint8Array | undefined): Uint8Array | undefined {
    const { prefixBits } = this.#context.settings;
    try {
      return ids === undefined
        ? diffSnapshots(before, after, prefixBits)
        : deltaBetween(before, after, ids, prefixBits);
    } catch (error) {
      if (error instanceof CacheError && error.code === 'CAPACITY_EXCEEDED') return undefined;
      throw error;
    }
  }
}

/** What would keep the replica out of its fleet for ever. Throws CONFIG_INVALID; connects nothing. */
export async function checkFleet(settings: FleetSettings, source: SourceOptions): Promise<void> {
  electionServer(settings, source);
  if (settings.keyFile !== undefined) await readKey(settings.keyFile);
  try {
    await (await openBus(settings.bus)).close();
  } catch (cause) {
    if (!(cause instanceof CacheError) || cause.field === undefined) throw cause;
    throw new CacheError(cause.code, `fleet.bus.${cause.message}`, {
      cause,
      field: `fleet.bus.${cause.field}`,
    });
  }
}

function idsOf(ids: Uint8Array): Uint8Array[] {
  return Array.from(
    { length: ids.length / ID_BYTES },
    (_, i) => new Uint8Array(ids.subarray(i * ID_BYTES, (i + 1) * ID_BYTES)),
  );
}

/** Where the election is: as it is said, else where the source or the bus is. Throws CONFIG_INVALID. */
function electionServer(
  { election, bus, leaseMs }: FleetSettings,
  source: SourceOptions,
): () => Promise<ElectionServer> {
  const places: readonly ElectionOptions[] = [
    election,
    ...(source.kind === 'postgres' ? [ofSource(source)] : []),
    ...(bus.kind === 'postgres' ? [bus] : []),
  ];
  const place = places.find(({ url, urlFile }) => url !== undefined || urlFile !== undefined);
  if (place === undefined) {
    throw new CacheError(
      'CONFIG_INVALID',
      'fleet.election.url: is missing: the database in which the loading replica is elected',
      { field: 'fleet.election.url' },
    );
  }
  const { url, urlFile, passwordFile } = place;
  // Files are read for every connection: what is in them changes.
  return async () => ({
    connectionString: url ?? (await firstLine(urlFile!, 'fleet.election.urlFile')),
    password: passwordFile === undefined ? undefined : await firstLine(passwordFile, 'passwordFile'),
    timeoutMs: Math.min(ELECTION_TIMEOUT_MS, leaseMs),
  });
}

/** A source without a connection string is where the variables of the environment say. */
function ofSource({
  connectionString = 'postgres:///',
  passwordFile,
}: PostgresSourceOptions): ElectionOptions {
  return { url: connectionString, ...(passwordFile === undefined ? {} : { passwordFile }) };
}

/** Throws CONFIG_INVALID for a key that cannot be read, or is too short to be one. */
async function readKey(path: string): Promise<Uint8Array> {
  let line: string;
  try {
    line = await firstLine(path, 'fleet.keyFile');
  } catch (cause) {
    throw new CacheError('CONFIG_INVALID', (cause as Error).message, { cause, field: 'fleet.keyFile' });
  }
  const key = Buffer.from(line.trim());
  if (key.length >= KEY_BYTES_MIN) return key;
  throw new CacheError(
    'CONFIG_INVALID',
    `fleet.keyFile: "${path}" holds ${key.length} characters; a key has ${KEY_BYTES_MIN} or more`,
    { field: 'fleet.keyFile' },
  );
}
