/** The keys of the data guard: what a load must satisfy before it is published. */
import { RANGE_NAMES } from '../../engine/address/special-use.ts';
import { DEFAULT_GUARD } from '../../workers/settings.ts';
import { integer, list, number } from './key.ts';

const NODES_MAX = 20_000_000;

/** A part of a whole. */
function ratio(defaultRatio: number, description: string) {
  return number({ default: defaultRatio, min: 0, max: 1, description });
}

export const GUARD_KEYS = {
  'guard.rejectRatioMax': ratio(
    DEFAULT_GUARD.rejectRatioMax,
    'Largest part of the rows that may be refused one by one; above it the whole load is.',
  ),
  'guard.duplicateRatioMax': ratio(
    DEFAULT_GUARD.duplicateRatioMax,
    'Largest part of the rows that may have the id of another row.',
  ),
  'guard.dropRatioMax': ratio(
    DEFAULT_GUARD.dropRatioMax,
    'Largest part by which the nodes that can be chosen may shrink from one load to the next.',
  ),
  'guard.dropPerHourRatioMax': ratio(
    DEFAULT_GUARD.dropPerHourRatioMax,
    'The same within an hour, against the most that was served: for a slow decline.',
  ),
  'guard.growthFactorMax': number({
    default: DEFAULT_GUARD.growthFactorMax,
    min: 1,
    max: NODES_MAX,
    description: 'How many times as many nodes one load may have as the one before, from 100 nodes on.',
  }),
  'guard.networkShareMax': ratio(
    DEFAULT_GUARD.networkShareMax,
    'Largest share that one network may have of the vetted or of the new nodes; 1 is no limit.',
  ),
  'guard.nodesMin': integer({
    default: DEFAULT_GUARD.nodesMin,
    min: 0,
    max: NODES_MAX,
    unit: 'nodes',
    description: 'Fewest nodes that can be chosen; a load with fewer is refused.',
  }),
  'guard.vettedMin': integer({
    default: DEFAULT_GUARD.vettedMin,
    min: 0,
    max: NODES_MAX,
    unit: 'nodes',
    description: 'Fewest vetted nodes that can be chosen; a load with fewer is refused.',
  }),
  'guard.confirmations': integer({
    default: DEFAULT_GUARD.confirmations,
    min: 0,
    max: 1_000,
    unit: 'loads',
    description:
      'A drop, growth or concentration is published all the same when so many loads in a row after the ' +
      'first refused one say the same; 0: never by itself.',
  }),
  'guard.allowRanges': list({
    default: DEFAULT_GUARD.allowRanges,
    choices: RANGE_NAMES,
    description: 'Special-use address ranges that are allowed all the same.',
  }),
};
