/** The statements that read and count nodes, over a plan: the SQL expression for each thing a row needs. */
import { FIELD, type FieldFormat } from '../../../engine/snapshot/field-rows.ts';
import type { CopyColumn } from '../postgres/copy-rows.ts';
import type { SqlColumn } from './criteria.ts';
import { NO_TEXT } from './introspect.ts';

/** SQL expressions over `relation`, whose alias is `n`. */
export interface ReadPlan {
  readonly relation: string;
  /** What a row is made of, and how its bytes are read. */
  readonly columns: readonly ReadColumn[];
  readonly format: FieldFormat;
  /** Boolean. */
  readonly vetted: string;
  /** Name of the criterion that leaves the node out altogether, or NULL. */
  readonly absent: string;
  /** Name of the first criterion that keeps the node out of selections, or NULL. */
  readonly ineligible: string;
  /** Boolean: the node's last contact is so old that the next one has to be known. */
  readonly nearlyOffline: string;
}

export interface ReadColumn extends CopyColumn {
  readonly sql: string;
}

/** The expressions that a row is read from; those that the source has not are left out. */
export interface RowExpressions {
  readonly id: SqlColumn | undefined;
  /** `host:port` in place of `ip` and `port`. */
  readonly address: SqlColumn | undefined;
  readonly ip: SqlColumn | undefined;
  readonly port: SqlColumn | undefined;
  readonly network: SqlColumn | undefined;
  readonly vetted: string;
  readonly ineligible: string;
  readonly lastContact: SqlColumn | undefined;
  readonly attributes: readonly string[];
}

/** The columns of a row, as the server holds them: turning a value into text costs more than reading it. */
export function rowColumns(row: RowExpressions): Pick<ReadPlan, 'columns' | 'format'> {
  const columns: ReadColumn[] = [];
  const add = (field: number, column: SqlColumn | undefined) => {
    if (column !== undefined) columns.push({ field, sql: column.sql, inet: column.kind === 'inet' });
  };
  const addText = (field: number, sql: string) => {
    if (sql !== NO_TEXT) columns.push({ field, sql, inet: false });
  };
  add(FIELD.id, row.id);
  add(FIELD.address, row.address ?? row.ip);
  if (row.address === undefined) add(FIELD.port, row.port);
  add(FIELD.network, row.network);
  addText(FIELD.vetted, row.vetted);
  addText(FIELD.ineligible, row.ineligible);
  add(FIELD.lastContact, row.lastContact);
  row.attributes.forEach((sql, i) => {
    addText(FIELD.attributes + i, sql);
  });
  const ip = row.ip?.kind === 'inet' ? 'bytes' : 'text';
  const format: FieldFormat = {
    id: row.id?.kind === 'bytea' ? 'bytes' : 'digits',
    address: row.address === undefined ? ip : 'host-port',
    network: row.network?.kind === 'inet' ? 'bytes' : 'text',
  };
  return { columns, format };
}

export function selectNodes(plan: ReadPlan): string {
  const cells = plan.columns.map(({ sql }) => sql);
  return `SELECT ${cells.join(', ')} FROM ${plan.relation}${present(plan)}`;
}

/** The same for the nodes whose id is in `list`, a literal of `idList`. Needs the index of the ids. */
export function selectGivenNodes(plan: ReadPlan, list: string): string {
  const id = plan.columns.find(({ field }) => field === FIELD.id)?.sql ?? NO_TEXT;
  const given = `${id} = ANY (${list})`;
  return `${selectNodes(plan)}${plan.absent === NO_TEXT ? ' WHERE ' : ' AND '}${given}`;
}

/** Boolean: the node is in no selection, whatever keeps it out. */
export function outOfSelections(plan: ReadPlan): string {
  const reasons = [plan.absent, plan.ineligible].filter(sql => sql !== NO_TEXT);
  return reasons.length === 0 ? 'false' : `(${reasons.map(sql => `${sql} IS NOT NULL`).join(' OR ')})`;
}

/** Cells: criterion, count. */
export function countAbsent(plan: ReadPlan): string {
  return `SELECT criterion, count(*) FROM (SELECT ${plan.absent} AS criterion FROM ${plan.relation}) AS judged
           WHERE criterion IS NOT NULL GROUP BY criterion`;
}

/** Cells: absent criterion, ineligible criterion, vetted, count. */
export function countCriteria(plan: ReadPlan): string {
  return `SELECT absent, ineligible, vetted, count(*)
            FROM (SELECT ${plan.absent} AS absent, ${plan.ineligible} AS ineligible, ${plan.vetted} AS vetted
                    FROM ${plan.relation}) AS judged
           GROUP BY absent, ineligible, vetted`;
}

/** A source without absent criteria has nothing to filter. */
function present(plan: ReadPlan): string {
  return plan.absent === NO_TEXT ? '' : ` WHERE ${plan.absent} IS NULL`;
}
