// @hotpath
/** Checks a candidate set: positions are rows of the right pool, groups are runs of one key. */
import { ATTRIBUTE_VALUES_MAX, SET_WORD, setEntryWord } from '../../../native-layout/snapshot-header.ts';
import { GROUP_KEY_WORD, GROUP_START_WORD, GROUP_WORDS } from '../../../native-layout/snapshot-layout.ts';
import { CacheError } from '../errors.ts';
import type { CandidateSet, Snapshot } from './snapshot.ts';

/** Groups of one pool, and the positions that they cover. */
interface GroupRange {
  readonly from: number;
  readonly to: number;
  readonly start: number;
  readonly end: number;
  /** What keys are below. */
  readonly keyLimit: number;
}

/** `networks`: the network of each row. Throws SNAPSHOT_CORRUPT. */
export function checkCandidateSet(
  snapshot: Snapshot,
  set: CandidateSet,
  number: number,
  networks: Uint32Array,
): void {
  const { vettedPositions: vetted, vettedGroups, newGroups } = set;
  const positions = vetted + set.newPositions;
  checkPositions(snapshot, set, number);
  const grouping = snapshot.views.header[setEntryWord(number) + SET_WORD.GROUPING]!;
  const keys = grouping === 0 ? networks : snapshot.views.attributeCodes[grouping - 1];
  if (keys === undefined) fail(`set ${number} is grouped by attribute ${grouping - 1}`);
  const keyLimit = grouping === 0 ? snapshot.networkCount : ATTRIBUTE_VALUES_MAX + 1;
  const groups = vettedGroups + newGroups;
  const check = set.identity ? checkRuns : checkGroups;
  check(set, number, keys, { from: 0, to: vettedGroups, start: 0, end: vetted, keyLimit });
  check(set, number, keys, { from: vettedGroups, to: groups, start: vetted, end: positions, keyLimit });
  const closing = groups * GROUP_WORDS;
  if (set.groups[closing + GROUP_START_WORD] !== positions || set.groups[closing + GROUP_KEY_WORD] !== 0) {
    fail(`set ${number} has no closing pair`);
  }
}

function checkPositions(snapshot: Snapshot, set: CandidateSet, number: number): void {
  const positions = set.vettedPositions + set.newPositions;
  const eligible = snapshot.vettedCount + snapshot.newCount;
  if (positions > eligible) fail(`set ${number} has ${positions} positions of ${eligible} rows`);
  if (set.identity) {
    if (set.vettedPositions !== snapshot.vettedCount || set.newPositions !== snapshot.newCount) {
      fail(`set ${number} is an identity of ${set.vettedPositions} vetted and ${set.newPositions} new rows`);
    }
    return;
  }
  for (let position = 0; position < positions; position++) {
    const row = set.rows[position]!;
    const inPool = position < set.vettedPositions ? row < snapshot.vettedCount : row >= snapshot.vettedCount;
    if (!inPool || row >= eligible) fail(`set ${number} has row ${row} at position ${position}`);
  }
}

/**
 * The same as `checkGroups` where positions are rows, which are sorted by key: every group begins where a run
 * of rows of one key does, keys ascend, and there are as many groups as runs. Two plain loops take a third of
 * the time.
 */
function checkRuns(
  { groups }: CandidateSet,
  number: number,
  keys: Uint32Array | Uint16Array,
  range: GroupRange,
): void {
  const { from, to, start: first, end, keyLimit } = range;
  let before = first - 1;
  let keyBefore = -1;
  for (let group = from, at = from * GROUP_WORDS; group < to; group++, at += GROUP_WORDS) {
    const start = groups[at + GROUP_START_WORD]!;
    const key = groups[at + GROUP_KEY_WORD]!;
    if (start <= before || start >= end || (group === from && start !== first)) {
      fail(`set ${number}: group ${group} starts at ${start}`);
    }
    if (key >= keyLimit) fail(`set ${number}: group ${group} has key ${key}`);
    if (key <= keyBefore) fail(`set ${number}: key ${key} has two groups, or stands behind ${keyBefore}`);
    if (keys[start] !== key) fail(`set ${number}: row ${start} is not of group ${group}`);
    if (start > first && keys[start - 1] === key) fail(`set ${number}: group ${group} starts late`);
    before = start;
    keyBefore = key;
  }
  let runs = end > first ? 1 : 0;
  for (let row = first + 1; row < end; row++) {
    // No branch: where a run ends cannot be foretold.
    const difference = keys[row]! ^ keys[row - 1]!;
    runs += (difference | -difference) >>> 31;
  }
  if (runs !== to - from) {
    fail(`set ${number} has ${to - from} groups for ${runs} runs of rows`);
  }
}

/** Groups follow each other, each of one key, no key twice, no row twice. */
function checkGroups(
  { groups, rows }: CandidateSet,
  number: number,
  keys: Uint32Array | Uint16Array,
  range: GroupRange,
): void {
  const seen = new Uint8Array(range.keyLimit);
  let position = range.start;
  for (let group = range.from; group < range.to; group++) {
    const at = group * GROUP_WORDS;
    const key = groups[at + GROUP_KEY_WORD]!;
    if (groups[at + GROUP_START_WORD] !== position) {
      fail(`set ${number}: group ${group} does not start at ${position}`);
    }
    if (key >= range.keyLimit) fail(`set ${number}: group ${group} has key ${key}`);
    if (seen[key] !== 0) fail(`set ${number}: key ${key} has two groups`);
    seen[key] = 1;
    const end = groups[at + GROUP_WORDS + GROUP_START_WORD]!;
    if (end <= position || end > range.end) fail(`set ${number}: group ${group} ends at ${end}`);
    for (let before = -1; position < end; position++) {
      const row = rows[position]!;
      if (row <= before) fail(`set ${number}: row ${row} comes twice or out of order`);
      if (keys[row] !== key) fail(`set ${number}: row ${row} is not of group ${group}`);
      before = row;
    }
  }
  if (position !== range.end) fail(`set ${number}: groups end at ${position}, positions at ${range.end}`);
}

function fail(problem: string): never {
  throw new CacheError('SNAPSHOT_CORRUPT', problem);
}
