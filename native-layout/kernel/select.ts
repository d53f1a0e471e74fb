/**
 * Draws the picks of one selection. The plain twin, with the reasons for every step, is
 * src/engine/selection/selection.ts: from the same random words both make the same picks.
 */
import {
  DESCRIBING_WORDS,
  DISTINCT_ATTRIBUTE,
  DISTINCT_NETWORK,
  DISTINCT_NONE,
  DRAW_ROUNDS_MAX,
  DRAWS_MAX_BASE,
  DRAWS_MAX_PER_PICK,
  FLAG_CAP_NEW,
  FLAG_FILL_WITH_NEW,
  FLAG_VETTED_FIRST,
  GROUP_BYTES,
  HEADER_WORD_NETWORKS,
  ID_BYTES,
  KERNEL_WORD_ATTRIBUTES,
  KERNEL_WORD_BLOCKED,
  KERNEL_WORD_BLOCKED_NETWORKS,
  KERNEL_WORD_BLOCKED_ROWS,
  KERNEL_WORD_CHOICES,
  KERNEL_WORD_EXCLUDED_KNOWN,
  KERNEL_WORD_GROUP_OF,
  KERNEL_WORD_HELD_KNOWN,
  KERNEL_WORD_IDS,
  KERNEL_WORD_LIVE,
  KERNEL_WORD_MOVES,
  KERNEL_WORD_NEW_PICKED,
  KERNEL_WORD_NEW_WANTED,
  KERNEL_WORD_ORDER,
  KERNEL_WORD_PICKED,
  KERNEL_WORD_PICKS,
  KERNEL_WORD_RANDOM,
  KERNEL_WORD_RANDOM_USED,
  KERNEL_WORD_ROW,
  KERNEL_WORD_SETS,
  KERNEL_WORD_TAKEN,
  KERNEL_WORD_TOUCHED,
  KERNEL_WORD_VETTED_WANTED,
  LIVE_WORD_REVOKED_COUNT,
  LIVE_WORD_REVOKED_ROWS,
  MEMBER_TRIES,
  NO_VALUE,
  RANDOM_OUTPUT_BYTES,
  ROW_BYTES,
  ROW_NETWORK_BYTE,
  SET_ENTRY_WORDS,
  SET_WORD_IDENTITY,
  SET_WORD_NEW_GROUPS,
  SET_WORD_NEW_POSITIONS,
  SET_WORD_VETTED_GROUPS,
  SET_WORD_VETTED_POSITIONS,
} from './constants';
import { directory, header, setDirectory } from './directory';
import { knownRows, NO_ROW, prepareKeys } from './lookup';
import { add, clear, has, remove } from './number-set';
import { mix, sortVettedFirst } from './pick-order';
import { below, chance, eraseWords, markWords, refill } from './random';
import { atomicLoad32, load16, load32 } from './slot';

/** A larger set is not emptied as a whole but by what was put into it. */
const CLEARED_BYTES_PER_PICK: u32 = 16;

// What one call works on: set by `select`, meaningless between two calls.
let rule: u32 = 0;
let attributeColumn: u32 = 0;
let rowColumn: u32 = 0;
let setRows: u32 = 0;
let setGroups: u32 = 0;
let identity: bool = false;
let picks: u32 = 0;
let pickCount: u32 = 0;
let taken: u32 = 0;
let touched: u32 = 0;
let takenCount: u32 = 0;
let blocked: u32 = 0;
let blockedNetworks: u32 = 0;
let blockedCount: u32 = 0;

/**
 * Picks up to `count` rows. `flags` are FLAG_…, `distinct` is DISTINCT_…; `set` is the candidate set,
 * `attribute` that of DISTINCT_ATTRIBUTE; the ids to exclude and those that are held stand one behind the
 * other at IDS. Returns the number of picks, which are at PICKS; the directory says the rest.
 */
export function select(
  count: u32,
  newFraction: f64,
  flags: u32,
  distinct: u32,
  set: u32,
  attribute: u32,
  excludedIds: u32,
  heldIds: u32,
): u32 {
  const entry = DESCRIBING_WORDS + set * SET_ENTRY_WORDS;
  open(distinct, set, attribute, header(entry + SET_WORD_IDENTITY) === 1);
  block(excludedIds, heldIds);
  const vettedPositions = header(entry + SET_WORD_VETTED_POSITIONS);
  const newPositions = header(entry + SET_WORD_NEW_POSITIONS);
  const byNode = distinct === DISTINCT_NONE;
  const vettedEnd = byNode ? vettedPositions : header(entry + SET_WORD_VETTED_GROUPS);
  const end = vettedEnd + (byNode ? newPositions : header(entry + SET_WORD_NEW_GROUPS));
  const fraction =
    (flags & FLAG_CAP_NEW) !== 0 ? capped(newFraction, vettedPositions, newPositions) : newFraction;
  const newWanted = drawNewCount(count, fraction);

  const newFirst = drawFrom(vettedEnd, end, newWanted);
  const vettedWanted = count - newFirst;
  const vetted = drawFrom(0, vettedEnd, vettedWanted);
  let newPicked = newFirst;
  let repaired: u32 = 0;
  let missing = vettedWanted - vetted;
  if (missing > 0 && newFirst > 0 && !byNode) repaired = freeSharedGroups(vettedEnd, end, newFirst, missing);
  missing -= repaired;
  if (missing > 0 && (flags & FLAG_FILL_WITH_NEW) !== 0) newPicked += drawFrom(vettedEnd, end, missing);
  const vettedFirst = (flags & FLAG_VETTED_FIRST) !== 0;
  const later = repaired > 0 || newPicked > newFirst;
  if (!vettedFirst || later) mix(picks, pickCount, newFirst, later);
  if (vettedFirst) sortVettedFirst(picks, pickCount);
  setDirectory(KERNEL_WORD_PICKED, pickCount);
  setDirectory(KERNEL_WORD_NEW_PICKED, newPicked);
  setDirectory(KERNEL_WORD_NEW_WANTED, newWanted);
  setDirectory(KERNEL_WORD_VETTED_WANTED, vettedWanted);
  leave();
  return pickCount;
}

function open(distinct: u32, set: u32, attribute: u32, isIdentity: bool): void {
  rule = distinct;
  attributeColumn = directory(KERNEL_WORD_ATTRIBUTES + attribute);
  rowColumn = directory(KERNEL_WORD_ROW);
  setRows = directory(KERNEL_WORD_SETS + 2 * set);
  setGroups = directory(KERNEL_WORD_SETS + 2 * set + 1);
  identity = isIdentity;
  picks = directory(KERNEL_WORD_PICKS);
  pickCount = 0;
  taken = directory(KERNEL_WORD_TAKEN);
  touched = directory(KERNEL_WORD_TOUCHED);
  takenCount = 0;
  blocked = directory(KERNEL_WORD_BLOCKED);
  blockedNetworks = directory(KERNEL_WORD_BLOCKED_NETWORKS);
  blockedCount = 0;
  markWords();
}

/** Empties the sets, and erases the random words. */
function leave(): void {
  const networkBytes = (header(HEADER_WORD_NETWORKS) + 7) >> 3;
  if (rule === DISTINCT_NETWORK && networkBytes <= CLEARED_BYTES_PER_PICK * takenCount) {
    for (let at: u32 = 0; at < networkBytes; at += 16) v128.store(taken + at, i64x2.splat(0));
  } else {
    for (let i: u32 = 0; i < takenCount; i++) store<u8>(load<u32>(touched + (i << 2)), 0);
  }
  if (blockedCount !== 0) unblock();
  eraseWords();
}

/** Takes note of what may not be picked: the ids of the request, and the rows that have been revoked. */
function block(excludedIds: u32, heldIds: u32): void {
  const list = directory(KERNEL_WORD_LIVE);
  const revoked = atomicLoad32(list + (LIVE_WORD_REVOKED_COUNT << 2));
  setDirectory(KERNEL_WORD_EXCLUDED_KNOWN, 0);
  setDirectory(KERNEL_WORD_HELD_KNOWN, 0);
  if (excludedIds + heldIds + revoked === 0) return;
  const rows = directory(KERNEL_WORD_BLOCKED_ROWS);
  blockedCount = excludedIds + heldIds === 0 ? 0 : blockIds(excludedIds, heldIds, rows);
  for (let i: u32 = 0; i < revoked; i++, blockedCount++) {
    const row = load32(list + ((LIVE_WORD_REVOKED_ROWS + i) << 2));
    store<u32>(rows + (blockedCount << 2), row);
    add(blocked, row);
  }
}

/** Blocks what the ids of the request say. Returns how many of them are known; their rows are at `rows`. */
function blockIds(excludedIds: u32, heldIds: u32, rows: u32): u32 {
  prepareKeys();
  const ids = directory(KERNEL_WORD_IDS);
  const excluded = knownRows(ids, excludedIds, rows);
  const held = knownRows(ids + excludedIds * ID_BYTES, heldIds, rows + (excluded << 2));
  setDirectory(KERNEL_WORD_EXCLUDED_KNOWN, excluded);
  setDirectory(KERNEL_WORD_HELD_KNOWN, held);
  const known = excluded + held;
  for (let i: u32 = 0; i < known; i++) add(blocked, load<u32>(rows + (i << 2)));
  for (let i = excluded; i < known; i++) {
    const row = load<u32>(rows + (i << 2));
    if (rule === DISTINCT_NETWORK) {
      take(networkOf(row));
    } else {
      add(blockedNetworks, networkOf(row));
      // A held node without a value blocks no value: others without one need not be like it.
      const code: u32 = rule === DISTINCT_ATTRIBUTE ? codeOf(row) : NO_VALUE;
      if (code !== NO_VALUE) take(code);
    }
  }
  return known;
}

function unblock(): void {
  const rows = directory(KERNEL_WORD_BLOCKED_ROWS);
  for (let i: u32 = 0; i < blockedCount; i++) {
    const row = load<u32>(rows + (i << 2));
    clear(blocked, row);
    if (rule !== DISTINCT_NETWORK) clear(blockedNetworks, networkOf(row));
  }
}

/** Adds to the taken groups; false when it was there already. */
function take(key: u32): bool {
  if (!add(taken, key)) return false;
  store<u32>(touched + (takenCount << 2), taken + (key >> 3));
  takenCount++;
  return true;
}

function networkOf(row: u32): u32 {
  return load32(rowColumn + row * ROW_BYTES + ROW_NETWORK_BYTE);
}

function codeOf(row: u32): u32 {
  return load16(attributeColumn + (row << 1));
}

function capped(fraction: f64, vettedPositions: u32, newPositions: u32): f64 {
  const positions = <f64>vettedPositions + <f64>newPositions;
  const natural = positions === 0 ? 0 : <f64>newPositions / positions;
  return natural < fraction ? natural : fraction;
}

/** The integer part of the expectation, and one more with the probability of the rest. */
function drawNewCount(count: u32, fraction: f64): u32 {
  const expected = <f64>count * fraction;
  const whole = Math.floor(expected);
  return <u32>whole + u32(chance(expected - whole));
}

/** Draws up to `wanted` picks from the groups (or positions) `from` to `to`; returns how many it made. */
function drawFrom(from: u32, to: u32, wanted: u32): u32 {
  const width = to - from;
  let made: u32 = 0;
  if (wanted === 0 || width === 0) return 0;
  if (2 * (<u64>wanted + takenCount + blockedCount) <= <u64>width) {
    made = rule === DISTINCT_NONE ? drawNodes(from, width, wanted) : drawGrouped(from, width, wanted);
    if (made === wanted) return made;
  }
  return made + walk(from, width, wanted - made);
}

/** Draws before rejection gives way to a walk. */
function drawsMax(wanted: u32): u32 {
  return DRAWS_MAX_BASE + DRAWS_MAX_PER_PICK * wanted;
}

/** Draws until `wanted` nodes are picked, or `drawsMax` times. */
function drawNodes(from: u32, width: u32, wanted: u32): u32 {
  let made: u32 = 0;
  for (let draws = drawsMax(wanted); draws > 0 && made < wanted; draws--) {
    made += u32(tryPick(from + below(width)));
  }
  return made;
}

/** One pick a group, in rounds: each but the first replaces groups that have no allowed member. */
function drawGrouped(from: u32, width: u32, wanted: u32): u32 {
  let made = drawRound(from, width, wanted);
  if (blockedCount === 0) return made;
  for (let round: u32 = 1; round < DRAW_ROUNDS_MAX && made < wanted; round++) {
    made += drawRound(from, width, wanted - made);
  }
  return made;
}

/** First the groups, then a member of each that has several; then others for members that are blocked. */
function drawRound(from: u32, width: u32, wanted: u32): u32 {
  const start = picks + (pickCount << 2);
  const choices = directory(KERNEL_WORD_CHOICES);
  let end = drawGroups(start, choices, setGroups + from * GROUP_BYTES, width, wanted);
  drawMembers(choices);
  if (blockedCount !== 0) {
    end = withoutBlocked(start, end, from, width);
  } else if (!identity) {
    for (let at = start; at < end; at += 4) store<u32>(at, load32(setRows + (load<u32>(at) << 2)));
  }
  const made = (end - start) >> 2;
  pickCount += made;
  return made;
}

/**
 * Draws `wanted` of the `width` groups from `groups` on, none of which was taken, unless too many draws fail.
 * Writes the first position of each to `start`, and to `choices` where that stands and how many members the
 * group has, where these are several. Returns the end of the positions; a zero ends the choices. No branch
 * depends on what was drawn, which nobody can foretell: only the place of what comes next does.
 */
function drawGroups(start: u32, choices: u32, groups: u32, width: u32, wanted: u32): u32 {
  const random = directory(KERNEL_WORD_RANDOM);
  const fairFrom = (<u32>0 - width) % width;
  const end = start + (wanted << 2);
  const set = taken;
  let used = directory(KERNEL_WORD_RANDOM_USED);
  let wordsLeft = drawsMax(wanted);
  let stop = min(used + (wordsLeft << 2), RANDOM_OUTPUT_BYTES);
  wordsLeft -= (stop - used) >> 2;
  // A taken group is noted at the same distance from its pick.
  const noted = touched + (takenCount << 2) - start;
  let choice = choices;
  let at = start;
  while (at < end) {
    if (used === stop) {
      if (wordsLeft === 0) break;
      refill();
      used = 0;
      stop = min(wordsLeft << 2, RANDOM_OUTPUT_BYTES);
      wordsLeft -= stop >> 2;
    }
    const product = <u64>load<u32>(random + used) * <u64>width;
    used += 4;
    if (<u32>product < fairFrom) continue;
    const group = groups + <u32>(product >> 32) * GROUP_BYTES;
    const key = load32(group + 4);
    const byte = set + (key >> 3);
    const before: u32 = load<u8>(byte);
    const free = (~before >> (key & 7)) & 1;
    store<u8>(byte, <u8>(before | (1 << (key & 7))));
    store<u32>(at + noted, byte);
    const position = load32(group);
    const size = load32(group + GROUP_BYTES) - position;
    store<u32>(at, position);
    store<u32>(choice, at);
    store<u32>(choice, size, 4);
    choice += (free & u32(size > 1)) << 3;
    at += free << 2;
  }
  setDirectory(KERNEL_WORD_RANDOM_USED, used);
  takenCount += (at - start) >> 2;
  store<u32>(choice, 0);
  return at;
}

/** Moves the positions that `choices` lists to a member of their group, each equally likely. */
function drawMembers(choices: u32): void {
  for (let choice = choices; load<u32>(choice) !== 0; choice += 8) {
    const pick = load<u32>(choice);
    store<u32>(pick, load<u32>(pick) + below(load<u32>(choice, 4)));
  }
}

/**
 * Puts rows in the place of the positions from `start` to `end`: another member of the group for one that is
 * blocked. A group without an allowed member is free again, because the other pool may have one in it, and
 * the last pick takes its place. Returns where the rows end.
 */
function withoutBlocked(start: u32, end: u32, from: u32, width: u32): u32 {
  const noted = touched + (takenCount << 2) - end;
  // What nearly every pick of nearly every request is: half of the time that the general way takes.
  const isPlain = identity && rule === DISTINCT_NETWORK;
  const set = blocked;
  let last = end;
  for (let at = start; at < last; at += 4) {
    const position = load<u32>(at);
    if (isPlain && !has(set, position)) continue;
    let row = rowAt(position);
    if (isBlocked(row)) {
      const group = groupAt(position, from, width);
      row = drawMember(group);
      if (row === NO_ROW) {
        remove(taken, keyOfGroup(group));
        takenCount--;
        last -= 4;
        store<u32>(at, load<u32>(last));
        store<u32>(at + noted, load<u32>(last + noted));
        at -= 4;
        continue;
      }
    }
    store<u32>(at, row);
  }
  return last;
}

/** The one of the `width` groups from `from` on that has `position`. */
function groupAt(position: u32, from: u32, width: u32): u32 {
  let low = from;
  let high = from + width;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (load32(setGroups + middle * GROUP_BYTES) > position) high = middle;
    else low = middle;
  }
  return low;
}

/** Looks at the groups in random order, each once, until `wanted` picks are made. */
function walk(from: u32, width: u32, wanted: u32): u32 {
  const order = directory(KERNEL_WORD_ORDER);
  for (let i: u32 = 0; i < width; i++) store<u32>(order + (i << 2), from + i);
  let made: u32 = 0;
  for (let i: u32 = 0; i < width && made < wanted; i++) {
    const here = order + (i << 2);
    const there = order + ((i + below(width - i)) << 2);
    const group = load<u32>(there);
    store<u32>(there, load<u32>(here));
    store<u32>(here, group);
    if (tryPick(group)) made++;
  }
  return made;
}

/** Picks a member of the group at `index`, or the node at that position; false when it may not be picked. */
function tryPick(index: u32): bool {
  if (rule === DISTINCT_NONE) {
    const row = rowAt(index);
    if (blockedCount > 0 && isBlocked(row)) return false;
    if (!take(row)) return false;
    pick(row);
    return true;
  }
  const key = load32(setGroups + index * GROUP_BYTES + 4);
  if (has(taken, key)) return false;
  const row = drawMember(index);
  // A group without an allowed member is not taken: the other pool may have one in it.
  if (row === NO_ROW) return false;
  take(key);
  pick(row);
  return true;
}

function pick(row: u32): void {
  store<u32>(picks + (pickCount << 2), row);
  pickCount++;
}

function rowAt(position: u32): u32 {
  return identity ? position : load32(setRows + (position << 2));
}

/** A member of the group, each allowed one equally likely, or NO_ROW when none is allowed. */
function drawMember(group: u32): u32 {
  const start = load32(setGroups + group * GROUP_BYTES);
  const size = load32(setGroups + (group + 1) * GROUP_BYTES) - start;
  for (let tries: u32 = 0; tries < MEMBER_TRIES; tries++) {
    const row = rowAt(size === 1 ? start : start + below(size));
    if (blockedCount === 0 || !isBlocked(row)) return row;
    if (size === 1) return NO_ROW;
  }
  return drawAllowedMember(start, size);
}

/** The same by counting the allowed members out: for groups of which most are blocked. */
function drawAllowedMember(start: u32, size: u32): u32 {
  let allowed: u32 = 0;
  for (let i = start; i < start + size; i++) allowed += u32(!isBlocked(rowAt(i)));
  if (allowed === 0) return NO_ROW;
  let left = below(allowed);
  let position = start;
  while (isBlocked(rowAt(position)) || left-- !== 0) position++;
  return rowAt(position);
}

function isBlocked(row: u32): bool {
  return has(blocked, row) || (rule !== DISTINCT_NETWORK && has(blockedNetworks, networkOf(row)));
}

/**
 * Vetted picks are missing although new picks may sit in groups that have vetted members: moves such new
 * picks to groups that only new nodes have, and picks vetted ones in the groups they leave. Returns how many.
 */
function freeSharedGroups(vettedEnd: u32, end: u32, newPicked: u32, missing: u32): u32 {
  const groupOf = directory(KERNEL_WORD_GROUP_OF);
  const moves = directory(KERNEL_WORD_MOVES);
  for (let group: u32 = 0; group < vettedEnd; group++)
    store<u32>(groupOf + (keyOfGroup(group) << 2), group + 1);
  let moveCount: u32 = 0;
  for (let i: u32 = 0; i < newPicked && moveCount < missing; i++) {
    const row = load<u32>(picks + (i << 2));
    const group = load<u32>(groupOf + ((rule === DISTINCT_NETWORK ? networkOf(row) : codeOf(row)) << 2));
    const vettedRow = group === 0 ? NO_ROW : drawMember(group - 1);
    if (vettedRow === NO_ROW) continue;
    store<u32>(moves + (moveCount << 3), i);
    store<u32>(moves + (moveCount << 3), vettedRow, 4);
    moveCount++;
  }
  for (let group: u32 = 0; group < vettedEnd; group++) store<u32>(groupOf + (keyOfGroup(group) << 2), 0);
  const first = pickCount;
  const gained = drawFrom(vettedEnd, end, moveCount);
  for (let i: u32 = 0; i < gained; i++) {
    const from = picks + (load<u32>(moves + (i << 3)) << 2);
    const to = picks + ((first + i) << 2);
    store<u32>(from, load<u32>(to));
    store<u32>(to, load<u32>(moves + (i << 3), 4));
  }
  return gained;
}

function keyOfGroup(group: u32): u32 {
  return load32(setGroups + group * GROUP_BYTES + 4);
}
