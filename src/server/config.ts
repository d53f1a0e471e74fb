/**
 * Configuration: file < environment < flags, by the one table of `config/table.ts`; frozen when it is done.
 */
import { readFileSync } from 'node:fs';
import { CacheError } from '../engine/errors.ts';
import { placementPlan } from '../engine/placement/placement-plan.ts';
import type { CacheOptions } from '../workers/cache-options.ts';
import { fleetSettings } from '../workers/fleet-options.ts';
import { openSource } from '../workers/source/open-source.ts';
import { accessProblems } from './config/access-checks.ts';
import { isLoopback } from './config/access-warnings.ts';
import {
  type FaceReading,
  readDocument,
  readEnvironment,
  readFlags,
  wrongValueLine,
} from './config/faces.ts';
import { WrongValue } from './config/key.ts';
import { cacheOptions, type ServerOptions, serverOptions } from './config/options.ts';
import {
  CONFIG_KEY_NAMES,
  type ConfigDocument,
  type ConfigKeyName,
  type ConfigValues,
  configKey,
} from './config/table.ts';
import { HUNG_MS_LEAST, STALL_MS_LEAST } from './config/watchdog-table.ts';
import { parseJsonBytes } from './strict-json.ts';

export interface ConfigInput {
  /** Path of the JSON file; absent: none, or the one that SORTITION_CONFIG names. */
  readonly file?: string | undefined;
  /** What such a file holds, from a program. It wins over the file. */
  readonly document?: ConfigDocument;
  /** Absent: no variable counts; a program that wants them passes `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Text of every flag that was given. */
  readonly flags?: ReadonlyMap<ConfigKeyName, string>;
}

export interface Config {
  readonly values: ConfigValues;
  readonly cache: CacheOptions;
  readonly server: ServerOptions;
}

/** Throws CONFIG_INVALID with one line for everything that is wrong. Reads files, opens no connection. */
export function loadConfig(input: ConfigInput): Config {
  const problems: string[] = [];
  const values = mergedValues(input, problems);
  const location = values['source.location'];
  checkRelations(values, problems);
  if (location === undefined) {
    problems.push('source: missing: expected --source, SORTITION_SOURCE, or "source" in the file');
  } else {
    checkCache(values, location, problems);
  }
  if (problems.length > 0 || location === undefined)
    throw new CacheError('CONFIG_INVALID', problems.join('\n'));
  return deepFreeze({ values, cache: cacheOptions(values, location), server: serverOptions(values) });
}

const FACES = ['file', 'document', 'environment', 'flags'] as const;

/** Values of all keys with their secrets read; what is wrong goes to `problems`. */
function mergedValues(input: ConfigInput, problems: string[]): ConfigValues {
  const { environment = {}, flags = new Map() } = input;
  const readings = [
    readFile(input.file ?? environment.SORTITION_CONFIG),
    readDocument(input.document ?? {}),
    readEnvironment(environment),
    readFlags(flags),
  ];
  const values = new Map<ConfigKeyName, unknown>(
    CONFIG_KEY_NAMES.map(name => [name, configKey(name).default]),
  );
  const rank = new Map<ConfigKeyName, number>();
  for (const [index, reading] of readings.entries()) {
    for (const line of reading.problems) problems.push(`${FACES[index]}: ${line}`);
    for (const [name, value] of reading.values) {
      values.set(name, value);
      rank.set(name, index);
    }
  }
  readSecret({ values, rank, problems }, 'source.location', 'source.urlFile');
  readSecret({ values, rank, problems }, 'admin.token', 'admin.tokenFile');
  readSecret({ values, rank, problems }, 'fleet.bus', 'fleet.busUrlFile');
  readSecret({ values, rank, problems }, 'fleet.electionUrl', 'fleet.electionUrlFile');
  problems.push(...idleFleetKeys(rank));
  return Object.fromEntries(values) as unknown as ConfigValues;
}

function readFile(path: string | undefined): FaceReading {
  if (path === undefined) return { values: new Map(), problems: [] };
  try {
    return readDocument(parseJsonBytes(readFileSync(path)));
  } catch (error) {
    return { values: new Map(), problems: [`${path}: ${(error as Error).message}`] };
  }
}

/**
 * A server that was told of its fleet but not of its bus would load for itself, and nobody would know why.
 */
function idleFleetKeys(rank: ReadonlyMap<ConfigKeyName, number>): string[] {
  if (rank.has('fleet.bus') || rank.has('fleet.busUrlFile')) return [];
  const set = [...rank.keys()].filter(name => name.startsWith('fleet.'));
  return set.map(name => `${name}: has no effect without fleet.bus, the engine between the servers`);
}

interface Merge {
  readonly values: Map<ConfigKeyName, unknown>;
  /** Which face has set a key: a higher one wins. */
  readonly rank: Map<ConfigKeyName, number>;
  readonly problems: string[];
}

/**
 * Settles a secret that may be given itself or as the path of a file: the higher face wins, the same one may
 * not do both.
 */
function readSecret({ values, rank, problems }: Merge, name: ConfigKeyName, fileKey: ConfigKeyName): void {
  const path = values.get(fileKey) as string | undefined;
  if (path === undefined) return;
  const own = rank.get(name) ?? -1;
  const files = rank.get(fileKey) ?? -1;
  if (own === files) problems.push(`${name} and ${fileKey}: both are set, leave one out`);
  if (own >= files) return;
  try {
    values.set(name, configKey(name).parse(readFileSync(path, 'utf8').split(/\r?\n/, 1)[0]!.trim()));
  } catch (error) {
    const why = error instanceof WrongValue ? error.message : undefined;
    const line = wrongValueLine(name, {
      spelled: `${fileKey} (${path})`,
      value: undefined,
      accepts: why ?? '',
    });
    problems.push(why === undefined ? `${fileKey}: ${(error as Error).message}` : line);
  }
}

function checkRelations(values: ConfigValues, problems: string[]): void {
  const fail = (condition: boolean, line: string) => {
    if (condition) problems.push(line);
  };
  fail(
    values['http.headersTimeoutMs'] > values['http.requestTimeoutMs'],
    'http.headersTimeoutMs: is above http.requestTimeoutMs',
  );
  fail(
    values['refresh.backoffFirstMs'] > values['refresh.backoffLongestMs'],
    'refresh.backoffFirstMs: is above refresh.backoffLongestMs',
  );
  fail(
    values['shutdown.drainDelayMs'] > values['shutdown.deadlineMs'],
    'shutdown.drainDelayMs: is above shutdown.deadlineMs',
  );
  fail(
    values['limits.lookupIdsMax'] > values['limits.idsMax'],
    'limits.lookupIdsMax: is above limits.idsMax',
  );
  problems.push(...watchdogProblems(values));
  const adminOn = values['admin.token'] !== undefined || values['admin.tokensFile'] !== undefined;
  fail(
    !isLoopback(values['admin.host']) && !adminOn,
    'admin.token: missing: an admin listener beyond loopback needs one (admin.token or admin.tokenFile)',
  );
  fail(
    values.port !== 0 && values.port === values['admin.port'] && adminOn,
    'admin.port: is the port of the data listener',
  );
  problems.push(...accessProblems(values));
}

/** What is shorter than some beats of the main thread would be an alarm without a reason. */
function watchdogProblems(values: ConfigValues): string[] {
  const { 'watchdog.stallMs': stallMs, 'watchdog.hungMs': hungMs } = values;
  const problems: string[] = [];
  if (stallMs > 0 && stallMs < STALL_MS_LEAST)
    problems.push(`watchdog.stallMs: is below ${STALL_MS_LEAST}, and not 0`);
  if (hungMs > 0 && hungMs < HUNG_MS_LEAST)
    problems.push(`watchdog.hungMs: is below ${HUNG_MS_LEAST}, and not 0`);
  else if (hungMs > 0 && hungMs < stallMs) problems.push('watchdog.hungMs: is below watchdog.stallMs');
  return problems;
}

/** What the cache itself would refuse: source options and placements, before any thread starts. */
function checkCache(values: ConfigValues, location: string, problems: string[]): void {
  try {
    const options = cacheOptions(values, location);
    // Opening a source connects nothing; it only checks the options.
    void openSource(options.source).close();
    if (options.fleet !== undefined) fleetSettings(options.fleet);
    placementPlan({
      placements: options.placements ?? {},
      distinctAttributes: options.distinctAttributes ?? [],
    });
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    problems.push(error.message);
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const entry of Object.values(value)) deepFreeze(entry);
  }
  return value;
}
