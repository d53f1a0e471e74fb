/**
 * Checks the bytes of a built snapshot before anyone can see it (I5): an independent reading of what the
 * builder wrote. Throws SNAPSHOT_CORRUPT naming the first thing that is wrong. Every check is linear in the
 * rows.
 */
import { HEADER_WORD, SET_WORD, setEntryWord } from '../../../native-layout/snapshot-header.ts';
import { GROUP_KEY_WORD, GROUP_START_WORD, GROUP_WORDS } from '../../../native-layout/snapshot-layout.ts';
import {
  ROW_ADDRESS_BYTE,
  ROW_ADDRESS_WORD,
  ROW_BYTES,
  ROW_NETWORK_WORD,
  ROW_PORT_BYTE,
  ROW_PORT_TEXT_BYTE,
  ROW_PORT_TEXT_LENGTH_BYTE,
  ROW_TEXT_BYTE,
  ROW_TEXT_LENGTH_BYTE,
  ROW_WORDS,
  WIDE_ADDRESS_BYTES,
  WIDE_BINARY_BYTE,
  WIDE_TEXT_LENGTH_BYTE,
} from '../../../native-layout/snapshot-row.ts';
import type { SnapshotViews } from '../../../native-layout/snapshot-views.ts';
import { formatAddress, isIpv4 } from '../address/address.ts';
import { CacheError } from '../errors.ts';
import { findRow } from './id-index.ts';
import { type CandidateSet, digestMatches, Snapshot } from './snapshot.ts';

export function validateSnapshot(views: SnapshotViews): Snapshot {
  check(digestMatches(views), 'the digest does not match the content');
  const snapshot = new Snapshot(views);
  snapshot.takeCounts();
  checkIndex(snapshot);
  checkAddresses(snapshot);
  checkAttributes(snapshot);
  for (const [number, set] of snapshot.sets.entries()) checkSet(snapshot, set, number);
  return snapshot;
}

/** Every row is found under its id, and no entry is left over. */
function checkIndex(snapshot: Snapshot): void {
  const { idIndex, rowWords } = snapshot.views;
  const { indexEntries, indexKeys, rowCount } = snapshot;
  let filled = 0;
  for (let entry = 0; entry < indexEntries; entry++) if (idIndex[entry] !== 0) filled++;
  if (filled !== rowCount) fail(`the id index has ${filled} entries for ${rowCount} rows`);
  for (let row = 0; row < rowCount; row++) {
    const found = findRow(idIndex, indexEntries, indexKeys, rowWords, rowWords, row * ROW_WORDS);
    if (found !== row) fail(`row ${row} is found at row ${found}`);
  }
}

/** The text of every address is that of its bytes, and the port's digits are those of the port. */
function checkAddresses(snapshot: Snapshot): void {
  const { rowBytes, rowWords } = snapshot.views;
  for (let row = 0; row < snapshot.rowCount; row++) {
    const at = row * ROW_BYTES;
    const network = rowWords[row * ROW_WORDS + ROW_NETWORK_WORD]!;
    if (network >= snapshot.networkCount) fail(`row ${row} is in network ${network}`);
    const port = rowBytes[at + ROW_PORT_BYTE]! | (rowBytes[at + ROW_PORT_BYTE + 1]! << 8);
    const digits = rowBytes[at + ROW_PORT_TEXT_LENGTH_BYTE]!;
    if (port === 0 || port !== decimal(rowBytes, at + ROW_PORT_TEXT_BYTE, digits))
      fail(`row ${row} has a bad port`);
    const same =
      rowBytes[at + ROW_TEXT_LENGTH_BYTE] === 0
        ? isWideAddress(snapshot, row)
        : isDottedDecimal(rowBytes, at);
    if (!same) fail(`the address text of row ${row} is not that of its bytes`);
  }
}

/** The text of the row at byte `row` is its four address bytes in dotted decimal. */
function isDottedDecimal(bytes: Uint8Array, row: number): boolean {
  let at = row + ROW_TEXT_BYTE;
  for (let part = 0; part < 4; part++) {
    if (part > 0 && bytes[at++] !== 46) return false;
    const octet = bytes[row + ROW_ADDRESS_BYTE + part]!;
    const digits = octet >= 100 ? 3 : octet >= 10 ? 2 : 1;
    if (decimal(bytes, at, digits) !== octet) return false;
    at += digits;
  }
  return bytes[row + ROW_TEXT_LENGTH_BYTE] === at - row - ROW_TEXT_BYTE;
}

/** The row names a wide address, which is IPv6, and whose text is that of its bytes. */
function isWideAddress({ views }: Snapshot, row: number): boolean {
  const { rowWords, header, wideAddressBytes: bytes } = views;
  const number = rowWords[row * ROW_WORDS + ROW_ADDRESS_WORD]!;
  if (number >= header[HEADER_WORD.WIDE_ADDRESSES]!) return false;
  const at = number * WIDE_ADDRESS_BYTES;
  if (isIpv4(bytes, at + WIDE_BINARY_BYTE)) return false;
  const text = formatAddress(bytes, at + WIDE_BINARY_BYTE);
  if (bytes[at + WIDE_TEXT_LENGTH_BYTE] !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** The value of `digits` decimal digits, or -1 when one of them is none. */
function decimal(bytes: Uint8Array, at: number, digits: number): number {
  let value = 0;
  for (let i = 0; i < digits; i++) {
    const digit = bytes[at + i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** Every attribute code has a value in the description. */
function checkAttributes({ views, rowCount }: Snapshot): void {
  const description = descriptionOf(views);
  for (const [number, codes] of views.attributeCodes.entries()) {
    const values = description.attributes[number]?.values.length ?? 0;
    for (let row = 0; row < rowCount; row++) {
      if (codes[row]! > values)
        fail(`row ${row} has value ${codes[row]} of attribute ${number}, of ${values}`);
    }
  }
}

/** What the description says; see `snapshot-finish.ts`. */
export function descriptionOf(views: SnapshotViews): SnapshotDescription {
  const bytes = views.description.slice(0, views.header[HEADER_WORD.DESCRIPTION_BYTES]!);
  return JSON.parse(new TextDecoder().decode(bytes)) as SnapshotDescription;
}

export interface SnapshotDescription {
  readonly attributes: readonly { readonly name: string; readonly values: readonly string[] }[];
  readonly placements: readonly string[];
  readonly sets: readonly { readonly filter: number; readonly grouping: string }[];
}

/** Positions are rows of the right pool; groups are runs of one key, without a gap, no key twice a pool. */
function checkSet(snapshot: Snapshot, set: CandidateSet, number: number): void {
  const positions = set.vettedPositions + set.newPositions;
  const eligible = snapshot.vettedCount + snapshot.newCount;
  if (positions > eligible) fail(`set ${number} has ${positions} positions of ${eligible} rows`);
  if (set.identity && positions !== eligible) fail(`set ${number} is an identity of ${positions} positions`);
  for (let position = 0; position < positions && !set.identity; position++) {
    const row = set.rows[position]!;
    const inPool = position < set.vettedPositions ? row < snapshot.vettedCount : row >= snapshot.vettedCount;
    if (!inPool || row >= eligible) fail(`set ${number} has row ${row} at position ${position}`);
  }
  checkGroups(snapshot, set, number, { from: 0, to: set.vettedGroups, start: 0, end: set.vettedPositions });
  const to = set.vettedGroups + set.newGroups;
  checkGroups(snapshot, set, number, {
    from: set.vettedGroups,
    to,
    start: set.vettedPositions,
    end: positions,
  });
}

interface GroupRange {
  readonly from: number;
  readonly to: number;
  /** Positions that the groups cover. */
  readonly start: number;
  readonly end: number;
}

function checkGroups(snapshot: Snapshot, set: CandidateSet, number: number, range: GroupRange): void {
  const { header, attributeCodes, rowWords } = snapshot.views;
  const grouping = header[setEntryWord(number) + SET_WORD.GROUPING]!;
  const codes = grouping === 0 ? undefined : attributeCodes[grouping - 1]!;
  const seen = new Set<number>();
  let position = range.start;
  for (let group = range.from; group < range.to; group++) {
    const at = group * GROUP_WORDS;
    const key = set.groups[at + GROUP_KEY_WORD]!;
    if (set.groups[at + GROUP_START_WORD] !== position)
      fail(`set ${number}: group ${group} does not start at ${position}`);
    if (seen.has(key)) fail(`set ${number}: key ${key} has two groups`);
    seen.add(key);
    const end = set.groups[at + GROUP_WORDS + GROUP_START_WORD]!;
    if (end <= position || end > range.end) fail(`set ${number}: group ${group} ends at ${end}`);
    for (let before = -1; position < end; position++) {
      const row = set.identity ? position : set.rows[position]!;
      if (row <= before) fail(`set ${number}: row ${row} comes twice or out of order`);
      const keyOfRow = codes === undefined ? rowWords[row * ROW_WORDS + ROW_NETWORK_WORD] : codes[row];
      if (keyOfRow !== key) fail(`set ${number}: row ${row} is not of group ${group}`);
      before = row;
    }
  }
  if (position !== range.end) fail(`set ${number}: groups end at ${position}, positions at ${range.end}`);
}

function check(condition: boolean, problem: string): void {
  if (!condition) fail(problem);
}

function fail(problem: string): never {
  throw new CacheError('SNAPSHOT_CORRUPT', problem);
}
