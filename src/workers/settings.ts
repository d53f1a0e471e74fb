/** Options of the cache with their defaults, checked once, as plain data that every thread gets. */
import { CacheError } from '../engine/errors.ts';
import { DEFAULT_PREFIX_BITS, type PrefixBits } from '../engine/network-table.ts';
import type { PlacementSettings } from '../engine/placement-plan.ts';
import { DEFAULT_LIMITS, type SelectionLimits } from '../engine/selection-request.ts';
import { RANGE_NAMES } from '../engine/special-use.ts';
import type { CacheOptions, GuardOptions, RefreshOptions } from './cache-types.ts';

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
  dropRatioMax: 0.2,
  nodesMin: 1,
  allowRanges: [],
};

/** Largest value of each kind; beyond it a configuration is a mistake, not a wish. */
const NODES_MAX = 20_000_000;
const READERS_MAX = 1_024;
const COUNT_MAX = 100_000;
const IDS_MAX = 1_000_000;
/** Longest that a Node.js timer can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export function readerSettings(options: CacheOptions): ReaderSettings {
  const nodes = options.capacity?.nodes ?? DEFAULT_NODES;
  const readers = options.capacity?.readers ?? DEFAULT_READERS;
  const limits = { ...DEFAULT_LIMITS, ...defined(options.limits) };
  integer('capacity.nodes', nodes, 1, NODES_MAX);
  integer('capacity.readers', readers, 1, READERS_MAX);
  integer('limits.countMax', limits.countMax, 1, COUNT_MAX);
  integer('limits.idsMax', limits.idsMax, 1, IDS_MAX);
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
  integer('refresh.everyMs', refresh.everyMs, 1, TIMER_MS_MAX);
  integer('refresh.timeoutMs', refresh.timeoutMs, 1, TIMER_MS_MAX);
  integer('refresh.backoffFirstMs', refresh.backoffFirstMs, 1, TIMER_MS_MAX);
  integer('refresh.backoffLongestMs', refresh.backoffLongestMs, refresh.backoffFirstMs, TIMER_MS_MAX);
  ratio('refresh.jitterRatio', refresh.jitterRatio);
  ratio('guard.rejectRatioMax', guard.rejectRatioMax);
  ratio('guard.dropRatioMax', guard.dropRatioMax);
  integer('guard.nodesMin', guard.nodesMin, 0, NODES_MAX);
  integer('networkPrefixBits.ipv4', prefixBits.ipv4, 1, 32);
  integer('networkPrefixBits.ipv6', prefixBits.ipv6, 1, 128);
  for (const name of guard.allowRanges) {
    if (!RANGE_NAMES.includes(name)) {
      fail('guard.allowRanges', `has "${name}"; the ranges are ${RANGE_NAMES.join(', ')}`);
    }
  }
  return { refresh, guard, prefixBits, snapshotFile: options.snapshotFile };
}

/** The entries of `value` that are not `undefined`: an option given as `undefined` means its default. */
function defined<T extends object>(value: T | undefined): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value ?? {}).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

function integer(field: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    fail(field, `is ${value}; it is an integer from ${min} to ${max}`);
  }
}

function ratio(field: string, value: number): void {
  if (!(typeof value === 'number' && value >= 0 && value <= 1))
    fail(field, `is ${value}; it is a number from 0 to 1`);
}

function fail(field: string, problem: string): never {
  throw new CacheError('CONFIG_INVALID', `${field} ${problem}`, { field });
}
