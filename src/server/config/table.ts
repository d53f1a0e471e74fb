/**
 * The one table of every configuration key: file, environment, flags, checks and documentation all come from
 * it.
 */
import { DEFAULT_PREFIX_BITS } from '../../engine/address/network-keys.ts';
import type { PlacementOptions } from '../../engine/placement/placement.ts';
import { DEFAULT_LIMITS } from '../../engine/selection/selection-request.ts';
import { DEFAULT_NODES, DEFAULT_READERS, DEFAULT_REFRESH } from '../../workers/settings.ts';
import { ACCESS_KEYS, ADMIN_ACCESS_KEYS } from './access-table.ts';
import { FLEET_KEYS } from './fleet-table.ts';
import { GUARD_KEYS } from './guard-table.ts';
import { type ConfigKey, choice, fileObject, integer, list, number, text } from './key.ts';
import { SERVER_KEYS } from './server-table.ts';
import { SOURCE_KEYS } from './source-table.ts';
import { STATSD_KEYS } from './statsd-table.ts';
import { WATCHDOG_KEYS } from './watchdog-table.ts';

const DAY_MS = 86_400_000;

const CACHE_KEYS = {
  'refresh.everyMs': integer({
    default: DEFAULT_REFRESH.everyMs,
    min: 100,
    max: DAY_MS,
    unit: 'ms',
    description: 'Time between the starts of two loads.',
  }),
  'refresh.jitterRatio': number({
    default: DEFAULT_REFRESH.jitterRatio,
    min: 0,
    max: 1,
    description: 'Part of that time by which a load may come earlier, at random, so that replicas spread.',
  }),
  'refresh.timeoutMs': integer({
    default: DEFAULT_REFRESH.timeoutMs,
    min: 100,
    max: 3_600_000,
    unit: 'ms',
    description: 'Deadline of one whole load.',
  }),
  'refresh.backoffFirstMs': integer({
    default: DEFAULT_REFRESH.backoffFirstMs,
    min: 10,
    max: 3_600_000,
    unit: 'ms',
    description: 'First wait after a failed load; it doubles, with full jitter.',
  }),
  'refresh.backoffLongestMs': integer({
    default: DEFAULT_REFRESH.backoffLongestMs,
    min: 10,
    max: DAY_MS,
    unit: 'ms',
    description: 'Longest wait after a failed load.',
  }),
  'capacity.nodes': integer({
    default: DEFAULT_NODES,
    min: 1,
    max: 20_000_000,
    unit: 'nodes',
    description: 'Nodes that a snapshot can hold: reserved as address space, paid for when used.',
  }),
  'capacity.readers': integer({
    default: DEFAULT_READERS,
    min: 1,
    max: 1_024,
    unit: 'threads',
    description:
      'Threads that can hold the cache at once; raised to what the server needs for its own threads.',
  }),
  'networkPrefixBits.ipv4': integer({
    default: DEFAULT_PREFIX_BITS.ipv4,
    min: 1,
    max: 32,
    unit: 'bits',
    description: 'Bits that name the network of an IPv4 address, where the source does not name it.',
  }),
  'networkPrefixBits.ipv6': integer({
    default: DEFAULT_PREFIX_BITS.ipv6,
    min: 1,
    max: 128,
    unit: 'bits',
    description: 'The same for IPv6.',
  }),
  'limits.countMax': integer({
    default: DEFAULT_LIMITS.countMax,
    min: 1,
    max: 100_000,
    unit: 'nodes',
    description: 'Largest `count` of a request.',
  }),
  'limits.idsMax': integer({
    default: DEFAULT_LIMITS.idsMax,
    min: 1,
    max: 1_000_000,
    unit: 'ids',
    description: 'Most ids in `exclude` and `held` together, and in one lookup.',
  }),
  distinctAttributes: list({
    default: [],
    description: 'Attributes by which requests may ask to be spread, beside those of the placements.',
  }),
  placements: fileObject<Readonly<Record<string, PlacementOptions>>>({
    default: {},
    accepts: 'an object of placements by name',
    description:
      'Named placements: `{"eu": {"newFraction": 0.05, "distinct": "network", ' +
      '"filter": {"countries": ["DE"]}}}`.',
  }),
  snapshotFile: text<string | undefined>({
    default: undefined,
    accepts: 'the path of a file',
    description:
      'File that receives each loaded snapshot, and is served from at the start until the source has ' +
      'answered.',
  }),
  'snapshotSigning.keyFile': text<string | undefined>({
    default: undefined,
    accepts: 'the path of a file',
    description: 'PEM file of an Ed25519 private key: signs that file.',
  }),
  'snapshotSigning.publicKeyFiles': list({
    default: [],
    description:
      'PEM files of one or two Ed25519 public keys: the file is served from only when one of them signed it.',
  }),
};

const LOG_KEYS = {
  'log.level': choice({
    default: 'info',
    choices: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    description: 'Least severe level that is logged (to stderr).',
  }),
  'log.format': choice({
    default: 'auto',
    choices: ['auto', 'json', 'pretty'],
    description: 'JSON lines, lines for people, or by whether stderr is a terminal.',
  }),
};

export const CONFIG_KEYS = {
  ...SOURCE_KEYS,
  ...CACHE_KEYS,
  ...GUARD_KEYS,
  ...SERVER_KEYS,
  ...ADMIN_ACCESS_KEYS,
  ...ACCESS_KEYS,
  ...FLEET_KEYS,
  ...STATSD_KEYS,
  ...WATCHDOG_KEYS,
  ...LOG_KEYS,
};

export type ConfigKeyName = keyof typeof CONFIG_KEYS;

/** A value for every key, typed by the key. */
export type ConfigValues = {
  readonly [K in ConfigKeyName]: (typeof CONFIG_KEYS)[K] extends ConfigKey<infer T> ? T : never;
};

/**
 * The keys as a program sets them. A file may also nest them: `{ "refresh": { "everyMs": 1000 } }` is
 * `{ "refresh.everyMs": 1000 }`.
 */
export type ConfigDocument = { readonly source?: string } & {
  readonly [K in ConfigKeyName]?: NonNullable<ConfigValues[K]>;
};

export const CONFIG_KEY_NAMES = Object.keys(CONFIG_KEYS) as readonly ConfigKeyName[];

/** The key of that name, with its type forgotten: for code that treats all keys alike. */
export function configKey(name: ConfigKeyName): ConfigKey<unknown> {
  return CONFIG_KEYS[name] as ConfigKey<unknown>;
}

/** Short spellings in the file, in the environment and as flags: `source` is where the source is. */
export const SHORT_NAMES: Readonly<Record<string, ConfigKeyName>> = { source: 'source.location' };

const LONG_TO_SHORT = new Map(Object.entries(SHORT_NAMES).map(([short, long]) => [long, short]));

/** The name a key goes by at every face: its short one where it has one. */
export function faceName(name: ConfigKeyName): string {
  return LONG_TO_SHORT.get(name) ?? name;
}

/** `http.urlBytesMax` → `http-url-bytes-max`. */
export function flagName(name: ConfigKeyName): string {
  return words(name).join('-');
}

/** `http.urlBytesMax` → `SORTITION_HTTP_URL_BYTES_MAX`. */
export function environmentName(name: ConfigKeyName): string {
  return `${ENVIRONMENT_PREFIX}${words(name).join('_').toUpperCase()}`;
}

export const ENVIRONMENT_PREFIX = 'SORTITION_';

function words(name: ConfigKeyName): string[] {
  return faceName(name)
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .split(/[.-]/);
}
