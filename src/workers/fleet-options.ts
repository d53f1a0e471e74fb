/** Options of a fleet: plain data, their defaults and their checks. Any thread. */
import type { BusOptions } from './bus/options.ts';
import {
  checkBoolean,
  checkInteger,
  checkKeys,
  checkObject,
  checkText,
  invalidOption,
} from './source/option-checks.ts';

/** Where the election is held: a session of its own with the server itself, not through a pooler. */
export interface ElectionOptions {
  /** `postgres://user:password@host:port/database`. Absent, with `urlFile`: the database of the source. */
  readonly url?: string;
  readonly urlFile?: string;
  readonly passwordFile?: string;
}

export interface FleetOptions {
  /** Replicas of one fleet have the same; fleets that share a bus or a database have different ones. */
  readonly name?: string;
  /** What carries snapshots and changes between replicas. */
  readonly bus: BusOptions;
  readonly election?: ElectionOptions;
  /** A leader that is gone is missed after so long. 2,000 by default. */
  readonly leaseMs?: number;
  /** False: this replica never loads for the others. True by default. */
  readonly mayLead?: boolean;
  /** File with a key that all replicas share: messages that are not sealed with it are refused. */
  readonly keyFile?: string;
  /** Where this replica's HTTP port is reached, for `sortition fleet`. */
  readonly address?: string;
  /** Replicas that may load from the source at once, when the bus cannot help. 5 by default. */
  readonly loadsAtOnce?: number;
  /** A replica whose content is older loads from the source itself. Absent: it serves what it has. */
  readonly loadAfterMs?: number;
}

export interface FleetSettings {
  readonly name: string;
  readonly bus: BusOptions;
  readonly election: ElectionOptions;
  readonly leaseMs: number;
  readonly mayLead: boolean;
  readonly keyFile: string | undefined;
  readonly address: string;
  readonly loadsAtOnce: number;
  readonly loadAfterMs: number | undefined;
}

export const DEFAULT_FLEET = { name: 'sortition', leaseMs: 2_000, loadsAtOnce: 5 } as const;

const NAME = /^[a-z][a-z0-9_-]{0,39}$/;
const KEYS: readonly string[] = [
  'name',
  'bus',
  'election',
  'leaseMs',
  'mayLead',
  'keyFile',
  'address',
  'loadsAtOnce',
  'loadAfterMs',
] satisfies (keyof FleetOptions)[];
const ELECTION_KEYS: readonly string[] = [
  'url',
  'urlFile',
  'passwordFile',
] satisfies (keyof ElectionOptions)[];
const LEASE_MS = { min: 500, max: 60_000 };
const LOADS_AT_ONCE = { min: 1, max: 1_000 };
const LOAD_AFTER_MS = { min: 1_000, max: 2 ** 31 - 1 };

/** Throws CONFIG_INVALID with the key at fault in `field`; the bus's own are checked where it is opened. */
export function fleetSettings(options: FleetOptions): FleetSettings {
  checkObject(options, 'fleet');
  checkKeys(options, KEYS, 'fleet.');
  checkObject(options.bus, 'fleet.bus');
  const { name = DEFAULT_FLEET.name, election = {}, leaseMs = DEFAULT_FLEET.leaseMs } = options;
  const { loadsAtOnce = DEFAULT_FLEET.loadsAtOnce, mayLead = true, address = '' } = options;
  if (!NAME.test(name)) {
    throw invalidOption('fleet.name', 'expected up to 40 small letters, digits, "_" and "-", a letter first');
  }
  checkObject(election, 'fleet.election');
  checkKeys(election, ELECTION_KEYS, 'fleet.election.');
  for (const [key, value] of Object.entries(election)) checkText(value, `fleet.election.${key}`);
  checkInteger(leaseMs, 'fleet.leaseMs', LEASE_MS);
  checkInteger(loadsAtOnce, 'fleet.loadsAtOnce', LOADS_AT_ONCE);
  checkBoolean(mayLead, 'fleet.mayLead');
  if (options.loadAfterMs !== undefined)
    checkInteger(options.loadAfterMs, 'fleet.loadAfterMs', LOAD_AFTER_MS);
  if (options.keyFile !== undefined) checkText(options.keyFile, 'fleet.keyFile');
  return {
    name,
    bus: named(options.bus, name),
    election,
    leaseMs,
    mayLead,
    keyFile: options.keyFile,
    address,
    loadsAtOnce,
    loadAfterMs: options.loadAfterMs,
  };
}

/** A bus that is given no prefix of its own has the fleet's name for one. */
function named(bus: BusOptions, name: string): BusOptions {
  return bus.kind === 'postgres' ? { schema: name, ...bus } : { prefix: name, ...bus };
}
