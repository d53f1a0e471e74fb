/**
 * Every number of the layout by one flat name (`ROW_BYTES`, `HEADER_WORD_GENERATION`), collected from the
 * declarations beside this file: what the kernel and the C header are generated from, so that no number is
 * typed twice.
 */
import * as controlBlock from './control-block.ts';
import * as idHash from './id-hash.ts';
import * as networkKey from './network-key.ts';
import * as nodeRecord from './node-record.ts';
import * as snapshotHeader from './snapshot-header.ts';
import * as snapshotLayout from './snapshot-layout.ts';
import * as snapshotRow from './snapshot-row.ts';

export interface ConstantGroup {
  /** The file that declares them. */
  readonly file: string;
  readonly constants: Readonly<Record<string, number>>;
}

/** The constants of each file, files in the order in which a reader meets them. */
export const LAYOUT_CONSTANT_GROUPS: readonly ConstantGroup[] = [
  group('snapshot-header.ts', snapshotHeader),
  group('snapshot-layout.ts', snapshotLayout),
  group('snapshot-row.ts', snapshotRow),
  group('network-key.ts', networkKey),
  group('id-hash.ts', idHash),
  group('node-record.ts', nodeRecord),
  group('control-block.ts', controlBlock),
];

/** All of them. */
export const LAYOUT_CONSTANTS: Readonly<Record<string, number>> = together(LAYOUT_CONSTANT_GROUPS);

function group(file: string, exported: Readonly<Record<string, unknown>>): ConstantGroup {
  return { file, constants: constantsOf(exported) };
}

/**
 * The numbers that a file exports, by name, because not every loader lists exports in the same order; those
 * of a table bear the table's name as well.
 */
export function constantsOf(exported: Readonly<Record<string, unknown>>): Record<string, number> {
  const constants: Record<string, number> = {};
  const byName = Object.entries(exported).toSorted(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, value] of byName) {
    if (typeof value === 'number') constants[name] = value;
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, entry] of Object.entries(value)) {
      if (typeof entry === 'number') constants[`${name}_${key}`] = entry;
    }
  }
  return constants;
}

function together(groups: readonly ConstantGroup[]): Readonly<Record<string, number>> {
  const all: Record<string, number> = {};
  for (const { file, constants } of groups) {
    for (const [name, value] of Object.entries(constants)) {
      if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
        throw new RangeError(`${name} of ${file} is ${value}; the layout is made of 32-bit integers`);
      }
      if (all[name] !== undefined) throw new RangeError(`${name} of ${file} is declared elsewhere, too`);
      all[name] = value;
    }
  }
  return Object.freeze(all);
}
