// @hotpath
/**
 * The selection: random choice among the candidates of one snapshot. Plain TypeScript, and the oracle of any
 * faster kernel: the same snapshot, request and key give the same picks. Works on rows; knows no ids, texts
 * or encodings.
 *
 * Groups (networks) have equal chance, then the members of a group; at most one pick a group over both pools
 * together. A draw without replacement is by rejection while few groups are taken, and by a partial
 * Fisher-Yates walk over all of them when many are, or when rejection has used up its tries: no request
 * loops.
 */
import {
  DISTINCT_ATTRIBUTE,
  DISTINCT_NETWORK,
  DISTINCT_NONE,
  DRAW_ROUNDS_MAX,
  DRAWS_MAX_BASE,
  DRAWS_MAX_PER_PICK,
  MEMBER_TRIES,
  NO_VALUE,
} from '../../../native-layout/kernel-memory.ts';
import { ATTRIBUTE_VALUES_MAX } from '../../../native-layout/snapshot-header.ts';
import {
  GROUP_KEY_WORD,
  GROUP_START_WORD,
  GROUP_WORDS,
  REVOKED_ROWS_MAX,
} from '../../../native-layout/snapshot-layout.ts';
import { ROW_NETWORK_WORD, ROW_WORDS } from '../../../native-layout/snapshot-row.ts';
import { revokedRows } from '../live-column.ts';
import type { CandidateSet, Snapshot } from '../snapshot/snapshot.ts';
import { NumberSet } from './number-set.ts';
import type { Random } from './random.ts';

/**
 * A request in numbers, all but its ids: everything looked up and checked. One object is reused from call to
 * call.
 */
export interface Draw {
  count: number;
  /** Expected share of new picks, before the cap. */
  newFraction: number;
  capNewFraction: boolean;
  fillWithNew: boolean;
  vettedFirst: boolean;
  /** DISTINCT_NETWORK, DISTINCT_NONE or DISTINCT_ATTRIBUTE. */
  distinct: number;
  /** Index of the candidate set. */
  set: number;
  /** Index of the attribute, for DISTINCT_ATTRIBUTE. */
  attribute: number;
}

const NO_MEMBER = -1;
/** Draws before rejection gives way to a walk: with half of the groups free, more than are ever needed. */
function drawsMax(wanted: number): number {
  return DRAWS_MAX_BASE + DRAWS_MAX_PER_PICK * wanted;
}

export class Selector {
  /** Rows picked by the last call, `pickCount` of them. */
  readonly picks: Uint32Array;
  pickCount = 0;
  /** Of them from each pool, and how many were wanted. */
  newPicked = 0;
  newWanted = 0;
  vettedWanted = 0;

  readonly #random: Random;
  /** Group keys (or rows, without a distinct rule) that may not be picked again. */
  readonly #taken: NumberSet;
  readonly #excluded: NumberSet;
  /** Networks of held nodes, where the distinct rule is not by network. */
  readonly #blockedNetworks: NumberSet;
  #walkOrder = new Uint32Array(0);

  #snapshot!: Snapshot;
  #set!: CandidateSet;
  #distinct = DISTINCT_NETWORK;
  #attribute = 0;
  /** Rows that are excluded, held or revoked; 0 keeps all filters out of the way. */
  #blockedRows = 0;

  /** `countMax` and `idsMax`: the limits that requests are checked against before they come here. */
  constructor(random: Random, countMax: number, idsMax: number) {
    this.#random = random;
    this.picks = new Uint32Array(countMax);
    this.#taken = new NumberSet(2 * countMax + idsMax);
    this.#excluded = new NumberSet(idsMax + REVOKED_ROWS_MAX);
    this.#blockedNetworks = new NumberSet(idsMax);
  }

  /**
   * Picks rows of `snapshot`, as many as can be had up to `draw.count`; the results are in the fields above.
   * `knownRows` begins with `excludedCount` rows that are never picked, and `heldCount` rows whose groups and
   * networks are blocked too.
   */
  select(
    snapshot: Snapshot,
    draw: Draw,
    knownRows: Uint32Array,
    excludedCount: number,
    heldCount: number,
  ): void {
    const set = snapshot.sets[draw.set]!;
    this.#snapshot = snapshot;
    this.#set = set;
    this.#distinct = draw.distinct;
    this.#attribute = draw.attribute;
    this.pickCount = 0;
    this.#block(draw, knownRows, excludedCount, heldCount);
    this.newWanted = this.#drawNewCount(draw, set);
    const byNode = draw.distinct === DISTINCT_NONE;
    const vettedEnd = byNode ? set.vettedPositions : set.vettedGroups;
    const end = vettedEnd + (byNode ? set.newPositions : set.newGroups);

    const newFirst = this.#drawFrom(vettedEnd, end, this.newWanted);
    this.vettedWanted = draw.count - newFirst;
    const vetted = this.#drawFrom(0, vettedEnd, this.vettedWanted);
    this.newPicked = newFirst;
    let repaired = 0;
    let missing = this.vettedWanted - vetted;
    if (missing > 0 && newFirst > 0 && !byNode) repaired = this.#freeSharedGroups(missing);
    missing -= repaired;
    if (missing > 0 && draw.fillWithNew) this.newPicked += this.#drawFrom(vettedEnd, end, missing);
    const later = repaired > 0 || this.newPicked > newFirst;
    if (!draw.vettedFirst || later) this.#mix(newFirst, later);
    if (draw.vettedFirst) this.#sortVettedFirst();
  }

  /**
   * How many new picks: the integer part of the expectation, and one more with the probability of the rest.
   */
  #drawNewCount(draw: Draw, set: CandidateSet): number {
    let fraction = draw.newFraction;
    if (draw.capNewFraction) {
      const positions = set.vettedPositions + set.newPositions;
      const natural = positions === 0 ? 0 : set.newPositions / positions;
      if (natural < fraction) fraction = natural;
    }
    const expected = draw.count * fraction;
    const whole = Math.floor(expected);
    return this.#random.chance(expected - whole) ? whole + 1 : whole;
  }

  /** Takes note of what may not be picked: the ids of the request, and the rows that have been revoked. */
  #block(draw: Draw, knownRows: Uint32Array, excludedCount: number, heldCount: number): void {
    const { distinct, attribute } = draw;
    const revoked = revokedRows(this.#snapshot.views);
    const ids = excludedCount + heldCount;
    this.#taken.clear(this.#keyLimit());
    this.#blockedRows = ids + revoked.length;
    if (this.#blockedRows === 0) return;
    this.#excluded.clear(this.#snapshot.rowCount);
    this.#blockedNetworks.clear(this.#snapshot.networkCount);
    for (let i = 0; i < ids; i++) this.#excluded.add(knownRows[i]!);
    for (const row of revoked) this.#excluded.add(row);
    for (let i = excludedCount; i < ids; i++) {
      const row = knownRows[i]!;
      const network = this.#networkOf(row);
      if (distinct === DISTINCT_NETWORK) {
        this.#taken.add(network);
      } else {
        this.#blockedNetworks.add(network);
        if (distinct === DISTINCT_ATTRIBUTE) {
          this.#blockValue(this.#snapshot.views.attributeCodes[attribute]![row]!);
        }
      }
    }
  }

  /** A held node without a value blocks no value: others without one need not be like it. */
  #blockValue(code: number): void {
    if (code !== NO_VALUE) this.#taken.add(code);
  }

  /** Draws up to `wanted` picks from the groups (or positions) `from` to `to`; returns how many it made. */
  #drawFrom(from: number, to: number, wanted: number): number {
    const width = to - from;
    let made = 0;
    if (wanted === 0 || width === 0) return 0;
    if (2 * (wanted + this.#taken.size + this.#blockedRows) <= width) {
      const byNode = this.#distinct === DISTINCT_NONE;
      made = byNode ? this.#drawNodes(from, width, wanted) : this.#drawGrouped(from, width, wanted);
      if (made === wanted) return made;
    }
    return made + this.#walk(from, width, wanted - made);
  }

  /** Draws until `wanted` nodes are picked, or `drawsMax` times. */
  #drawNodes(from: number, width: number, wanted: number): number {
    let made = 0;
    for (let draws = drawsMax(wanted); draws > 0 && made < wanted; draws--) {
      if (this.#tryPick(from + this.#random.below(width))) made++;
    }
    return made;
  }

  /** One pick a group, in rounds: each but the first replaces groups that have no allowed member. */
  #drawGrouped(from: number, width: number, wanted: number): number {
    let made = this.#drawRound(from, width, wanted);
    if (this.#blockedRows === 0) return made;
    for (let round = 1; round < DRAW_ROUNDS_MAX && made < wanted; round++) {
      made += this.#drawRound(from, width, wanted - made);
    }
    return made;
  }

  /**
   * First all groups, then a member of each that has several, then other members for those that are blocked.
   * So the kernel can do it without a branch that nobody can foretell.
   */
  #drawRound(from: number, width: number, wanted: number): number {
    const { groups } = this.#set;
    const random = this.#random;
    const picks = this.picks;
    const first = this.pickCount;
    const end = this.#drawGroups(from, width, first, wanted);
    const drawn = this.#blockedRows === 0 ? undefined : picks.slice(first, end);
    for (let i = first; i < end; i++) {
      const group = picks[i]! * GROUP_WORDS;
      const start = groups[group + GROUP_START_WORD]!;
      const size = groups[group + GROUP_WORDS + GROUP_START_WORD]! - start;
      picks[i] = this.#rowAt(size === 1 ? start : start + random.below(size));
    }
    this.pickCount = drawn === undefined ? end : this.#withoutBlocked(first, end, drawn);
    return this.pickCount - first;
  }

  /**
   * Replaces rows that are blocked, of the picks from `first` to `end`, by other members of the groups that
   * they were `drawn` from. A group without an allowed member is free again, because the other pool may have
   * one in it, and the last pick takes its place. Returns where the picks end.
   */
  #withoutBlocked(first: number, end: number, drawn: Uint32Array): number {
    const picks = this.picks;
    let last = end;
    for (let i = first; i < last; i++) {
      if (!this.#isBlocked(picks[i]!)) continue;
      const group = drawn[i - first]!;
      const row = this.#drawMember(group);
      if (row !== NO_MEMBER) {
        picks[i] = row;
        continue;
      }
      this.#taken.remove(this.#set.groups[group * GROUP_WORDS + GROUP_KEY_WORD]!);
      last--;
      picks[i] = picks[last]!;
      drawn[i - first] = drawn[last - first]!;
      i--;
    }
    return last;
  }

  /** Writes groups that were not taken to the picks from `first` on; returns where they end. */
  #drawGroups(from: number, width: number, first: number, wanted: number): number {
    const { groups } = this.#set;
    let to = first;
    for (let draws = drawsMax(wanted); draws > 0 && to < first + wanted; draws--) {
      const group = from + this.#random.below(width);
      if (this.#taken.add(groups[group * GROUP_WORDS + GROUP_KEY_WORD]!)) this.picks[to++] = group;
    }
    return to;
  }

  /** What the keys of the distinct rule are below. */
  #keyLimit(): number {
    if (this.#distinct === DISTINCT_NONE) return this.#snapshot.rowCount;
    return this.#distinct === DISTINCT_NETWORK ? this.#snapshot.networkCount : ATTRIBUTE_VALUES_MAX + 1;
  }

  /** Looks at the groups in random order, each once, until `wanted` picks are made. */
  #walk(from: number, width: number, wanted: number): number {
    if (this.#walkOrder.length < width) this.#walkOrder = new Uint32Array(width);
    const order = this.#walkOrder;
    const random = this.#random;
    for (let i = 0; i < width; i++) order[i] = from + i;
    let made = 0;
    for (let i = 0; i < width && made < wanted; i++) {
      const j = i + random.below(width - i);
      const group = order[j]!;
      order[j] = order[i]!;
      order[i] = group;
      if (this.#tryPick(group)) made++;
    }
    return made;
  }

  /**
   * Picks a member of the group at `index`, or the node at that position; false when it may not be picked.
   */
  #tryPick(index: number): boolean {
    const set = this.#set;
    if (this.#distinct === DISTINCT_NONE) {
      const row = this.#rowAt(index);
      if (this.#blockedRows > 0 && this.#isBlocked(row)) return false;
      if (!this.#taken.add(row)) return false;
      this.picks[this.pickCount++] = row;
      return true;
    }
    const key = set.groups[index * GROUP_WORDS + GROUP_KEY_WORD]!;
    if (this.#taken.has(key)) return false;
    const row = this.#drawMember(index);
    // A group without an allowed member is not taken: the other pool may have one in it.
    if (row === NO_MEMBER) return false;
    this.#taken.add(key);
    this.picks[this.pickCount++] = row;
    return true;
  }

  /** A member of the group, each allowed one equally likely, or NO_MEMBER when none is allowed. */
  #drawMember(group: number): number {
    const { groups } = this.#set;
    const start = groups[group * GROUP_WORDS + GROUP_START_WORD]!;
    const size = groups[(group + 1) * GROUP_WORDS + GROUP_START_WORD]! - start;
    const random = this.#random;
    for (let tries = 0; tries < MEMBER_TRIES; tries++) {
      const row = this.#rowAt(size === 1 ? start : start + random.below(size));
      if (this.#blockedRows === 0 || !this.#isBlocked(row)) return row;
      if (size === 1) return NO_MEMBER;
    }
    return this.#drawAllowedMember(start, size);
  }

  /** The same by counting the allowed members out: for groups of which most are blocked. */
  #drawAllowedMember(start: number, size: number): number {
    let allowed = 0;
    for (let i = start; i < start + size; i++) if (!this.#isBlocked(this.#rowAt(i))) allowed++;
    if (allowed === 0) return NO_MEMBER;
    let left = this.#random.below(allowed);
    for (let i = start; ; i++) {
      const row = this.#rowAt(i);
      if (!this.#isBlocked(row) && left-- === 0) return row;
    }
  }

  #rowAt(position: number): number {
    return this.#set.identity ? position : this.#set.rows[position]!;
  }

  #isBlocked(row: number): boolean {
    if (this.#excluded.has(row)) return true;
    return this.#distinct !== DISTINCT_NETWORK && this.#blockedNetworks.has(this.#networkOf(row));
  }

  /**
   * Vetted picks are missing although new picks may sit in groups that have vetted members: moves such new
   * picks to groups that only new nodes have, and picks vetted ones in the groups they leave. Returns how
   * many were gained. With this a shortage means that no allowed answer exists. Rare, so plain.
   */
  #freeSharedGroups(missing: number): number {
    const set = this.#set;
    const vettedGroupOf = new Map<number, number>();
    for (let group = 0; group < set.vettedGroups; group++) {
      vettedGroupOf.set(set.groups[group * GROUP_WORDS + GROUP_KEY_WORD]!, group);
    }
    const moves: { pick: number; vettedRow: number }[] = [];
    for (let pick = 0; pick < this.newPicked && moves.length < missing; pick++) {
      const vettedGroup = vettedGroupOf.get(this.#keyOf(this.picks[pick]!));
      const vettedRow = vettedGroup === undefined ? NO_MEMBER : this.#drawMember(vettedGroup);
      if (vettedRow !== NO_MEMBER) moves.push({ pick, vettedRow });
    }
    // All groups with usable vetted members are taken, so every group drawn now is one that only new nodes
    // have.
    const first = this.pickCount;
    const gained = this.#drawFrom(set.vettedGroups, set.vettedGroups + set.newGroups, moves.length);
    for (let i = 0; i < gained; i++) {
      const { pick, vettedRow } = moves[i]!;
      this.picks[pick] = this.picks[first + i]!;
      this.picks[first + i] = vettedRow;
    }
    return gained;
  }

  #keyOf(row: number): number {
    const { attributeCodes } = this.#snapshot.views;
    return this.#distinct === DISTINCT_NETWORK
      ? this.#networkOf(row)
      : attributeCodes[this.#attribute]![row]!;
  }

  #networkOf(row: number): number {
    return this.#snapshot.views.rowWords[row * ROW_WORDS + ROW_NETWORK_WORD]!;
  }

  /**
   * Puts the picks in an order that carries no information. Picks of a pool come in random order already, and
   * new ones first; so it is enough to exchange each of the `newFirst` with a pick at random (a Fisher-Yates
   * shuffle cut short after them), unless `fully`: picks made later, under other conditions, need the whole
   * shuffle.
   */
  #mix(newFirst: number, fully: boolean): void {
    const picks = this.picks;
    const count = this.pickCount;
    const exchanged = fully ? count - 1 : Math.min(newFirst, count - 1);
    for (let i = 0; i < exchanged; i++) {
      const j = i + this.#random.below(count - i);
      const row = picks[i]!;
      picks[i] = picks[j]!;
      picks[j] = row;
    }
  }

  #sortVettedFirst(): void {
    // Rows of the vetted pool come first in a snapshot; the order inside the pools is random and stays.
    const vettedCount = this.#snapshot.vettedCount;
    const picked = Array.from(this.picks.subarray(0, this.pickCount));
    const ordered = [...picked.filter(row => row < vettedCount), ...picked.filter(row => row >= vettedCount)];
    this.picks.set(ordered);
  }
}
