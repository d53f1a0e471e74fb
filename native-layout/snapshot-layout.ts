/**
 * Where the columns of a snapshot stand: one running offset over one list of columns, for a slot (extents =
 * capacity) and for a file (extents = counts) alike. Columns start at multiples of 16 bytes.
 */
import { CELL_BYTES, WIDE_ADDRESS_BYTES } from './address-cell.ts';
import { ATTRIBUTES_MAX, HEADER_BYTES, SETS_MAX } from './snapshot-header.ts';

export const COLUMN_ALIGNMENT_BYTES = 16;
export const ID_BYTES = 32;
export const ADDRESS_BYTES = 16;

/** Elements of each kind that a layout has room for. */
export interface SnapshotExtents {
  readonly rows: number;
  readonly indexEntries: number;
  readonly wideAddresses: number;
  readonly attributes: number;
  readonly descriptionBytes: number;
  readonly sets: readonly SetExtents[];
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
  readonly groupStarts: ColumnPlace;
  readonly groupKeys: ColumnPlace;
}

export interface SnapshotLayout {
  readonly extents: SnapshotExtents;
  readonly id: ColumnPlace;
  readonly address: ColumnPlace;
  readonly cell: ColumnPlace;
  readonly network: ColumnPlace;
  /** One column an attribute: codes of its dictionary. */
  readonly attributes: readonly ColumnPlace[];
  readonly idIndex: ColumnPlace;
  readonly wideAddress: ColumnPlace;
  readonly description: ColumnPlace;
  readonly sets: readonly SetPlaces[];
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
  const rows = extents.rows;
  const id = place('id', ID_BYTES, rows);
  const address = place('address', ADDRESS_BYTES, rows);
  const cell = place('cell', CELL_BYTES, rows);
  const network = place('network', 4, rows);
  const attributes: ColumnPlace[] = [];
  for (let number = 0; number < extents.attributes; number++) {
    attributes.push(place(`attribute ${number}`, 2, rows));
  }
  const idIndex = place('idIndex', 4, extents.indexEntries);
  const wideAddress = place('wideAddress', WIDE_ADDRESS_BYTES, extents.wideAddresses);
  const description = place('description', 1, extents.descriptionBytes);
  const sets = extents.sets.map((set, number) => ({
    rows: place(`set ${number} rows`, 4, set.listed),
    groupStarts: place(`set ${number} groupStarts`, 4, set.groups + 1),
    groupKeys: place(`set ${number} groupKeys`, 4, set.groups),
  }));
  return {
    extents,
    id,
    address,
    cell,
    network,
    attributes,
    idIndex,
    wideAddress,
    description,
    sets,
    columns,
    byteLength: byteOffset,
  };
}
