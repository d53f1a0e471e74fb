/**
 * Where the columns of a snapshot stand: one running offset over one list of columns, for a slot (extents =
 * capacity) and for a file (extents = counts) alike. Columns start at multiples of 64 bytes, so that a row is
 * a cache line.
 */
import { NETWORK_KEY_BYTES } from './network-key.ts';
import { ATTRIBUTES_MAX, HEADER_BYTES, SETS_MAX } from './snapshot-header.ts';
import { ROW_BYTES, WIDE_ADDRESS_BYTES } from './snapshot-row.ts';

export const COLUMN_ALIGNMENT_BYTES = 64;
/** An attribute's code. */
export const CODE_BYTES = 2;
/** An entry of the id index, and of a candidate set's row list: a row's number, plus one in the index. */
export const ENTRY_BYTES = 4;

/**
 * A group of a candidate set: its first position, then its key (network number or attribute code). One
 * closing pair follows the groups of a set: the number of positions, and zero.
 */
export const GROUP_BYTES = 8;
export const GROUP_WORDS = GROUP_BYTES / 4;
export const GROUP_START_WORD = 0;
export const GROUP_KEY_WORD = 1;

/** Rows of a slot that can be revoked while it is current. */
export const REVOKED_ROWS_MAX = 4096;

/** Words of the live column: all of a slot that changes while it is current. */
export const LIVE_WORD = {
  /** How many rows are revoked. */
  REVOKED_COUNT: 0,
  /**
   * When the content was last known to be that of the source: the lower 32 bits of its 16 milliseconds on the
   * machine's monotonic clock; 0: when the header says.
   */
  CONFIRMED_AT: 1,
  /** Their numbers. */
  REVOKED_ROWS: 2,
} as const;

/** Elements of each kind that a layout has room for. */
export interface SnapshotExtents {
  readonly rows: number;
  readonly indexEntries: number;
  readonly wideAddresses: number;
  /** What network numbers are below. */
  readonly networks: number;
  readonly attributes: number;
  readonly descriptionBytes: number;
  readonly sets: readonly SetExtents[];
  /** Rows that can be revoked: REVOKED_ROWS_MAX in a slot, 0 in a file, where the column has no bytes. */
  readonly revocations: number;
}

export interface SetExtents {
  /** Entries of the row list; 0 for an identity set. */
  readonly listed: number;
  readonly groups: number;
}

/** A column's place: bytes from the start of the snapshot. */
export interface ColumnPlace {
  readonly name: string;
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface SetPlaces {
  readonly rows: ColumnPlace;
  readonly groups: ColumnPlace;
}

export interface SnapshotLayout {
  readonly extents: SnapshotExtents;
  readonly row: ColumnPlace;
  /** One column an attribute: codes of its dictionary. */
  readonly attributes: readonly ColumnPlace[];
  readonly idIndex: ColumnPlace;
  readonly wideAddress: ColumnPlace;
  readonly networkKey: ColumnPlace;
  readonly description: ColumnPlace;
  readonly sets: readonly SetPlaces[];
  /** Count and numbers of revoked rows: no part of the content, changed while the slot is current. */
  readonly live: ColumnPlace;
  /** All columns in the order of their offsets. */
  readonly columns: readonly ColumnPlace[];
  readonly byteLength: number;
}

/** `bytes` rounded up to the next column boundary. */
export function alignColumn(bytes: number): number {
  return Math.ceil(bytes / COLUMN_ALIGNMENT_BYTES) * COLUMN_ALIGNMENT_BYTES;
}

/** The layout for `extents`. Throws RangeError when a fixed maximum is exceeded. */
export function snapshotLayout(extents: SnapshotExtents): SnapshotLayout {
  if (extents.sets.length > SETS_MAX) {
    throw new RangeError(
      `a snapshot holds ${SETS_MAX} candidate sets at the most, not ${extents.sets.length}`,
    );
  }
  if (extents.attributes > ATTRIBUTES_MAX) {
    throw new RangeError(
      `a snapshot holds ${ATTRIBUTES_MAX} attributes at the most, not ${extents.attributes}`,
    );
  }
  const columns: ColumnPlace[] = [];
  let byteOffset = HEADER_BYTES;
  const place = (name: string, elementBytes: number, elements: number): ColumnPlace => {
    const column = { name, byteOffset, byteLength: elementBytes * elements };
    columns.push(column);
    byteOffset = alignColumn(byteOffset + column.byteLength);
    return column;
  };
  const row = place('row', ROW_BYTES, extents.rows);
  const attributes: ColumnPlace[] = [];
  for (let number = 0; number < extents.attributes; number++) {
    attributes.push(place(`attribute ${number}`, CODE_BYTES, extents.rows));
  }
  const idIndex = place('idIndex', ENTRY_BYTES, extents.indexEntries);
  const wideAddress = place('wideAddress', WIDE_ADDRESS_BYTES, extents.wideAddresses);
  const networkKey = place('networkKey', NETWORK_KEY_BYTES, extents.networks);
  const description = place('description', 1, extents.descriptionBytes);
  const sets = extents.sets.map((set, number) => ({
    rows: place(`set ${number} rows`, ENTRY_BYTES, set.listed),
    groups: place(`set ${number} groups`, GROUP_BYTES, set.groups + 1),
  }));
  const liveWords = extents.revocations === 0 ? 0 : LIVE_WORD.REVOKED_ROWS + extents.revocations;
  const live = place('live', 4, liveWords);
  return {
    extents,
    row,
    attributes,
    idIndex,
    wideAddress,
    networkKey,
    description,
    sets,
    live,
    columns,
    byteLength: byteOffset,
  };
}
