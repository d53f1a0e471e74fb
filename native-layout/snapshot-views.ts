/**
 * Typed-array views over the bytes of one snapshot. Built once a slot; the owner of `buffer` keeps the
 * memory.
 */
import {
  DESCRIBING_WORDS,
  HEADER_WORD,
  HEADER_WORDS,
  LAYOUT_VERSION,
  SET_WORD,
  SNAPSHOT_MAGIC,
  setEntryWord,
} from './snapshot-header.ts';
import type { ColumnPlace, SnapshotExtents, SnapshotLayout } from './snapshot-layout.ts';

if (new Uint8Array(new Uint32Array([1]).buffer)[0] !== 1) {
  throw new Error('sortition reads and writes little-endian memory; this machine is big-endian');
}

export interface SetViews {
  /** Row of each position; empty for an identity set. */
  readonly rows: Uint32Array;
  /** First position of each group, and one past the last position. */
  readonly groupStarts: Uint32Array;
  /** Network number, or attribute code, of each group. */
  readonly groupKeys: Uint32Array;
}

export interface SnapshotViews {
  readonly layout: SnapshotLayout;
  readonly buffer: ArrayBufferLike;
  readonly header: Uint32Array;
  /** The header again, for its two clock readings: index = word / 2. */
  readonly headerFloats: Float64Array;
  /** Eight words a row. */
  readonly idWords: Uint32Array;
  /** The same as four 64-bit integers a row. */
  readonly idLongs: BigInt64Array;
  /** Four words a row, network byte order inside. */
  readonly addressWords: Uint32Array;
  readonly addressLongs: BigInt64Array;
  /** Six words a row: see address-cell.ts. */
  readonly cellWords: Uint32Array;
  readonly cellBytes: Uint8Array;
  readonly cellLongs: BigInt64Array;
  readonly networks: Uint32Array;
  /** `attributeCodes[attribute][row]`; 0: the row has no value. */
  readonly attributeCodes: readonly Uint16Array[];
  /** Row plus one, or 0 for an empty entry. */
  readonly idIndex: Uint32Array;
  readonly wideAddressBytes: Uint8Array;
  readonly description: Uint8Array;
  readonly sets: readonly SetViews[];
}

/**
 * Views over `buffer`, which begins with a snapshot laid out as `layout`. Checks the length, not the content.
 */
export function snapshotViews(buffer: ArrayBufferLike, layout: SnapshotLayout): SnapshotViews {
  if (buffer.byteLength < layout.byteLength) {
    throw new RangeError(`the layout takes ${layout.byteLength} bytes; the buffer has ${buffer.byteLength}`);
  }
  const words = (column: ColumnPlace) => new Uint32Array(buffer, column.byteOffset, column.byteLength / 4);
  const longs = (column: ColumnPlace) => new BigInt64Array(buffer, column.byteOffset, column.byteLength / 8);
  const bytes = (column: ColumnPlace) => new Uint8Array(buffer, column.byteOffset, column.byteLength);
  return {
    layout,
    buffer,
    header: new Uint32Array(buffer, 0, HEADER_WORDS),
    headerFloats: new Float64Array(buffer, 0, DESCRIBING_WORDS / 2),
    idWords: words(layout.id),
    idLongs: longs(layout.id),
    addressWords: words(layout.address),
    addressLongs: longs(layout.address),
    cellWords: words(layout.cell),
    cellBytes: bytes(layout.cell),
    cellLongs: longs(layout.cell),
    networks: words(layout.network),
    attributeCodes: layout.attributes.map(
      column => new Uint16Array(buffer, column.byteOffset, column.byteLength / 2),
    ),
    idIndex: words(layout.idIndex),
    wideAddressBytes: bytes(layout.wideAddress),
    description: bytes(layout.description),
    sets: layout.sets.map(set => ({
      rows: words(set.rows),
      groupStarts: words(set.groupStarts),
      groupKeys: words(set.groupKeys),
    })),
  };
}

/** What is wrong with the first two words of a header, or `undefined`. */
export function headerProblem(header: Uint32Array): string | undefined {
  const magic = header[HEADER_WORD.MAGIC];
  if (magic !== SNAPSHOT_MAGIC) return `not a snapshot: it begins with 0x${magic?.toString(16)}`;
  const version = header[HEADER_WORD.VERSION];
  if (version !== LAYOUT_VERSION)
    return `layout version ${version}; this program reads version ${LAYOUT_VERSION}`;
  return undefined;
}

/** The extents that a header's counts amount to: the exact layout of its content. */
export function extentsOf(header: Uint32Array): SnapshotExtents {
  const sets = [];
  for (let set = 0; set < header[HEADER_WORD.SETS]!; set++) {
    const entry = setEntryWord(set);
    const positions = header[entry + SET_WORD.VETTED_POSITIONS]! + header[entry + SET_WORD.NEW_POSITIONS]!;
    sets.push({
      listed: header[entry + SET_WORD.IDENTITY] === 1 ? 0 : positions,
      groups: header[entry + SET_WORD.VETTED_GROUPS]! + header[entry + SET_WORD.NEW_GROUPS]!,
    });
  }
  return {
    rows: header[HEADER_WORD.ROWS]!,
    indexEntries: header[HEADER_WORD.INDEX_ENTRIES]!,
    wideAddresses: header[HEADER_WORD.WIDE_ADDRESSES]!,
    attributes: header[HEADER_WORD.ATTRIBUTES]!,
    descriptionBytes: header[HEADER_WORD.DESCRIPTION_BYTES]!,
    sets,
  };
}
