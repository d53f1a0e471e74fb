/** From the named texts of a line to a `NodeRow`; the same for CSV and JSON Lines. */
import { CacheError } from '../../../engine/errors.ts';
import type { NodeRow } from '../../../engine/snapshot/node-row.ts';
import { didYouMean } from '../nearest.ts';
import { NOT_ELIGIBLE, portNumber } from '../row-values.ts';

/** Columns with a meaning; every other one is an attribute. */
export const FILE_COLUMNS = ['id', 'ip', 'port', 'network', 'vetted', 'ineligible', 'eligible'] as const;

export type FileColumn = (typeof FILE_COLUMNS)[number];

export const REQUIRED_COLUMNS = ['id', 'ip', 'port'] as const satisfies readonly FileColumn[];

/** Names a row that is in doubt: it can be looked up, is never picked, and shows in the counts. */
const UNREADABLE = { vetted: 'unreadable-vetted', eligible: 'unreadable-eligible' } as const;

const TRUE = new Set(['1', 'true', 't', 'yes', 'y']);
const FALSE = new Set(['', '0', 'false', 'f', 'no', 'n']);

/** A value by column; `undefined` where it is empty or the file has no such column. */
export type FileValues = (column: FileColumn) => string | undefined;

/**
 * A port that is no number becomes NaN, and the builder refuses that row alone. A file without a `vetted`
 * column has one pool: every node is vetted.
 */
export function fileRow(
  values: FileValues,
  hasVetted: boolean,
  attributes: readonly (string | undefined)[],
): NodeRow {
  const vetted = hasVetted ? flag(values('vetted') ?? '') : true;
  const eligibleText = values('eligible');
  const eligible = eligibleText === undefined ? true : flag(eligibleText);
  return {
    id: values('id') ?? '',
    ip: values('ip') ?? '',
    port: portNumber(values('port') ?? ''),
    network: values('network') || undefined,
    vetted: vetted ?? false,
    ineligible: values('ineligible') || doubt(vetted, eligible),
    attributes,
  };
}

/** Configuration key of an attribute that a file lacks: it has to be corrected there, or in the file. */
export const ATTRIBUTE_FIELD = 'placements';

/** An attribute that placements use and nobody has would let them find nothing, without a word. */
export function missingAttribute(attribute: string, names: Iterable<string>, where: string): CacheError {
  const detail = `${where} has no column for the attribute "${attribute}" of the placements`;
  const suggestion = didYouMean(attribute, names);
  return new CacheError('SOURCE_SCHEMA', `${detail}${suggestion}`, { field: ATTRIBUTE_FIELD });
}

function doubt(vetted: boolean | undefined, eligible: boolean | undefined): string | undefined {
  if (eligible === false) return NOT_ELIGIBLE;
  if (eligible === undefined) return UNREADABLE.eligible;
  return vetted === undefined ? UNREADABLE.vetted : undefined;
}

function flag(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (TRUE.has(word)) return true;
  return FALSE.has(word) ? false : undefined;
}
