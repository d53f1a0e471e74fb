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
import {
  CODE_BYTES,
  type ColumnPlace,
  type SnapshotExtents,
  type SnapshotLayout,
} from './snapshot-layout.ts';

if (new Uint8Array(new Uint32Array([1]).buffer)[0] !== 1) {
  throw new Error('sortition reads and writes little-endian memory; this machine is big-endian');
}

export interface SetViews {
  /** Row of each position; empty for an identity set. */
  readonly rows: Uint32Array;
  /** First position and key of each group, by turns; then the closing pair. */
  readonly groups: Uint32Array;
}

export interface SnapshotViews {
  readonly layout: SnapshotLayout;
  readonly buffer: ArrayBufferLike;
  readonly header: Uint32Array;
  /** The header again, for its two clock readings: index = word / 2. */
  readonly headerFloats: Float64Array;
  /** Sixteen words a row: see snapshot-row.ts. */
  readonly rowWords: Uint32Array;
  readonly rowBytes: Uint8Array;
  /** The same as eight 64-bit integers a row. */
  readonly rowLongs: BigInt64Array;
  /** `attributeCodes[attribute][row]`; 0: the row has no value. */
  readonly attributeCodes: readonly Uint16Array[];
  /** Row plus one, or 0 for an empty entry. */
  readonly idIndex: Uint32Array;
  /** 64 bytes an IPv6 row: see snapshot-row.ts. */
  readonly wideAddressBytes: Uint8Array;
  readonly wideAddressLongs: BigInt64Array;
  /** Four words a network: see network-key.ts. */
  readonly networkKeyWords: Uint32Array;
  readonly description: Uint8Array;
  readonly sets: readonly SetViews[];
  /** How many rows are revoked, then their numbers; empty in files. */
  readonly live: Uint32Array;
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
    rowWords: words(layout.row),
    rowBytes: bytes(layout.row),
    rowLongs: longs(layout.row),
    attributeCodes: layout.attributes.map(
      column => new Uint16Array(buffer, column.byteOffset, column.byteLength / CODE_BYTES),
    ),
    idIndex: words(layout.idIndex),
    wideAddressBytes: bytes(layout.wideAddress),
    wideAddressLongs: longs(layout.wideAddress),
    networkKeyWords: words(layout.networkKey),
    description: bytes(layout.description),
    sets: layout.sets.map(set => ({ rows: words(set.rows), groups: words(set.groups) })),
    live: words(layout.live),
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
    networks: header[HEADER_WORD.NETWORKS]!,
    attributes: header[HEADER_WORD.ATTRIBUTES]!,
    descriptionBytes: header[HEADER_WORD.DESCRIPTION_BYTES]!,
    sets,
    revocations: 0,
  };
}
