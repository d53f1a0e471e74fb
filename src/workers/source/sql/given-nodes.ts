/**
 * The rows of given nodes, in one message: a transaction that makes sure that the relation still looks as
 * it did when the plan was made, and reads. Ids stand in it as hexadecimal digits that are made here, and
 * nothing else of them does.
 */
import { ID_BYTES } from '../../../../native-layout/snapshot-row.ts';
import { assert } from '../../../engine/assert.ts';
import type { FieldFormat } from '../../../engine/snapshot/field-rows.ts';
import { quoteText } from './introspect.ts';
import { type ReadPlan, selectGivenNodes } from './nodes.ts';
import { beginMessage, CLOCK_MICROS, COMMIT_READ } from './transaction.ts';

/** The SQLSTATE with which the message fails when the relation is another than it was. */
export const RELATION_CHANGED = '22012';

/**
 * One text over what the name of a relation means now: which one it is, the names and types of its columns.
 * NULL when it is gone.
 */
export function relationFingerprint(relation: string): string {
  return `(SELECT a.attrelid || ' ' || md5(string_agg(a.attname || ' ' || a.atttypid, ',' ORDER BY a.attnum))
             FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = to_regclass(${quoteText(relation)}) AND a.attnum > 0 AND NOT a.attisdropped
            GROUP BY a.attrelid)`;
}

export interface GivenNodesMessage {
  readonly before: string;
  readonly select: string;
  readonly after: string;
  /** Which of the results holds the clock, counted from the last. */
  readonly clockFromLast: number;
}

/**
 * `fingerprint`: of the relation as the plan knows it. The first SELECT takes the lock that keeps it so; when
 * another session changes the table, it waits until that is done. Absent for a query: it is planned anew for
 * every read.
 */
export function readGivenNodes(
  plan: ReadPlan,
  list: string,
  options: { readonly relation: string; readonly fingerprint?: string; readonly statementTimeoutMs: number },
): GivenNodesMessage {
  const { relation, fingerprint, statementTimeoutMs } = options;
  const unchanged =
    fingerprint === undefined
      ? '1'
      : `1 / (CASE WHEN ${relationFingerprint(relation)} = ${quoteText(fingerprint)} THEN 1 ELSE 0 END)`;
  const before = [
    beginMessage(statementTimeoutMs),
    `SELECT FROM ${plan.relation} LIMIT 0`,
    `SELECT ${CLOCK_MICROS}, ${unchanged}`,
    '',
  ].join('; ');
  // After the clock: the rows, and the end of the transaction.
  return { before, select: selectGivenNodes(plan, list), after: `; ${COMMIT_READ}`, clockFromLast: 3 };
}

/**
 * The ids as the literal of an array of the column's own type. Text ids stand in a table in small or in
 * capital letters; an index finds only what is written alike, so both are asked for.
 */
export function idList(ids: Uint8Array, format: FieldFormat['id']): string {
  assert(ids.length % ID_BYTES === 0, `${ids.length} bytes are no whole number of ids`);
  const digits = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength).toString('hex');
  const list: string[] = [];
  for (let from = 0; from < digits.length; from += 2 * ID_BYTES) {
    const id = digits.slice(from, from + 2 * ID_BYTES);
    if (format === 'bytes') list.push(`"\\\\\\\\x${id}"`);
    else list.push(id, id.toUpperCase());
  }
  return `E'{${list.join(',')}}'`;
}
