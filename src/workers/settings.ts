/** Options of the cache with their defaults, checked once, as plain data that every thread gets. */
import { DEFAULT_PREFIX_BITS, type PrefixBits } from '../engine/address/network-keys.ts';
import { RANGE_NAMES } from '../engine/address/special-use.ts';
import type { PlacementSettings } from '../engine/placement/placement-plan.ts';
import { DEFAULT_LIMITS, type SelectionLimits } from '../engine/selection/selection-request.ts';
import type { CacheOptions, CapacityOptions, GuardOptions, RefreshOptions } from './cache-options.ts';
import { TIMER_MS_MAX } from './clock.ts';
import { type FleetSettings, fleetSettings } from './fleet-options.ts';
import { type SnapshotSigning, snapshotSigning } from './snapshot-signature.ts';
import { didYouMean } from './source/nearest.ts';
import {
  checkBoolean,
  checkInteger,
  checkKeys,
  checkNumber,
  checkObject,
  checkText,
  checkTexts,
  invalidOption,
} from './source/option-checks.ts';

/** What every reader needs beside the memory. */
export interface ReaderSettings extends PlacementSettings {
  readonly nodes: number;
  readonly readers: number;
  readonly limits: SelectionLimits;
}

/** What the loader needs beside that. */
export interface LoadSettings {
  readonly refresh: Required<RefreshOptions>;
  readonly guard: Required<GuardOptions>;
  readonly prefixBits: PrefixBits;
  readonly snapshotFile: string | undefined;
  readonly snapshotSigning: SnapshotSigning | undefined;
  /** Absent: it loads for itself. */
  readonly fleet: FleetSettings | undefined;
}

export const DEFAULT_NODES = 1_000_000;
export const DEFAULT_READERS = 16;
export const DEFAULT_REFRESH: Required<RefreshOptions> = {
  everyMs: 90_000,
  jitterRatio: 0.1,
  timeoutMs: 60_000,
  backoffFirstMs: 1_000,
  backoffLongestMs: 60_000,
};
export const DEFAULT_GUARD: Required<GuardOptions> = {
  rejectRatioMax: 0.05,
  duplicateRatioMax: 0.01,
  dropRatioMax: 0.2,
  dropPerHourRatioMax: 0.5,
  growthFactorMax: 10,
  networkShareMax: 1,
  confirmations: 0,
  vettedMin: 0,
  nodesMin: 1,
  allowRanges: [],
};

/** Largest value of each kind; beyond it a configuration is a mistake, not a wish. */
const NODES_MAX = 20_000_000;
const READERS_MAX = 1_024;
const COUNT_MAX = 100_000;
const IDS_MAX = 1_000_000;

/** Loads that may have to say the same. */
const CONFIRMATIONS_MAX = 1_000;
const GUARD_RATIOS = [
  'rejectRatioMax',
  'duplicateRatioMax',
  'dropRatioMax',
  'dropPerHourRatioMax',
  'networkShareMax',
] as const;

const RATIO = { min: 0, max: 1 };
const DURATION_MS = { min: 1, max: TIMER_MS_MAX };

const OPTION_KEYS: readonly string[] = [
  'source',
  'refresh',
  'capacity',
  'guard',
  'placements',
  'distinctAttributes',
  'networkPrefixBits',
  'limits',
  'snapshotFile',
  'snapshotSigning',
  'fleet',
  'waitForFirstLoad',
  'readyTimeoutMs',
] satisfies (keyof CacheOptions)[];

/** Groups of options, and their keys. */
const GROUP_KEYS = {
  refresh: Object.keys(DEFAULT_REFRESH),
  capacity: ['nodes', 'readers'] satisfies (keyof CapacityOptions)[],
  guard: Object.keys(DEFAULT_GUARD),
  networkPrefixBits: Object.keys(DEFAULT_PREFIX_BITS),
  limits: Object.keys(DEFAULT_LIMITS),
} satisfies Partial<Record<keyof CacheOptions, readonly string[]>>;

/**
 * Checks keys and types of everything but the source and the placements, whose owners check them, and the
 * values, which the settings check. Throws CONFIG_INVALID with the key at fault in `field`.
 */
export function checkCacheOptions(options: CacheOptions): void {
  checkObject(options, 'options');
  checkKeys(options, OPTION_KEYS);
  if (options.source === undefined) {
    throw invalidOption('source', 'is missing: what postgresSource() or fileSource() returns');
  }
  checkObject(options.source, 'source');
  for (const [group, keys] of Object.entries(GROUP_KEYS)) {
    const value = options[group as keyof typeof GROUP_KEYS];
    if (value === undefined) continue;
    checkObject(value, group);
    checkKeys(value, keys, `${group}.`);
  }
  if (options.placements !== undefined) checkObject(options.placements, 'placements');
  if (options.snapshotFile !== undefined) checkText(options.snapshotFile, 'snapshotFile');
  if (options.waitForFirstLoad !== undefined) checkBoolean(options.waitForFirstLoad, 'waitForFirstLoad');
  if (options.readyTimeoutMs !== undefined)
    checkInteger(options.readyTimeoutMs, 'readyTimeoutMs', DURATION_MS);
}

export function readerSettings(options: CacheOptions): ReaderSettings {
  const nodes = options.capacity?.nodes ?? DEFAULT_NODES;
  const readers = options.capacity?.readers ?? DEFAULT_READERS;
  const limits = { ...DEFAULT_LIMITS, ...defined(options.limits) };
  checkInteger(nodes, 'capacity.nodes', { min: 1, max: NODES_MAX });
  checkInteger(readers, 'capacity.readers', { min: 1, max: READERS_MAX });
  checkInteger(limits.countMax, 'limits.countMax', { min: 1, max: COUNT_MAX });
  checkInteger(limits.idsMax, 'limits.idsMax', { min: 1, max: IDS_MAX });
  return {
    nodes,
    readers,
    limits,
    placements: options.placements ?? {},
    distinctAttributes: options.distinctAttributes ?? [],
  };
}

export function loadSettings(options: CacheOptions): LoadSettings {
  const refresh = { ...DEFAULT_REFRESH, ...defined(options.refresh) };
  const guard = { ...DEFAULT_GUARD, ...defined(options.guard) };
  const prefixBits = { ...DEFAULT_PREFIX_BITS, ...defined(options.networkPrefixBits) };
  for (const key of ['everyMs', 'timeoutMs', 'backoffFirstMs'] as const) {
    checkInteger(refresh[key], `refresh.${key}`, DURATION_MS);
  }
  const longest = { min: refresh.backoffFirstMs, max: TIMER_MS_MAX };
  checkInteger(refresh.backoffLongestMs, 'refresh.backoffLongestMs', longest);
  checkNumber(refresh.jitterRatio, 'refresh.jitterRatio', RATIO);
  for (const key of GUARD_RATIOS) checkNumber(guard[key], `guard.${key}`, RATIO);
  checkNumber(guard.growthFactorMax, 'guard.growthFactorMax', { min: 1, max: NODES_MAX });
  checkInteger(guard.confirmations, 'guard.confirmations', { min: 0, max: CONFIRMATIONS_MAX });
  for (const key of ['nodesMin', 'vettedMin'] as const) {
    checkInteger(guard[key], `guard.${key}`, { min: 0, max: NODES_MAX });
  }
  checkInteger(prefixBits.ipv4, 'networkPrefixBits.ipv4', { min: 1, max: 32 });
  checkInteger(prefixBits.ipv6, 'networkPrefixBits.ipv6', { min: 1, max: 128 });
  checkTexts(guard.allowRanges, 'guard.allowRanges');
  for (const name of guard.allowRanges) {
    if (RANGE_NAMES.includes(name)) continue;
    const problem = `has "${name}"${didYouMean(name, RANGE_NAMES)}; the ranges are ${RANGE_NAMES.join(', ')}`;
    throw invalidOption('guard.allowRanges', problem);
  }
  const fleet = options.fleet === undefined ? undefined : fleetSettings(options.fleet);
  const signing = options.snapshotSigning && snapshotSigning(options.snapshotSigning);
  return { refresh, guard, prefixBits, snapshotFile: options.snapshotFile, snapshotSigning: signing, fleet };
}

/** The entries of `value` that are not `undefined`: an option given as `undefined` means its default. */
function defined<T extends object>(value: T | undefined): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value ?? {}).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}
